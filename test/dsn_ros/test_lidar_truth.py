"""A LiDAR as ground truth: projection, the demo bag against itself, and a moving base."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.lib.recfunctions import repack_fields
from scipy.spatial.transform import Rotation
from support.bag_factory import START_NS, Recording
from support.stand_in_engine import HEIGHT, ROAD, SKY, WIDTH, StandInEngine
from support.stripes import striped

from dsn_ros.bag_tf import TransformTree, read_tree
from dsn_ros.bags import open_bag
from dsn_ros.camera import Camera
from dsn_ros.errors import BagError, UserError
from dsn_ros.lidar_truth import camera_points, choose_lidar, fixed_frame, project
from dsn_ros.messages import camera_info_fields, image_view, stamp_ns
from dsn_ros.point_clouds import read_points
from dsn_ros.replay import ReplayOptions, replay

DEMO = Path(__file__).parents[2] / 'demo' / 'street'
LENS = Camera.pinhole(WIDTH, HEIGHT, 80.0, 82.0, 47.0, 30.0)
STEP_NS = 100_000_000
STILL = (0.0, 0.0, 0.0, 1.0)
CLOUD = np.dtype(
    [('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('intensity', '<f4'), ('t', '<u4'), ('ring', '<u2')]
)


class TestProjection:
    def test_the_nearest_point_of_a_pixel_and_none_from_behind_or_outside(self):
        points = np.array(
            [
                [1.0, 0.5, 10.0],  # u = 80 * 0.1 + 47 = 55, v = 82 * 0.05 + 30 = 34.1
                [0.5, 0.25, 5.0],  # the same pixel, nearer
                [0.0, 0.0, -4.0],
                [20.0, 0.0, 10.0],
                [np.nan, 0.0, 3.0],
                [-3.0, -1.0, 7.0],  # 12.71, 18.29
            ]
        )
        depth = project(points, LENS)
        expected = np.zeros((HEIGHT, WIDTH), np.float32)
        expected[34, 55], expected[18, 13] = 5, 7
        np.testing.assert_array_equal(depth, expected)

    @pytest.mark.parametrize('model', ['plumb_bob', 'equidistant'])
    def test_through_a_lens(self, model):
        d = (-0.25, 0.06, 0.001, -0.002, 0.0) if model == 'plumb_bob' else (0.05, -0.01, 0.0, 0.0)
        lens = replace(LENS, distortion_model=model, d=d)
        x, y, z = 0.35, -0.2, 12.0
        r2 = x * x + y * y
        if model == 'plumb_bob':
            radial = 1 + d[0] * r2 + d[1] * r2**2 + d[4] * r2**3
            u = x * radial + 2 * d[2] * x * y + d[3] * (r2 + 2 * x * x)
            v = y * radial + d[2] * (r2 + 2 * y * y) + 2 * d[3] * x * y
        else:
            r = np.sqrt(r2)
            theta = np.arctan(r)
            bent = theta * (1 + d[0] * theta**2 + d[1] * theta**4)
            u, v = x * bent / r, y * bent / r
        depth = project(np.array([[x * z, y * z, z]]), lens)
        assert np.argwhere(depth).tolist() == [[round(82 * v + 30), round(80 * u + 47)]]
        assert depth.max() == np.float32(z)

    def test_a_lens_that_folds_over_brings_nothing_in(self):
        # r (1 - 0.5 r²) is 0 again at r = 1.41: such a point lands in the middle of the picture.
        lens = replace(LENS, d=(-0.5, 0.0, 0.0, 0.0, 0.0))
        assert not project(np.array([[14.0, 0.0, 10.0]]), lens).any()


class TestDemo:
    def test_its_lidar_agrees_with_its_depth(self):
        near, pixels = [], 0
        with open_bag(DEMO) as bag:
            tree = read_tree(bag)
            topic = choose_lidar(bag, tree, 'camera_optical', 'auto')
            assert topic.name == '/lidar/points'
            assert fixed_frame(tree, 'camera_optical', 'lidar') == 'odom'
            camera, depths, clouds = None, {}, {}
            wanted = ['/camera/camera_info', '/ground_truth/depth/image', topic.name]
            for message in bag.messages(wanted):
                content = bag.deserialize(message)
                if message.topic == wanted[0]:
                    camera = Camera.from_info(camera_info_fields(content))
                elif message.topic == wanted[1]:
                    depths[stamp_ns(content.header)] = image_view(content) / 1000
                else:
                    clouds[stamp_ns(content.header)] = read_points(content)
        assert len(clouds) == 44
        # The cloud before, moved by odometry to the picture: only what it hides has changed.
        pairs = [(at, at) for at in clouds]
        pairs += [(at - 2 * 10**8, at) for at in clouds if at - 2 * 10**8 in clouds]
        for of, at in pairs:
            depth = project(camera_points(clouds[of], tree, 'odom', 'camera_optical', at), camera)
            both = (depth > 0) & (depths[at] > 0)
            off = np.abs(depth - depths[at])[both]
            near.append(np.mean(off < 0.02 + 0.01 * depths[at][both]))
            pixels += both.sum()
        assert pixels > 2000 * len(pairs)
        assert min(near[:44]) > 0.9
        assert np.mean(near[44:]) > 0.8


def rigid(xyz, rotation):
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = rotation.as_matrix(), xyz
    return result


def base_at(seconds):
    """odom <- base: 12 m/s ahead, 20 degrees a second to the left."""
    yaw = Rotation.from_euler('z', 20 * seconds, degrees=True)
    return rigid((12 * seconds, 0.5, 0.0), yaw)


OPTICAL = Rotation.from_matrix([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
CAMERA = rigid((0.5, 0.1, 1.2), OPTICAL)
LIDAR = rigid((0.0, -0.2, 1.6), Rotation.from_euler('xyz', (2, 3, 40), degrees=True))


def sweep(seconds, stamp_seconds, offsets):
    """What a LiDAR measures, each point at its time, of what the stand-in sees at ``seconds``."""
    v, u = np.mgrid[8:HEIGHT, 0:WIDTH].reshape(2, -1)
    z = 100 / (1 + v)
    seen = np.stack([(u - 47) / 80 * z, (v - 30) / 82 * z, z, np.ones_like(z)], axis=-1)
    world = seen @ (base_at(seconds) @ CAMERA).T
    cloud = np.zeros((1, len(z)), CLOUD)
    for i, offset in enumerate(offsets):
        part = slice(i, None, len(offsets))
        into = np.linalg.inv(base_at(stamp_seconds + offset) @ LIDAR)
        points = world[part] @ into.T
        for k, axis in enumerate('xyz'):
            cloud[axis][0, part] = points[:, k]
        cloud['t'][0, part] = round(offset * 1e9)
    return cloud


def drive(path, *, timed=True, transforms=True, info=True, lidars=('/scan',), shift=0.04):
    """Six pictures, a sweep of 80 ms that begins ``shift`` seconds before each."""
    recording = Recording()
    build = recording.make
    mounts = [
        (START_NS, 'base', name, m[:3, 3], Rotation.from_matrix(m[:3, :3]).as_quat())
        for name, m in (('camera', CAMERA), ('lidar', LIDAR))
    ]
    if transforms:
        recording.add('/tf_static', build.tf_message(mounts), START_NS)
        for i in range(-10, 45):
            pose = base_at(i * 0.02)
            turned = Rotation.from_matrix(pose[:3, :3]).as_quat()
            stamp = START_NS + i * 20_000_000
            row = (stamp, 'odom', 'base', pose[:3, 3], turned)
            recording.add('/tf', build.tf_message([row]), max(stamp, START_NS))
    image = striped(HEIGHT, WIDTH, 100)
    for i in range(6):
        stamp = START_NS + i * STEP_NS
        header = build.header(stamp, 'camera')
        if info:
            recording.add('/camera_info', build.camera_info(LENS.to_info(), header), stamp)
        recording.add('/image', build.image(image, 'rgb8', header), stamp + 30_000_000)
        offsets = np.arange(0, 0.08, 0.01) if timed else (0.0,)
        cloud = sweep(i * 0.1, i * 0.1 - shift, offsets)
        if not timed:
            cloud = repack_fields(cloud[['x', 'y', 'z', 'intensity']])
        scanned = stamp - round(shift * 1e9)
        for topic in lidars:
            scan = build.point_cloud(cloud, build.header(scanned, 'lidar'))
            recording.add(topic, scan, scanned + 90_000_000)
    return recording.write(path)


@pytest.mark.parametrize('timed', [True, False])
def test_points_of_a_moving_base_land_where_the_camera_sees_them(tmp_path, timed):
    bag = drive(tmp_path / 'bag', timed=timed)
    metrics = replay(bag, tmp_path / 'out', StandInEngine(), ReplayOptions(lidar='auto'))
    row = metrics['comparison']['all']
    assert row['frames'] == 6
    assert row['depth']['abs_rel'] == pytest.approx(0, abs=1e-4)
    assert row['depth']['a1'] == 1
    lidar = metrics['lidar']
    assert (lidar['topic'], lidar['moved_in'], lidar['point_times']) == ('/scan', 'odom', timed)
    assert lidar['pixels_per_frame'] == (HEIGHT - 8) * WIDTH
    assert metrics['ground_truth'] == {'depth': '/scan'}
    assert json.loads((tmp_path / 'out' / 'metrics.json').read_text())['lidar'] == lidar


def test_compare_finds_the_only_lidar_by_itself(tmp_path):
    bag = drive(tmp_path / 'bag', shift=0.0)
    metrics = replay(bag, tmp_path / 'out', StandInEngine(), ReplayOptions(compare=True))
    assert metrics['comparison']['all']['depth']['abs_rel'] < 1e-4


@pytest.mark.parametrize(
    ('fields', 'options', 'named'),
    [
        ({'lidars': ('/a', '/b')}, {'lidar': 'auto'}, '/a, /b'),
        ({'lidars': ('/a', '/b')}, {'compare': True}, '--lidar'),
        ({'transforms': False}, {'lidar': '/scan'}, r'camera \(below nothing\) and lidar'),
        ({'transforms': False}, {'lidar': 'auto'}, '/scan'),
        ({'info': False}, {'lidar': '/scan'}, 'camera_info'),
        ({}, {'lidar': '/nothing'}, '/nothing'),
        ({}, {'lidar': '/image'}, '/scan'),
    ],
)
def test_what_cannot_be_compared_is_said(tmp_path, fields, options, named):
    bag = drive(tmp_path / 'bag', **fields)
    with pytest.raises(BagError, match=named):
        replay(bag, tmp_path / 'out', StandInEngine(), ReplayOptions(**options))
    assert not list((tmp_path / 'out').glob('*'))


def test_two_depths_at_once_are_refused(tmp_path):
    options = ReplayOptions(lidar='/scan', depth_truth='/depth')
    with pytest.raises(UserError, match='--depth-truth or with --lidar'):
        replay(drive(tmp_path / 'bag'), tmp_path / 'out', StandInEngine(), options)


def test_a_picture_without_a_cloud_is_still_scored_by_its_labels(tmp_path):
    recording = Recording()
    build = recording.make
    labels = np.full((HEIGHT, WIDTH), ROAD, np.uint8)
    labels[:8] = SKY
    point = np.zeros((1, 1), CLOUD)
    point['z'] = 5
    for i in range(4):
        stamp = START_NS + i * STEP_NS
        header = build.header(stamp, 'camera')
        recording.add('/camera_info', build.camera_info(LENS.to_info(), header), stamp)
        image = striped(HEIGHT, WIDTH, 100)
        recording.add('/image', build.image(image, 'rgb8', header), stamp)
        recording.add('/ground_truth/labels/image', build.image(labels, 'mono8', header), stamp)
        if i < 2:
            recording.add('/scan', build.point_cloud(point, header), stamp)
    bag = recording.write(tmp_path / 'bag')
    metrics = replay(bag, tmp_path / 'out', StandInEngine(), ReplayOptions(lidar='/scan'))
    row = metrics['comparison']['all']
    assert (row['frames'], row['labels']['miou']) == (4, 1)
    assert row['depth']['abs_rel'] == pytest.approx(abs(100 / 31 - 5) / 5, abs=1e-4)
    assert metrics['lidar']['frames_without'] == {'no cloud within 0.05 s': 2}
    assert any('2 frames not compared' in p for p in metrics['problems'])


def test_odom_stands_still_before_map():
    rows = [('map', 'odom'), ('odom', 'base'), ('base', 'camera'), ('base', 'lidar')]
    tree = TransformTree([(0, a, b, (0.0, 0.0, 0.0), STILL) for a, b in rows])
    assert fixed_frame(tree, 'camera', 'lidar') == 'odom'
    tree = TransformTree([(0, a, b, (0.0, 0.0, 0.0), STILL) for a, b in rows[2:]])
    assert fixed_frame(tree, 'camera', 'lidar') == 'base'
