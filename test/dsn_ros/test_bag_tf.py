"""tf out of a bag: chains, interpolation, and what is not known."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from support.bag_factory import START_NS, Recording

from dsn_ros.bag_tf import ODOMETRY, TransformTree, read_tree
from dsn_ros.bags import open_bag
from dsn_ros.errors import BagError

STILL = (0.0, 0.0, 0.0, 1.0)


def turn(*degrees):
    return Rotation.from_euler('xyz', degrees, degrees=True)


def matrix(xyz, rotation):
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = rotation.as_matrix(), xyz
    return result


def at(*times):
    return np.array(times, dtype=np.int64)


def test_a_chain_is_composed_up_and_down():
    arm, hand, eye = turn(10, 20, 30), turn(-40, 5, 70), turn(90, 0, 45)
    fixed = [
        (0, 'base', 'arm', (1.0, 2.0, 3.0), arm.as_quat()),
        (0, 'arm', 'hand', (0.5, -1.0, 0.2), hand.as_quat()),
        (0, 'base', 'eye', (-2.0, 0.0, 1.0), -eye.as_quat()),
    ]
    tree = TransformTree([], fixed)
    expected = (
        np.linalg.inv(matrix((-2, 0, 1), eye))
        @ matrix((1, 2, 3), arm)
        @ matrix((0.5, -1, 0.2), hand)
    )
    np.testing.assert_allclose(tree.lookup('eye', 'hand', at(5))[0], expected, atol=1e-12)
    np.testing.assert_allclose(tree.lookup('hand', 'hand', at(5))[0], np.eye(4), atol=1e-12)
    assert tree.chain('hand') == ['hand', 'arm', 'base']
    assert not tree.moves('hand', 'base')


@pytest.mark.parametrize('sign', [1, -1])
def test_between_stamps_it_is_a_line_and_the_short_way_round(sign):
    one, other = turn(0, 0, 170), turn(0, 0, -170)
    moving = [
        (0, 'odom', 'base', (0.0, 0.0, 0.0), one.as_quat()),
        (100, 'odom', 'base', (4.0, 0.0, 2.0), sign * other.as_quat()),
    ]
    found = TransformTree(moving).lookup('odom', 'base', at(0, 25, 100))
    for each, share in zip(found, (0, 0.25, 1), strict=True):
        expected = matrix((4 * share, 0, 2 * share), turn(0, 0, 170 + 20 * share))
        np.testing.assert_allclose(each, expected, atol=1e-9)


def test_outside_and_over_a_hole_nothing_is_known():
    moving = [(t, 'odom', 'base', (t, 0.0, 0.0), STILL) for t in (100, 200, 900, 1000)]
    tree = TransformTree(moving, max_gap_ns=100)
    found = tree.lookup('odom', 'base', at(99, 100, 150, 201, 899, 900, 950, 1000, 1001))
    x = found[:, 0, 3]
    np.testing.assert_array_equal(np.isnan(x), [1, 0, 0, 1, 1, 0, 0, 0, 1])
    np.testing.assert_allclose(x[~np.isnan(x)], [100, 150, 900, 950, 1000])


def test_a_static_transform_holds_until_it_is_stated_anew():
    fixed = [(t, 'base', 'cam', (float(t), 0.0, 0.0), STILL) for t in (100, 200)]
    found = TransformTree([], fixed).lookup('base', 'cam', at(0, 150, 200, 999))
    np.testing.assert_array_equal(found[:, 0, 3], [100, 100, 200, 200])


def test_what_is_not_connected_is_named():
    tree = TransformTree([], [(0, 'base', 'cam', (0.0, 0.0, 0.0), STILL)])
    with pytest.raises(BagError, match=r'cam \(below base\) and lidar \(below nothing\)'):
        tree.lookup('cam', 'lidar', at(0))
    assert not tree.connected('cam', 'lidar')


def test_a_loop_of_frames_does_not_hang():
    moving = [(0, 'a', 'b', (0.0, 0.0, 0.0), STILL), (0, 'b', 'a', (0.0, 0.0, 0.0), STILL)]
    assert TransformTree(moving).chain('a') == ['a', 'b']


def test_a_bag_s_transforms_and_odometry(tmp_path):
    recording = Recording()
    build, types = recording.make, recording.make.store.types

    def make(name, **fields):
        return types[f'geometry_msgs/msg/{name}'](**fields)

    mount = (START_NS, '/base_link', '/cam', (0.0, 0.0, 1.5), STILL)
    recording.add('/tf_static', build.tf_message([mount]), START_NS)
    zero = make('Vector3', x=0.0, y=0.0, z=0.0)
    for i in range(3):
        stamp = START_NS + i * 10**8
        pose = make(
            'Pose',
            position=make('Point', x=2.0 * i, y=0.0, z=0.0),
            orientation=make('Quaternion', x=0.0, y=0.0, z=0.0, w=1.0),
        )
        odometry = types['nav_msgs/msg/Odometry'](
            header=build.header(stamp, 'odom'),
            child_frame_id='base_link',
            pose=make('PoseWithCovariance', pose=pose, covariance=np.zeros(36)),
            twist=make(
                'TwistWithCovariance',
                twist=make('Twist', linear=zero, angular=zero),
                covariance=np.zeros(36),
            ),
        )
        recording.add('/odom', odometry, stamp)
    with open_bag(recording.write(tmp_path / 'bag')) as bag:
        assert bag.topics['/odom'].type == ODOMETRY
        tree = read_tree(bag, ['/odom'])
    (found,) = tree.lookup('odom', 'cam', at(START_NS + 5 * 10**7))
    np.testing.assert_allclose(found[:3, 3], [1, 0, 1.5])
    assert tree.moves('cam', 'odom')
