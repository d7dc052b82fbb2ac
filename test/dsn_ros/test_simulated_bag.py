"""A simulated bag is what a robot records: the truth in it agrees with itself through tf."""

import dataclasses

import numpy as np
import pytest

from dsn_core.simulation import SimulatedDrive, SimulationError, SimulationOptions
from dsn_ros.bags import choose_image_topic, open_bag
from dsn_ros.messages import image_view, stamp_ns
from dsn_ros.simulated_bag import simulate_bags, write_simulated_bag

# After dsn_core.simulation, which chooses the OpenGL that MuJoCo binds when it is imported.
pytest.importorskip('mujoco', reason='mujoco is not installed')

OPTIONS = SimulationOptions(
    height=96, width=160, fps=5, colour_scale=1.0, shadow_size=512, lidar_azimuth_step=2.0
)


def rotation(q):
    """Matrix of a quaternion message, from its definition."""
    x, y, z, w = q.x, q.y, q.z, q.w
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def pose(transform):
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(transform.transform.rotation)
    move = transform.transform.translation
    matrix[:3, 3] = (move.x, move.y, move.z)
    return matrix


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp('sim') / 'street'
    try:
        write_simulated_bag(path, 9, ['day', 'night'], 3, OPTIONS)
    except SimulationError as error:
        pytest.skip(f'no offscreen OpenGL: {error}')
    with open_bag(path) as opened:
        messages = [(m.topic, opened.deserialize(m)) for m in opened.messages()]
        topic = choose_image_topic(opened)
    return topic, messages


def of(bag, topic):
    return [m for name, m in bag[1] if name == topic]


def test_the_camera_is_found_and_every_frame_has_its_truth(bag):
    assert bag[0].name == '/camera/image/compressed'
    stamps = [stamp_ns(m.header) for m in of(bag, '/camera/image/compressed')]
    assert len(stamps) == len(set(stamps)) == 6
    for topic in (
        '/camera/camera_info',
        '/ground_truth/depth/image',
        '/ground_truth/labels/image',
        '/ground_truth/instances/image',
        '/odom',
    ):
        assert [stamp_ns(m.header) for m in of(bag, topic)] == stamps
    assert [m.data for m in of(bag, '/ground_truth/condition')] == ['day', 'night']


def test_lidar_lies_on_the_depth_map(bag):
    mounts = {t.child_frame_id: pose(t) for t in of(bag, '/tf_static')[0].transforms}
    lidar_to_camera = np.linalg.inv(mounts['camera_optical']) @ mounts['lidar']
    k = np.array(of(bag, '/camera/camera_info')[0].k).reshape(3, 3)
    depth = image_view(of(bag, '/ground_truth/depth/image')[0]) / 1000
    cloud = of(bag, '/lidar/points')[0]
    points = np.frombuffer(cloud.data, np.float32).reshape(-1, 3)
    seen = points @ lidar_to_camera[:3, :3].T + lidar_to_camera[:3, 3]
    seen = seen[seen[:, 2] > 0.5]
    u, v = (np.rint(seen[:, i] / seen[:, 2] * k[i, i] + k[i, 2]).astype(int) for i in (0, 1))
    inside = (u > 0) & (u < 159) & (v > 0) & (v < 95)
    assert inside.sum() > 100
    true = depth[v[inside], u[inside]]
    error = np.abs(true - seen[inside, 2])[true > 0]
    assert np.median(error / true[true > 0]) < 0.01


def test_camera_pose_through_tf_is_the_drive_s(bag):
    mount = next(
        pose(t)
        for t in of(bag, '/tf_static')[0].transforms
        if t.child_frame_id == 'camera_optical'
    )
    frames = list(SimulatedDrive(9, 'day', OPTIONS).frames(3))
    for message, frame in zip(of(bag, '/tf')[:3], frames, strict=True):
        base, body = (pose(t) for t in message.transforms)
        assert np.allclose(base @ body @ mount, frame.camera_to_world, atol=1e-6)
        # The base stands on the road, z up; the body is hardly off it on its springs.
        assert base[2, 2] > 0.99
        assert body[2, 2] > 0.999
        assert abs(body[2, 3]) < 0.05


def test_odometry_is_the_pose_and_the_speed(bag):
    frames = list(SimulatedDrive(9, 'day', OPTIONS).frames(3))
    for message, moved, frame in zip(
        of(bag, '/odom')[:3], of(bag, '/tf')[:3], frames, strict=True
    ):
        where, base = message.pose.pose.position, pose(moved.transforms[0])
        assert np.allclose((where.x, where.y, where.z), base[:3, 3])
        assert np.allclose(rotation(message.pose.pose.orientation), base[:3, :3])
        assert (message.header.frame_id, message.child_frame_id) == ('odom', 'base_footprint')
        assert message.twist.twist.linear.x == frame.speed > 0


def test_instances_say_the_labels_too(bag):
    ids = image_view(of(bag, '/ground_truth/instances/image')[0])
    labels = image_view(of(bag, '/ground_truth/labels/image')[0])
    assert np.array_equal(np.where(ids < 1000, ids, ids // 1000), labels)


def test_bags_are_drawn_once_and_every_byte_the_same(tmp_path):
    small = dataclasses.replace(OPTIONS, height=64, width=96, clutter=0.2)
    try:
        (one,) = simulate_bags(tmp_path / 'a', [3], ['dusk'], 2, small)
    except SimulationError as error:
        pytest.skip(f'no offscreen OpenGL: {error}')
    (two,) = simulate_bags(tmp_path / 'b', [3], ['dusk'], 2, small)
    assert one.name == two.name == 'town000003_dusk'
    for file in one.iterdir():
        assert file.read_bytes() == (two / file.name).read_bytes()
    before = {f: f.stat().st_mtime_ns for f in one.iterdir()}
    assert simulate_bags(tmp_path / 'a', [3], ['dusk'], 2, small) == [one]
    assert {f: f.stat().st_mtime_ns for f in one.iterdir()} == before
