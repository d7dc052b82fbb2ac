"""What the network is shown: the lens, the crop and the resize, and the camera that follows."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bag_factory import picture

from dsn_ros.camera import Camera
from dsn_ros.camera_info import CameraInfoFields
from dsn_ros.errors import MessageError
from dsn_ros.view import resize_picture, view_of

HEIGHT, WIDTH = 360, 480
ASPECT = 576 / 320
K = (300.0, 0.0, 245.0, 0.0, 305.0, 172.0, 0.0, 0.0, 1.0)
NO_P = (0.0,) * 12
R = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
LENS = (-0.28, 0.09, 0.001, -0.0015, -0.01)


def camera(d=LENS, p=NO_P, r=R, model='plumb_bob'):
    return Camera.from_info(CameraInfoFields(HEIGHT, WIDTH, model, d, K, r, p))


def dot(at):
    """A soft dot with its centre at pixel ``at`` (u, v)."""
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH]
    blob = 255 * np.exp(-((u - at[0]) ** 2 + (v - at[1]) ** 2) / (2 * 3.0**2))
    return np.repeat(blob[..., None], 3, axis=-1).astype(np.uint8)


def centre(image):
    weights = image[..., 0].astype(float)
    v, u = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
    return np.array([(u * weights).sum(), (v * weights).sum()]) / weights.sum()


def test_without_a_lens_stretch_is_a_resize_of_the_whole_picture():
    pinhole = Camera.pinhole(WIDTH, HEIGHT, 300, 300, 240, 180)
    view = view_of(HEIGHT, WIDTH, pinhole, True, 'stretch', ASPECT)
    image = picture(HEIGHT, WIDTH)
    assert (view.picture(image, 160, 288) == resize_picture(image, 160, 288)).all()
    assert view.camera == pinhole
    assert view.unseen(160, 288) is None


def test_crop_is_the_middle_in_the_network_s_shape():
    view = view_of(HEIGHT, WIDTH, None, True, 'crop', ASPECT)
    assert (view.height, view.width, view.top, view.left) == (267, 480, 46, 0)
    wide = view_of(100, 400, None, True, 'crop', ASPECT)
    assert (wide.height, wide.width, wide.top, wide.left) == (100, 180, 0, 110)
    image = picture(100, 400)
    assert (wide.picture(image, 100, 180) == image[:, 110:290]).all()


@settings(max_examples=40, deadline=None)
@given(
    st.floats(-0.35, 0.35),
    st.floats(-0.2, 0.2),
    st.sampled_from(['stretch', 'crop']),
    st.sampled_from([LENS, (0.0,) * 5, (0.1, -0.05, 0.0, 0.0, 0.0)]),
    st.sampled_from([(360, 480), (160, 288), (400, 720)]),
)
def test_a_point_is_seen_where_the_published_camera_says(x, y, fit, lens, size):
    seen_by = camera(lens)
    rays = np.array([[x, y, 1.0]])
    at, _ = cv2.projectPoints(
        rays, np.zeros(3), np.zeros(3), np.array(K).reshape(3, 3), np.array(lens)
    )
    view = view_of(HEIGHT, WIDTH, seen_by, True, fit, ASPECT)
    found = centre(view.picture(dot(at.ravel()), *size))
    published = view.camera.resized(*size)
    assert not published.distorted
    expected = np.array([published.k[0] * x + published.k[2], published.k[4] * y + published.k[5]])
    # A resize keeps edges, CameraInfo's scaling centres: (s - 1) / 2 pixels lie between the two.
    assert np.abs(found - expected).max() < 0.45


def test_with_p_and_r_it_is_the_picture_that_image_proc_makes():
    turn, _ = cv2.Rodrigues(np.array([0.01, -0.02, 0.015]))
    p = (290.0, 0.0, 235.0, 0.0, 0.0, 290.0, 180.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    view = view_of(HEIGHT, WIDTH, camera(p=p, r=tuple(turn.ravel())), True, 'stretch', ASPECT)
    image = picture(HEIGHT, WIDTH)
    maps = cv2.initUndistortRectifyMap(
        np.array(K).reshape(3, 3),
        np.array(LENS),
        turn,
        np.array(p).reshape(3, 4),
        (WIDTH, HEIGHT),
        cv2.CV_32FC1,
    )
    theirs = cv2.remap(image, *maps, cv2.INTER_LINEAR)
    ours = view.picture(image, HEIGHT, WIDTH)
    interior = np.zeros((HEIGHT, WIDTH), bool)
    interior[20:-20, 20:-20] = True
    assert (ours[interior] == theirs[interior]).all()
    assert view.camera.k == pytest.approx((290, 0, 235, 0, 290, 180, 0, 0, 1))
    assert view.camera.r == R


def test_what_the_camera_never_saw_is_known():
    wide = (150.0, 0.0, 240.0, 0.0, 0.0, 150.0, 180.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    view = view_of(HEIGHT, WIDTH, camera(p=wide), True, 'stretch', ASPECT)
    unseen = view.unseen(160, 288)
    assert unseen[0, 0]
    assert unseen[-1, -1]
    assert not unseen[60:100, 100:190].any()
    # Without a P the view is chosen so that nothing is missing.
    assert view_of(HEIGHT, WIDTH, camera(), True, 'stretch', ASPECT).unseen(160, 288) is None


def test_a_fisheye_lens_is_taken_out():
    lens = camera((0.03, -0.01, 0.002, 0.0), model='equidistant')
    x, y = 0.3, -0.15
    r = np.hypot(x, y)
    theta = np.arctan(r)
    bent = theta * (1 + 0.03 * theta**2 - 0.01 * theta**4 + 0.002 * theta**6)
    at = (K[0] * bent / r * x + K[2], K[4] * bent / r * y + K[5])
    view = view_of(HEIGHT, WIDTH, lens, True, 'stretch', ASPECT)
    k = view.camera.k
    found = centre(view.picture(dot(at), HEIGHT, WIDTH))
    assert found == pytest.approx((k[0] * x + k[2], k[4] * y + k[5]), abs=0.2)


def test_without_rectification_the_lens_stays():
    view = view_of(HEIGHT, WIDTH, camera(), False, 'stretch', ASPECT)
    assert view.camera == camera()
    image = picture(HEIGHT, WIDTH)
    assert view.picture(image, HEIGHT, WIDTH) is not None
    assert (view.picture(image, HEIGHT, WIDTH) == image).all()


def test_coefficients_that_fit_no_picture_are_refused():
    with pytest.raises(MessageError, match='calibrate the camera again'):
        view_of(HEIGHT, WIDTH, camera((5.0,) * 5), True, 'stretch', ASPECT)


def box_averages(image, height, width):
    """What averaging over each output pixel's exact window gives, in float."""

    def along(data, count):
        edges = np.arange(count + 1) * data.shape[0] / count
        sums = np.concatenate([np.zeros_like(data[:1]), np.cumsum(data, axis=0)])
        whole = np.minimum(edges.astype(int), data.shape[0] - 1)
        at = sums[whole] + (edges - whole)[:, None, None] * data[whole]
        return np.diff(at, axis=0) * count / data.shape[0]

    rows = along(image.astype(float), height)
    return along(rows.swapaxes(0, 1), width).swapaxes(0, 1)


@pytest.mark.parametrize('size', [(720, 1280), (1080, 1920), (640, 1152), (725, 1281), (400, 600)])
def test_shrinking_averages(size):
    image = picture(*size)
    small = resize_picture(image, 320, 576)
    assert small.shape == (320, 576, 3)
    assert small.flags.c_contiguous
    expected = box_averages(image, 320, 576)
    assert np.abs(small - expected).mean() < 1.5
    assert abs(float((small - expected).mean())) < 0.2  # OpenCV rounds halves up


@pytest.mark.parametrize('size', [(720, 1280), (1440, 2560)])
def test_what_is_too_fine_for_the_small_picture_does_not_show(size):
    stripes = np.zeros((*size, 3), np.uint8)
    stripes[:, ::2] = 255
    small = resize_picture(stripes, 320, 576)
    assert np.ptp(small) <= 2


def test_shrinking_shifts_nothing():
    image = np.zeros((720, 1280, 3), np.uint8)
    image[300:341, 500:581] = 200
    u, v = centre(resize_picture(image, 320, 576))
    assert (u + 0.5) * 1280 / 576 == pytest.approx(540.5, abs=0.2)
    assert (v + 0.5) * 720 / 320 == pytest.approx(320.5, abs=0.2)
