"""What depth_image_proc and depthimage_to_laserscan make of depth/image and depth/camera_info.

Both read the image's rows by ``step``, take fx, fy, cx and cy from the camera_info of the same
stamp, and refuse any encoding but 16UC1 and 32FC1.
"""

import numpy as np
import pytest
from support.nav2_street import (
    CAMERA,
    FOCAL,
    FRAME,
    HEIGHT,
    STREET,
    WIDTH,
    Box,
    ExactEngine,
    look,
    robot_pose,
)
from support.stripes import striped

from dsn_ros.camera import Camera
from dsn_ros.cloud import organised_cloud
from dsn_ros.message_builders import BagMessages
from dsn_ros.pipeline import Frame, Pipeline, PipelineOptions

STAMP = 1_700_000_000_123_456_789


def published(boxes, pose, camera=CAMERA, size=(HEIGHT, WIDTH), output_size='model'):
    """Depth image and camera_info of what a camera of ``size`` sees, and the perception."""
    pipeline = Pipeline(ExactEngine(*look(boxes, pose)), PipelineOptions(output_size=output_size))
    picture = striped(*size, 200)
    seen = pipeline.process(Frame(picture, STAMP, FRAME, camera))
    build = BagMessages()
    header = build.header(seen.stamp_ns, seen.frame_id)
    image = build.image(seen.depth, '32FC1', header)
    return image, build.camera_info(seen.camera.to_info(), header), seen


def pinhole(info):
    """(fx, fy, cx, cy) as image_geometry reads them: from P, in which binning and ROI count."""
    p = np.array(info.p).reshape(3, 4)
    assert (info.binning_x, info.binning_y) in ((0, 0), (1, 1))
    roi = info.roi
    assert (roi.x_offset, roi.y_offset, roi.height, roi.width) == (0, 0, 0, 0)
    return p[0, 0], p[1, 1], p[0, 2], p[1, 2]


def rows(image):
    """(H, W) float32, row after row of ``step`` bytes."""
    assert not image.is_bigendian
    data = bytes(image.data)
    assert len(data) == image.step * image.height
    return np.stack(
        [np.frombuffer(data, '<f4', image.width, v * image.step) for v in range(image.height)]
    )


@pytest.mark.parametrize(
    ('size', 'output_size'),
    [((HEIGHT, WIDTH), 'model'), ((2 * HEIGHT, 3 * WIDTH), 'model'), ((80, 120), 'camera')],
)
def test_image_and_camera_info_are_one_pair(size, output_size):
    camera = CAMERA.resized(*size)
    image, info, seen = published(STREET, robot_pose(), camera, size, output_size)
    assert image.header == info.header
    assert (image.header.stamp.sec, image.header.stamp.nanosec) == divmod(STAMP, 10**9)
    assert image.header.frame_id == FRAME
    assert (image.encoding, image.step) == ('32FC1', 4 * image.width)
    assert (image.height, image.width) == (info.height, info.width) == seen.depth.shape
    fx, fy, cx, cy = pinhole(info)
    assert fx / info.width == pytest.approx(FOCAL / WIDTH)
    assert fy / info.height == pytest.approx(FOCAL / HEIGHT)
    assert (cx / info.width, cy / info.height) == pytest.approx(
        (CAMERA.k[2] / WIDTH, CAMERA.k[5] / HEIGHT)
    )
    assert np.array(info.k).reshape(3, 3)[:2].ravel() == pytest.approx([fx, 0, cx, 0, fy, cy])


def test_depth_image_proc_would_make_our_own_points():
    image, info, seen = published(STREET, robot_pose())
    fx, fy, cx, cy = pinhole(info)
    z = rows(image).astype(np.float64)
    v, u = np.mgrid[0 : info.height, 0 : info.width]
    ours = organised_cloud(seen)
    finite = np.isfinite(z)
    for axis, theirs in (('x', (u - cx) * z / fx), ('y', (v - cy) * z / fy), ('z', z)):
        np.testing.assert_allclose(ours[axis][finite], theirs[finite], rtol=1e-5, atol=1e-5)
    # They leave out what is not finite; so do we, whatever it is.
    np.testing.assert_array_equal(np.isfinite(ours['z']), finite)
    assert not np.isfinite(ours['z']).all()


def laser_scan(image, info, height, range_min=0.45, range_max=10.0):
    """(angles, ranges) as depthimage_to_laserscan: angle left of the axis, nearest of the rows.

    Of ``height`` rows around the principal point. A beam that sees only sky has +inf, one that
    knows nothing NaN.
    """
    assert image.encoding in ('16UC1', '32FC1')
    fx, _, cx, cy = pinhole(info)
    assert height / 2 <= min(cy, image.height - cy)
    top = int(cy - height / 2)
    depth = rows(image)[top : top + height].astype(np.float64)
    u = np.arange(image.width)
    angles = -np.arctan2(u - cx, fx)
    away = depth * np.hypot((u - cx) / fx, 1)
    ranges = np.full(image.width, np.nan)
    ranges[np.isposinf(away).any(axis=0)] = np.inf
    usable = np.where((away >= range_min) & (away <= range_max), away, np.inf)
    nearest = usable.min(axis=0)
    ranges[np.isfinite(nearest)] = nearest[np.isfinite(nearest)]
    return angles, ranges


def test_a_laser_scan_of_the_depth_image_measures_the_walls():
    """A camera that looks level down a dead end: walls at y = 3 and y = -2, the end at x = 8."""
    walls = (
        Box('wall', (0.5, 3.0, 0.0), (9.0, 3.3, 3.0)),
        Box('wall', (0.5, -2.3, 0.0), (9.0, -2.0, 3.0)),
        Box('wall', (8.0, -2.3, 0.0), (8.3, 3.3, 3.0)),
    )
    pose = robot_pose(x=0, y=0, yaw=0, pitch=0, roll=0, camera_height=1.0)
    image, info, _ = published(walls, pose)
    angles, ranges = laser_scan(image, info, height=5)
    assert angles.min() < -0.6 < 0.6 < angles.max()
    # Where a beam meets the first of the three planes, from the plan of the room.
    with np.errstate(divide='ignore'):
        side = np.where(angles > 0, 3.0, 2.0) / np.abs(np.sin(angles))
    expected = np.minimum(side, 8.0 / np.cos(angles))
    np.testing.assert_allclose(ranges, expected, rtol=1e-5)


def test_open_sky_is_out_of_range_and_an_unsure_pixel_is_no_beam():
    pose = robot_pose(x=0, y=0, yaw=0, pitch=-0.3, roll=0)
    engine = ExactEngine(*look((), pose))
    picture = striped(HEIGHT, WIDTH, 200)
    picture[:, : WIDTH // 2, 1] = 10
    pipeline = Pipeline(engine, PipelineOptions(min_confidence=0.5))
    seen = pipeline.process(Frame(picture, STAMP, FRAME, CAMERA))
    build = BagMessages()
    header = build.header(STAMP, FRAME)
    image = build.image(seen.depth, '32FC1', header)
    _, ranges = laser_scan(image, build.camera_info(seen.camera.to_info(), header), 3)
    assert np.isnan(ranges[: WIDTH // 2]).all()
    assert np.isposinf(ranges[WIDTH // 2 :]).all()


def test_a_cropped_or_binned_camera_is_published_as_one_that_is_neither():
    """The picture is what counts: K of the output has the window and the binning in it."""
    build = BagMessages()
    fields = Camera.pinhole(2 * WIDTH + 40, 2 * HEIGHT + 60, 2 * FOCAL, 2 * FOCAL, 350, 200)
    whole = fields.to_info()
    windowed = type(whole)(
        **{**vars(whole), 'roi': (40, 60, 2 * HEIGHT, 2 * WIDTH), 'binning_x': 2, 'binning_y': 2}
    )
    camera = Camera.from_info(windowed)
    assert (camera.height, camera.width) == (HEIGHT, WIDTH)
    pipeline = Pipeline(ExactEngine(*look(STREET, robot_pose())))
    picture = striped(HEIGHT, WIDTH, 200)
    seen = pipeline.process(Frame(picture, STAMP, FRAME, camera))
    info = build.camera_info(seen.camera.to_info(), build.header(STAMP, FRAME))
    assert pinhole(info) == pytest.approx((FOCAL, FOCAL, (350 - 40) / 2, (200 - 60) / 2))
