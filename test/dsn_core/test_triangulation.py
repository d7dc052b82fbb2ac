"""Triangulated depth: exact where the tracks are, honest about its error, silent on the rest."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.moving_scene import MovingScene, draw, intrinsics

from dsn_core.data.drives import read_poses
from dsn_core.data.picture_file import list_pictures
from dsn_core.errors import ConfigError
from dsn_core.simulation import SimulatedDrive, SimulationError, SimulationOptions
from dsn_core.triangulation import Limits, Tracks, sparse_depth, track, triangulate

K = np.array([[400.0, 1.5, 310.0], [0, 390.0, 95.0], [0, 0, 1]])


def turn(angles):
    return cv2.Rodrigues(np.asarray(angles, dtype=np.float64))[0]


def drive(views=9, step=1.0, sway=0.02, seed=0):
    """Poses (V, 3, 4) of a camera that goes ahead and sways, in a world askew."""
    rng = np.random.default_rng(seed)
    ahead = np.zeros((views, 3, 4))
    for i in range(views):
        ahead[i, :, :3] = turn(rng.normal(0, sway, 3))
        ahead[i, :, 3] = [0.1 * i * step, 0.02 * i * step, i * step]
    world = turn([0.3, -2.0, 0.5])
    moved = np.concatenate([world @ ahead[:, :, :3], world @ ahead[:, :, 3:]], axis=2)
    moved[:, :, 3] += [100.0, -50.0, 20.0]
    return moved


def scatter(poses, index, count=400, seed=1):
    """Depth (P,) and world points (P, 3) seen by camera ``index``, off its way, 6 to 60 m away."""
    rng = np.random.default_rng(seed)
    u = rng.uniform(0, 640, count)
    v = rng.uniform(0, 192, count)
    away = np.hypot(u - 330, v - 100) > 60
    z = rng.uniform(6, 60, count)[away]
    rays = np.linalg.solve(K, np.stack([u[away], v[away], np.ones(away.sum())]))
    return z, (poses[index, :, :3] @ (rays * z)).T + poses[index, :, 3]


def look(points, poses):
    """Exact tracks of world points (P, 3) or (V, P, 3): each where its camera sees it."""
    points = np.broadcast_to(points, (len(poses), *points.shape[-2:]))
    seen = np.einsum('vji,vpj->vpi', poses[:, :, :3], points - poses[:, None, :, 3])
    pixels = (seen / seen[..., 2:]) @ K.T
    return Tracks(pixels[..., :2].transpose(1, 0, 2), (seen[..., 2] > 0.5).T)


def with_noise(tracks, sigma, seed=2):
    noise = np.random.default_rng(seed).normal(0, sigma, tracks.pixels.shape)
    return tracks._replace(pixels=tracks.pixels + noise)


def test_exact_tracks_give_exact_depth():
    poses = drive()
    z, world = scatter(poses, 4)
    points = triangulate(look(world, poses), K, poses, 4)
    measured = points.depth > 0
    assert measured.mean() > 0.8
    np.testing.assert_allclose(points.depth[measured], z[measured], rtol=1e-8)
    assert np.isfinite(points.error[measured]).all()
    assert np.isinf(points.error[~measured]).all()


def test_the_expected_error_is_what_a_sideways_pair_of_rails_has():
    # Cameras at x = b: u = u0 - f b / z, so 1 / z has sigma / (f sqrt(sum (b - mean b)^2)).
    poses = np.tile(np.eye(3, 4), (5, 1, 1))
    along = np.array([-2.0, -1.0, 0, 1.0, 2.0])
    poses[:, 0, 3] = along
    z, world = scatter(poses, 2)
    points = triangulate(look(world, poses), K, poses, 2, Limits(error=0.5))
    expected = 0.5 * z / (K[0, 0] * np.sqrt(np.sum(along**2)))
    measured = points.depth > 0
    np.testing.assert_allclose(points.error[measured], expected[measured], rtol=1e-3)


def test_the_expected_error_is_the_one_that_noise_makes():
    poses = drive()
    z, world = scatter(poses, 4, count=3000)
    limits = Limits(reprojection=10.0)
    points = triangulate(with_noise(look(world, poses), 0.5), K, poses, 4, limits)
    measured = points.depth > 0
    off = np.abs(points.depth[measured] / z[measured] - 1) / points.error[measured]
    assert 0.55 < np.median(off) < 0.8  # 0.674 of a normal distribution's sigma
    strict = triangulate(
        with_noise(look(world, poses), 0.5), K, poses, 4, Limits(reprojection=10.0, error=0.01)
    )
    assert (strict.error[strict.depth > 0] < 0.01).all()
    assert 0 < (strict.depth > 0).sum() < measured.sum()


def test_what_moves_by_itself_is_left_out():
    poses = drive()
    _, world = scatter(poses, 4)
    rng = np.random.default_rng(3)
    way = rng.normal(0, 1, world.shape)
    across = poses[4, :, 1]  # down: off every epipolar plane of a camera that goes ahead
    way += 0.3 * np.sign(way @ across)[:, None] * across
    moving = world + np.arange(-4, 5)[:, None, None] * way * 0.3
    points = triangulate(look(moving, poses), K, poses, 4)
    assert (points.depth > 0).mean() < 0.02


def test_what_moves_along_its_epipolar_lines_cannot_be_told():
    # A car ahead at half the camera's speed is a still one at v / (v - w) times its distance.
    poses = drive(sway=0.0)
    z, world = scatter(poses, 4)
    step = poses[1, :, 3] - poses[0, :, 3]
    moving = world + np.arange(-4, 5)[:, None, None] * step / 2
    points = triangulate(look(moving, poses), K, poses, 4, Limits(error=0.5, parallax=0.1))
    measured = points.depth > 0
    assert measured.any()
    np.testing.assert_allclose(points.depth[measured], 2 * z[measured], rtol=1e-6)


@pytest.mark.parametrize('step', [0.0, 1e-3])
def test_standing_and_turning_measure_nothing(step):
    poses = drive(step=step, sway=0.05)
    _, world = scatter(drive(step=0.0, sway=0.05), 4)
    for sigma in (0.0, 0.3):
        points = triangulate(with_noise(look(world, poses), sigma), K, poses, 4)
        assert not points.depth.any()


def test_few_views_and_little_parallax_do_not_count():
    poses = drive()
    _, world = scatter(poses, 4)
    tracks = look(world, poses)
    seen = np.zeros_like(tracks.seen)
    seen[:, [4, 5]] = True
    assert not triangulate(tracks._replace(seen=seen), K, poses, 4).depth.any()
    seen[:, 6] = True
    assert triangulate(tracks._replace(seen=seen), K, poses, 4).depth.any()
    assert not triangulate(tracks, K, poses, 4, Limits(parallax=80.0)).depth.any()
    # The way itself: what lies straight ahead has no depth.
    ahead = poses[4, :, 3] + 20 * (poses[5, :, 3] - poses[4, :, 3])
    assert not triangulate(look(ahead[None], poses), K, poses, 4).depth.any()
    none = Tracks(np.zeros((0, 9, 2)), np.zeros((0, 9), dtype=bool))
    assert triangulate(none, K, poses, 4).depth.shape == (0,)


@given(st.floats(0.01, 100.0))
@settings(max_examples=20, deadline=None)
def test_the_poses_give_the_unit(scale):
    poses = drive()
    _, world = scatter(poses, 4, count=100)
    tracks = with_noise(look(world, poses), 0.2)
    points = triangulate(tracks, K, poses, 4)
    scaled = poses.copy()
    scaled[:, :, 3] *= scale
    np.testing.assert_allclose(triangulate(tracks, K, scaled, 4).depth, scale * points.depth, 1e-6)


def drawn(count=9, step=0.4, **fields):
    """Grey pictures of a drive down a textured road to a wall, their poses and their depth."""
    scene = MovingScene(height=160, width=256, **fields)
    seen = [draw(scene, 0, i * step) for i in range(count)]
    pictures = np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image, _, _ in seen])
    poses = np.tile(np.eye(3, 4), (count, 1, 1))
    poses[:, 2, 3] = np.arange(count) * step
    return pictures, intrinsics(160, 256), poses, [depth for _, depth, _ in seen]


def test_a_drawn_drive_is_measured():
    pictures, k, poses, depth = drawn()
    found = sparse_depth(pictures, k, poses, 4)
    measured = found > 0
    assert found.dtype == np.float32
    assert measured.sum() > 100
    error = np.abs(found[measured] / depth[4][measured] - 1)
    assert np.median(error) < 0.02
    assert np.percentile(error, 95) < 0.1
    # With poses of twice the length everything is twice as far.
    doubled = poses * np.array([1, 1, 1, 2.0])
    twice = sparse_depth(pictures, k, doubled, 4)
    np.testing.assert_allclose(twice[measured], 2 * found[measured], rtol=1e-4)
    # And with poses that go the other way, nearly nothing agrees.
    assert (sparse_depth(pictures, k, poses[::-1], 4) > 0).sum() < 0.1 * measured.sum()


def test_the_ends_of_a_drive_are_measured_too():
    pictures, k, poses, depth = drawn()
    for index in (0, 8):
        found = sparse_depth(pictures, k, poses, index)
        measured = found > 0
        assert measured.sum() > 20
        assert np.median(np.abs(found[measured] / depth[index][measured] - 1)) < 0.03


def test_pictures_outside_the_neighbourhood_do_not_matter():
    pictures, k, poses, _ = drawn()
    limits = Limits(neighbours=2, error=0.3, parallax=0.3)
    spoilt = pictures.copy()
    spoilt[:2], spoilt[7:] = 0, 0
    found = sparse_depth(pictures, k, poses, 4, limits)
    assert found.any()
    np.testing.assert_array_equal(sparse_depth(spoilt, k, poses, 4, limits), found)


def test_an_outline_does_not_count():
    pictures, k, poses, _ = drawn()
    everything = sparse_depth(pictures, k, poses, 4, Limits(support=0.0))
    inner = sparse_depth(pictures, k, poses, 4)
    assert 0 < np.count_nonzero(inner) < np.count_nonzero(everything)
    # The top row of what is measured is an outline: nothing of like depth lies above it.
    top = np.nonzero(everything)[0].min()
    assert np.nonzero(inner)[0].min() > top


def test_tracks_stay_on_their_points():
    pictures, k, poses, depth = drawn(count=5)
    tracks = track(pictures, 2)
    u, v = tracks.pixels[:, 2].astype(int).T
    rays = np.linalg.solve(k, np.stack([u, v, np.ones_like(u)]))
    points = rays * depth[2][v, u]
    for view in range(5):
        moved = points - (poses[view, :, 3] - poses[2, :, 3])[:, None]
        there = (k @ (moved / moved[2]))[:2].T
        seen = tracks.seen[:, view]
        assert seen.sum() > 100
        off = np.linalg.norm(tracks.pixels[seen, view] - there[seen], axis=1)
        assert np.median(off) < 0.2


def test_nothing_to_follow_is_nothing_measured():
    _, k, poses, _ = drawn()
    assert not sparse_depth(np.full((9, 160, 256), 90, np.uint8), k, poses, 4).any()
    noise = np.random.default_rng(0).integers(0, 255, (9, 160, 256), dtype=np.uint8)
    assert (sparse_depth(noise, k, poses, 4) > 0).sum() < 5


def test_wrong_shapes_and_limits_are_named():
    pictures, k, poses, _ = drawn(count=3)
    with pytest.raises(ValueError, match=r'pictures must be \(N, H, W\) uint8'):
        sparse_depth(pictures[0], k, poses, 0)
    with pytest.raises(ValueError, match=r'poses must be \(3, 3, 4\), got \(2, 3, 4\)'):
        sparse_depth(pictures, k, poses[:2], 0)
    for field, value in (
        ('neighbours', 0),
        ('corners', 0),
        ('views', 2),
        ('reprojection', 0.0),
        ('parallax', 90.0),
        ('error', 1.0),
        ('support', -1.0),
    ):
        with pytest.raises(ConfigError, match=f'{field} must be'):
            Limits(**{field: value})


def test_a_simulated_town_is_measured():
    pytest.importorskip('mujoco', reason='mujoco is not installed')
    options = SimulationOptions(192, 320, shadow_size=256, clutter=0.3, effects=False)
    try:
        town = SimulatedDrive(7, 'day', options)
        frames = list(town.frames(8))
    except SimulationError as error:
        pytest.skip(f'no offscreen OpenGL: {error}')
    pictures = np.stack([cv2.cvtColor(f.image, cv2.COLOR_RGB2GRAY) for f in frames])
    poses = np.stack([f.camera_to_world[:3] for f in frames])
    lens = town.intrinsics
    k = np.array([[lens.fx, 0, lens.cx], [0, lens.fy, lens.cy], [0, 0, 1]])
    found = sparse_depth(pictures, k, poses, 4)
    measured = (found > 0) & (frames[4].depth > 0)
    assert measured.sum() > 25
    ratio = found[measured] / frames[4].depth[measured]
    assert abs(np.median(ratio) - 1) < 0.02
    assert np.median(np.abs(ratio - 1)) < 0.04


def camera_height(points):
    """Height above the plane through road points (P, 3), by least squares without outliers."""
    columns = np.stack([np.ones(len(points)), points[:, 0], points[:, 2]], axis=1)
    kept = np.ones(len(points), dtype=bool)
    for _ in range(8):
        plane = np.linalg.lstsq(columns[kept], points[kept, 1], rcond=None)[0]
        off = np.abs(columns @ plane - points[:, 1])
        kept = off <= 2 * np.median(off)
    return plane[0] / np.sqrt(1 + plane[1] ** 2 + plane[2] ** 2)


def test_the_road_lies_under_a_real_camera(shared_data):
    folder = shared_data / 'kitti_odo_1'
    files = list_pictures(folder / 'image')
    pictures = np.stack([cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files])
    poses = read_poses(folder / 'poses.txt')
    k = np.array(json.loads((folder / 'calib.json').read_text())['K'])
    lane, counts = [], []
    for index in range(6, 45, 4):
        # Asphalt has few corners: those that stand alone are welcome here.
        found = sparse_depth(pictures, k, poses, index, Limits(support=0.0))
        counts.append(np.count_nonzero(found))
        v, u = np.nonzero(found)
        rays = np.linalg.solve(k, np.stack([u, v, np.ones_like(u)]))
        points = (rays * found[v, u]).T
        lane.append(points[(np.abs(points[:, 0]) < 1.5) & (points[:, 2] < 20)])
    assert np.median(counts) > 300
    road = np.concatenate(lane)
    road = road[(road[:, 1] > 1) & (road[:, 1] < 2.4)]
    assert len(road) > 50
    assert camera_height(road) == pytest.approx(1.65, rel=0.1)  # nominally, in KITTI's papers
