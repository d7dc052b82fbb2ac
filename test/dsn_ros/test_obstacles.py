"""The obstacle cloud: which pixels become points, how they are thinned, and the messages."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsn_core.labels import CITYSCAPES, UNLABELLED
from dsn_ros.camera import Camera
from dsn_ros.lighting import LightingState
from dsn_ros.message_builders import BagMessages, RosMessages
from dsn_ros.obstacles import OBSTACLE_DTYPE, ObstacleOptions, obstacle_classes, obstacle_cloud
from dsn_ros.pipeline import Perception
from dsn_ros.scale import Scale

ROAD, BUILDING, SKY, CAR = (CITYSCAPES.id_of(n) for n in ('road', 'building', 'sky', 'car'))
IS_OBSTACLE = obstacle_classes(CITYSCAPES.names)
FOCAL, SIZE = 40.0, (32, 48)
FINE = ObstacleOptions(voxel=0.01)  # so fine that every pixel of these keeps its point
METRIC = Scale(1.0, True, 'test')


def seen(labels, depth=5.0, confidence=255, scale=METRIC, calibrated=True):
    """A perception; numbers fill the picture. The optical axis goes through pixel (16, 24)."""
    shape = np.shape(labels) or SIZE
    height, width = shape
    camera = Camera.pinhole(width, height, FOCAL, FOCAL, 24.0, 16.0)
    return Perception(
        image=np.zeros((*shape, 3), np.uint8),
        depth=np.broadcast_to(np.asarray(depth, np.float32), shape).copy(),
        labels=np.broadcast_to(np.asarray(labels, np.uint8), shape).copy(),
        confidence=np.broadcast_to(np.asarray(confidence, np.uint8), shape).copy(),
        stamp_ns=1,
        frame_id='camera',
        camera=camera if calibrated else None,
        scale=scale,
        lighting=LightingState('day', 0.0, 'day'),
        latency_ms={},
    )


def pixels(cloud, order=True):
    """Row and column that each point projects to."""
    u = cloud['x'][0] / cloud['z'][0] * FOCAL + 24
    v = cloud['y'][0] / cloud['z'][0] * FOCAL + 16
    found = list(
        zip(np.rint(v).astype(int).tolist(), np.rint(u).astype(int).tolist(), strict=True)
    )
    return sorted(found) if order else found


def test_obstacle_and_moving_classes_are_obstacles_and_the_others_are_not():
    names = {name for name, is_one in zip(CITYSCAPES.names, IS_OBSTACLE, strict=False) if is_one}
    assert names == set(CITYSCAPES.names) - {'road', 'sidewalk', 'terrain', 'sky'}
    assert not IS_OBSTACLE[UNLABELLED]
    assert not obstacle_classes(()).any()


def test_a_class_that_nobody_knows_is_an_obstacle():
    table = obstacle_classes(('road', 'forklift', 'sky'))
    assert np.flatnonzero(table).tolist() == [1]


@pytest.mark.parametrize('label', [ROAD, SKY, UNLABELLED, CITYSCAPES.id_of('terrain')])
def test_ground_sky_and_unlabelled_have_no_points(label):
    cloud = obstacle_cloud(seen(label), IS_OBSTACLE, FINE)
    assert cloud.shape == (1, 0)


def test_points_lie_where_their_pixels_look_and_carry_their_label():
    labels = np.full(SIZE, ROAD, np.uint8)
    labels[10:20, 30:40] = CAR
    depth = np.linspace(4, 6, SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)
    cloud = obstacle_cloud(seen(labels, depth), IS_OBSTACLE, FINE)
    assert cloud.dtype == OBSTACLE_DTYPE
    # The corners of the patch have only three neighbours each, which is enough.
    assert pixels(cloud) == [(v, u) for v in range(10, 20) for u in range(30, 40)]
    rows, columns = np.array(pixels(cloud, order=False)).T
    np.testing.assert_allclose(cloud['z'][0], depth[rows, columns], rtol=1e-6)
    assert set(cloud['label'][0].tolist()) == {CAR}


def test_specks_are_no_obstacles_but_thin_lines_are():
    labels = np.full(SIZE, ROAD, np.uint8)
    labels[5, 5] = CAR
    labels[5, 12:14] = CAR
    labels[10:30, 20] = CITYSCAPES.id_of('pole')
    labels[10, 30:40] = CITYSCAPES.id_of('fence')
    cloud = obstacle_cloud(seen(labels), IS_OBSTACLE, FINE)
    # A line ends where its last pixel has one neighbour only.
    assert pixels(cloud) == sorted(
        [(10, u) for u in range(31, 39)] + [(v, 20) for v in range(11, 29)]
    )


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf, 0.0, -3.0, 20.5])
def test_points_without_a_depth_in_range_are_left_out(bad):
    depth = np.full(SIZE, 5, np.float32)
    depth[:, 20:] = bad
    cloud = obstacle_cloud(seen(BUILDING, depth), IS_OBSTACLE, FINE)
    assert pixels(cloud) == [(v, u) for v in range(SIZE[0]) for u in range(20)]


def test_the_range_is_the_distance_and_not_the_depth():
    options = ObstacleOptions(max_range=5.1, voxel=0.01)
    cloud = obstacle_cloud(seen(BUILDING, 5.0), IS_OBSTACLE, options)
    v, u = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    distance = 5 * np.hypot(np.hypot((u - 24) / FOCAL, (v - 16) / FOCAL), 1)
    assert pixels(cloud) == [tuple(p) for p in np.argwhere(distance <= 5.1).tolist()]


def test_unsure_pixels_are_left_out_where_that_is_asked_for():
    confidence = np.full(SIZE, 200, np.uint8)
    confidence[:16] = 100
    what = seen(BUILDING, confidence=confidence)
    assert len(pixels(obstacle_cloud(what, IS_OBSTACLE, FINE))) == SIZE[0] * SIZE[1]
    options = ObstacleOptions(voxel=0.01, min_confidence=0.5)
    assert min(pixels(obstacle_cloud(what, IS_OBSTACLE, options)))[0] == 16


def test_each_voxel_keeps_its_nearest_point_and_none_is_lost():
    rng = np.random.default_rng(4)
    depth = rng.uniform(3, 12, (60, 80)).astype(np.float32)
    what = seen(np.full(depth.shape, BUILDING), depth)
    edge = np.array([0.5, 2.0, 0.5], np.float32)  # a costmap needs less of the height
    x, y = np.moveaxis(what.camera.rays() * depth[..., None], -1, 0)
    points = np.stack([x, y, depth], axis=-1).reshape(-1, 3)
    nearest = {}
    for point in points:
        key, away = tuple(np.floor(point / edge).tolist()), float(point @ point)
        nearest[key] = min(away, nearest.get(key, np.inf))
    cloud = obstacle_cloud(what, IS_OBSTACLE, replaced(voxel=0.5, max_range=100.0))[0]
    found = {}
    for point in np.stack([cloud[axis] for axis in 'xyz'], axis=-1):
        found[tuple(np.floor(point / edge).tolist())] = float(point @ point)
    assert len(cloud) == len(found) < len(points)
    assert found == pytest.approx(nearest, rel=1e-5)


def test_far_and_fine_at_once_has_more_voxels_than_fit_beside_the_places(monkeypatch):
    compressed = []
    unique = np.unique
    monkeypatch.setattr(np, 'unique', lambda *a, **k: compressed.append(1) or unique(*a, **k))
    rng = np.random.default_rng(5)
    depth = rng.choice(np.float32([0.5, 10.0, 900.0]), (240, 320))
    what = seen(np.full(depth.shape, BUILDING), depth)
    cloud = obstacle_cloud(what, IS_OBSTACLE, replaced(voxel=0.01, max_range=1000.0))[0]
    assert compressed
    x, y = np.moveaxis(what.camera.rays() * depth[..., None], -1, 0)
    points = np.stack([x, y, depth], axis=-1)[x**2 + y**2 + depth**2 <= 1000**2]
    edge = np.array([0.01, 0.04, 0.01], np.float32)
    assert len(cloud) == len(set(map(tuple, np.floor(points / edge).tolist())))


def replaced(**changes):
    return ObstacleOptions(**{'max_points': 10**6, 'max_range': 20.0, **changes})


def test_many_pixels_in_one_voxel_are_one_point_each_block_and_leave_no_gap():
    # A wall at 4 m in a large picture: about 40 pixels to a voxel's edge.
    labels = np.full((240, 320), BUILDING, np.uint8)
    what = seen(labels, 4.0)
    what = Perception(
        **{**vars(what), 'camera': Camera.pinhole(320, 240, 400.0, 400.0, 159.5, 119.5)}
    )
    cloud = obstacle_cloud(what, IS_OBSTACLE, ObstacleOptions(voxel=0.1))[0]
    columns = set(np.floor(cloud['x'] / 0.1).astype(int).tolist())
    rows = set(np.floor(cloud['y'] / 0.4).astype(int).tolist())
    # 159.5 pixels are 1.595 m at 4 m, 119.5 are 1.195 m.
    assert columns == set(range(-16, 16))
    assert rows == set(range(-3, 3))
    assert len(cloud) == len(columns) * len(rows)


def test_a_thin_pole_before_a_wall_survives_the_thinning():
    labels = np.full((240, 320), BUILDING, np.uint8)
    depth = np.full(labels.shape, 15, np.float32)
    labels[:, 101:103] = CITYSCAPES.id_of('pole')
    depth[:, 101:103] = 6
    what = seen(labels, depth)
    what = Perception(
        **{**vars(what), 'camera': Camera.pinhole(320, 240, 400.0, 400.0, 159.5, 119.5)}
    )
    cloud = obstacle_cloud(what, IS_OBSTACLE, replaced(voxel=0.2))[0]
    pole = cloud[cloud['label'] == CITYSCAPES.id_of('pole')]
    assert set(np.floor(pole['y'] / 0.8).astype(int).tolist()) == set(range(-3, 3))


def test_the_nearest_stay_where_there_are_too_many():
    depth = np.linspace(2, 18, SIZE[1], dtype=np.float32)[None].repeat(SIZE[0], 0)
    what = seen(BUILDING, depth)
    every = obstacle_cloud(what, IS_OBSTACLE, FINE)[0]
    few = obstacle_cloud(what, IS_OBSTACLE, ObstacleOptions(voxel=0.01, max_points=100))[0]
    assert len(few) == 100
    np.testing.assert_array_equal(few, every[:100])
    squared = sum(every[axis].astype(np.float64) ** 2 for axis in 'xyz')
    assert (np.diff(squared) >= -1e-4).all()


def test_by_default_a_costmap_gets_no_more_than_it_can_eat():
    rng = np.random.default_rng(1)
    shape = (320, 576)
    depth = rng.uniform(2, 19, shape).astype(np.float32)
    cloud = obstacle_cloud(seen(np.full(shape, BUILDING), depth), IS_OBSTACLE, ObstacleOptions())
    assert cloud.shape == (1, 5000)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    voxel=st.sampled_from([0.01, 0.1, 1.0]),
    max_range=st.sampled_from([1.0, 8.0, 1000.0]),
)
def test_every_point_is_an_obstacle_pixel_in_range_and_the_same_each_time(seed, voxel, max_range):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 20, SIZE).astype(np.uint8)
    labels[labels == 19] = UNLABELLED
    depth = rng.exponential(6, SIZE).astype(np.float32)
    depth[rng.random(SIZE) < 0.1] = np.nan
    depth[rng.random(SIZE) < 0.1] = np.inf
    what = seen(labels, depth)
    options = ObstacleOptions(voxel=voxel, max_range=max_range)
    cloud = obstacle_cloud(what, IS_OBSTACLE, options)
    np.testing.assert_array_equal(cloud, obstacle_cloud(what, IS_OBSTACLE, options))
    rows, columns = np.array(pixels(cloud, order=False), int).reshape(-1, 2).T
    np.testing.assert_array_equal(labels[rows, columns], cloud['label'][0])
    np.testing.assert_allclose(depth[rows, columns], cloud['z'][0], rtol=1e-6)
    assert CITYSCAPES.mask(cloud['label'], 'obstacle').all()
    assert (
        sum(cloud[axis].astype(np.float64) ** 2 for axis in 'xyz') <= max_range**2 * 1.001
    ).all()


def test_without_metres_or_a_lens_there_is_none():
    relative = Scale(1.0, False, 'the model is relative')
    with pytest.raises(ValueError, match='metric depth: the model is relative'):
        obstacle_cloud(seen(BUILDING, scale=relative), IS_OBSTACLE, FINE)
    with pytest.raises(ValueError, match='calibrated camera'):
        obstacle_cloud(seen(BUILDING, calibrated=False), IS_OBSTACLE, FINE)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'max_range': 0}, 'obstacles.max_range must be above 0'),
        ({'max_range': 1001}, 'obstacles.max_range must be above 0 to 1000 m'),
        ({'min_confidence': 1.5}, 'obstacles.min_confidence must be 0 to 1'),
        ({'voxel': 0.001}, 'obstacles.voxel must be 0.01 m'),
        ({'voxel': 30.0}, 'obstacles.voxel must be 0.01 m to obstacles.max_range'),
        ({'max_points': 0}, 'obstacles.max_points must be at least 1'),
    ],
)
def test_bad_options_are_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        ObstacleOptions(**changes)


def builders():
    yield pytest.param(BagMessages, id='bag')
    yield pytest.param(RosMessages, id='ros')


@pytest.mark.parametrize('builder', builders())
@pytest.mark.parametrize('label', [CAR, ROAD], ids=['points', 'empty'])
def test_the_message_is_one_unorganised_row_without_gaps(builder, label):
    if builder is RosMessages:
        pytest.importorskip('sensor_msgs.msg', reason='ROS 2 is not sourced')
    build = builder()
    cloud = obstacle_cloud(seen(label), IS_OBSTACLE, FINE)
    message = build.point_cloud(cloud, build.header(7, 'camera'))
    count = SIZE[0] * SIZE[1] if label == CAR else 0
    assert (message.height, message.width) == (1, count)
    assert [(f.name, f.offset, f.datatype, f.count) for f in message.fields] == [
        ('x', 0, 7, 1),
        ('y', 4, 7, 1),
        ('z', 8, 7, 1),
        ('label', 12, 2, 1),
    ]
    assert message.point_step == 13
    assert (message.row_step, len(message.data)) == (13 * count, 13 * count)
    back = np.frombuffer(bytes(message.data), OBSTACLE_DTYPE)
    np.testing.assert_array_equal(back, cloud[0])
