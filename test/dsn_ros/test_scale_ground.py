"""Scale by the ground: planes whose height is known in closed form."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dsn_ros.camera import Camera
from dsn_ros.scale_ground import GroundGates, ground_scale

HEIGHT, WIDTH = 64, 96
RAYS = Camera.pinhole(WIDTH, HEIGHT, 60, 60, (WIDTH - 1) / 2, (HEIGHT - 1) / 2).rays()
TRUE = 1.5  # metres from the camera to the ground


def normal(pitch=0.0, roll=0.0):
    """The ground's normal seen by a camera that looks up by ``pitch`` and leans, degrees."""
    return Rotation.from_euler('xz', [pitch, roll], degrees=True).apply([0.0, 1.0, 0.0])


def ground(down, height=1.0):
    """Depth of a plane ``height`` below the camera, and where it can be seen within 40 heights."""
    rays = np.concatenate([RAYS, np.ones((HEIGHT, WIDTH, 1))], axis=-1)
    with np.errstate(divide='ignore'):
        depth = height / (rays @ down)
    return depth.astype(np.float32), (depth > 0) & (depth < 40 * height)


@settings(max_examples=40, deadline=None)
@given(st.floats(-12, 8), st.floats(-8, 8), st.floats(0.01, 100), st.booleans())
def test_a_plane_s_height_is_found_however_the_camera_is_tilted(pitch, roll, unit, told):
    down = normal(pitch, roll)
    depth, road = ground(down, TRUE / unit)
    found = ground_scale(depth, road, RAYS, TRUE, down if told else None)
    assert found.usable, found.reason
    assert found.factor == pytest.approx(unit, rel=1e-3)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 100), st.integers(0, 1000))
def test_the_factor_of_depth_in_other_units_is_the_inverse(unit, seed):
    down = normal(-3, 1)
    depth, road = ground(down)
    depth = depth * np.random.default_rng(seed).lognormal(0, 0.05, depth.shape)
    one = ground_scale(depth.astype(np.float32), road, RAYS, TRUE, down)
    other = ground_scale((unit * depth).astype(np.float32), road, RAYS, TRUE, down)
    assert other.factor == pytest.approx(one.factor / unit, rel=1e-4)
    assert other.sigma == pytest.approx(one.sigma, rel=1e-2)


def test_noise_and_two_fifths_of_outliers_are_borne():
    rng = np.random.default_rng(1)
    down = normal(-4, 2)
    depth, road = ground(down)
    depth *= rng.lognormal(0, 0.03, depth.shape)
    wrong = rng.random(depth.shape) < 0.4
    # Kerbs and cars: before the plane, never behind it.
    depth = np.where(wrong, depth * rng.uniform(0.2, 0.9, depth.shape), depth)
    for told in (down, None):
        found = ground_scale(depth.astype(np.float32), road, RAYS, TRUE, told)
        assert found.usable, found.reason
        assert found.factor == pytest.approx(TRUE, rel=0.02)
    assert 0 < found.sigma < 0.05


def test_a_wrong_height_gives_a_wrong_scale_in_proportion():
    depth, road = ground(normal())
    factors = [ground_scale(depth, road, RAYS, h, normal()).factor for h in (1.0, 1.5, 3.0)]
    assert factors == pytest.approx([1.0, 1.5, 3.0], rel=1e-4)


def test_pixels_without_depth_or_sight_count_for_nothing():
    depth, road = ground(normal())
    depth[40:44], depth[44:48] = np.nan, np.inf
    rays = RAYS.copy()
    rays[:, :8] = np.nan  # where a lens folds over
    found = ground_scale(depth, road, rays, TRUE, normal())
    assert found.factor == pytest.approx(TRUE, rel=1e-3)


def test_tf_s_normal_holds_a_plane_that_the_network_tilts():
    """A network's road that bends up with distance has the height it has near its middle."""
    down = normal()
    depth, road = ground(down)
    bent = (depth * (1 + 0.01 * np.clip(depth - 3, -2, 10))).astype(np.float32)
    held = ground_scale(bent, road, RAYS, TRUE, down)
    free = ground_scale(bent, road, RAYS, TRUE, down, GroundGates(tilt_sigma=50))
    assert abs(held.factor / TRUE - 1) < abs(free.factor / TRUE - 1)


@pytest.mark.parametrize(
    ('spoil', 'said'),
    [
        ('no road', 'too little road'),
        ('a wall', 'no ground|tilted'),
        ('a hump', 'one plane|uneven'),
        ('noise', 'one plane|uneven'),
        ('tf is wrong', 'tilted|no ground'),
    ],
)
def test_what_is_no_ground_is_not_believed(spoil, said):
    down = normal()
    depth, road = ground(down)
    rng = np.random.default_rng(0)
    if spoil == 'no road':
        road = np.zeros_like(road)
        road[-1, :50] = True
    elif spoil == 'a wall':
        depth = np.full_like(depth, 5.0)
    elif spoil == 'a hump':
        depth *= 1 + 0.6 * np.sin(np.arange(HEIGHT) * 1.3)[:, None].astype(np.float32)
    elif spoil == 'noise':
        depth *= rng.lognormal(0, 0.6, depth.shape).astype(np.float32)
    else:
        down = normal(pitch=25)
    found = ground_scale(depth, road, RAYS, TRUE, down)
    assert not found.usable
    assert re.search(said, found.reason), found.reason


def test_the_same_picture_gives_the_same_answer_and_fast():
    import time

    rays = Camera.of_view(576, 320, 80).rays()
    full = np.concatenate([rays, np.ones((320, 576, 1))], axis=-1)
    with np.errstate(divide='ignore'):
        depth = (1 / full[..., 1]).astype(np.float32)
    road = (depth > 0) & (depth < 40)
    depth *= np.random.default_rng(0).lognormal(0, 0.1, depth.shape).astype(np.float32)
    found, times = set(), []
    for _ in range(7):
        start = time.process_time()
        found.add(ground_scale(depth, road, rays, TRUE, normal()))
        times.append(time.process_time() - start)
    assert len(found) == 1
    assert min(times) < 0.02  # 1.5 ms where nobody else computes


def looked_at(road, rays=RAYS, down=(0.0, 1.0, 0.0), step=1):
    """How many pixels of a grid are road that lies at most 20 heights away."""
    full = np.concatenate([rays, np.ones((*rays.shape[:2], 1))], axis=-1)
    sine = full @ np.array(down) / np.linalg.norm(full, axis=-1)
    return int((road & (sine > 0.05))[step // 2 :: step, step // 2 :: step].sum())


def test_every_pixel_of_an_exact_plane_agrees():
    for down in (normal(), normal(-5, 3)):
        depth, road = ground(down)
        found = ground_scale(depth, road, RAYS, TRUE, down)
        assert found.inliers == looked_at(road, down=down)
        assert found.reason == ''


def test_a_large_picture_is_looked_at_on_a_grid():
    camera = Camera.of_view(576, 320, 80)
    full = np.concatenate([camera.rays(), np.ones((320, 576, 1))], axis=-1)
    with np.errstate(divide='ignore'):
        depth = (1 / full[..., 1]).astype(np.float32)
    road = (depth > 0) & (depth < 40)
    found = ground_scale(depth, road, camera.rays(), TRUE, normal())
    assert found.inliers == looked_at(road, camera.rays(), step=7)  # √(320 · 576 / 4096) = 6.7
    assert found.factor == pytest.approx(TRUE, rel=1e-4)


@pytest.mark.parametrize(('noise', 'share'), [(0.0, 0.01), (0.03, 0.03)])
def test_sigma_is_that_of_twenty_five_independent_samples(noise, share):
    """With its normal held a plane has its height alone to be wrong; 1 % is the least noise."""
    depth, road = ground(normal())
    depth *= np.random.default_rng(2).lognormal(0, noise, depth.shape).astype(np.float32)
    held = ground_scale(depth, road, RAYS, TRUE, normal(), GroundGates(tilt_sigma=1e-4))
    assert held.sigma == pytest.approx(share / 25**0.5, rel=0.1)
    free = ground_scale(depth, road, RAYS, TRUE, normal(), GroundGates(tilt_sigma=1e4))
    assert free.sigma > 1.1 * held.sigma
    unknown = ground_scale(depth, road, RAYS, TRUE)
    assert unknown.sigma == pytest.approx(free.sigma, rel=0.02)


def test_sixty_pixels_of_road_are_enough_and_one_less_is_not():
    depth, road = ground(normal())
    for count, usable in ((60, True), (59, False)):
        some = np.zeros_like(road)
        some[-4:].reshape(-1)[:count] = True
        some[-4:] = np.random.default_rng(0).permutation(some[-4:].reshape(-1)).reshape(4, -1)
        found = ground_scale(depth, some, RAYS, TRUE, normal())
        assert found.usable is usable, found.reason
        assert found.inliers == count
    assert found.reason == 'too little road in sight (59 samples, 60 needed)'


@pytest.mark.parametrize(
    ('gates', 'said'),
    [
        ({}, ''),
        ({'min_inliers': 0.9}, r'only 7\d% of the road lies on one plane'),
        ({'max_residual': 0.01}, r'the road is uneven \([2-4]\.\d% of its depth\)'),
        ({'max_sigma': 0.001}, r'the plane is loose \(factor to within [12]%\)'),
        ({'tolerance': 1e-6}, 'only 0% of the road lies on one plane'),
    ],
)
def test_each_gate_says_why(gates, said):
    depth, road = ground(normal())
    rng = np.random.default_rng(5)
    depth *= rng.lognormal(0, 0.04, depth.shape)
    depth = np.where(rng.random(depth.shape) < 0.25, depth * 0.5, depth).astype(np.float32)
    found = ground_scale(depth, road, RAYS, TRUE, normal(), GroundGates(**gates))
    assert re.fullmatch(said, found.reason), found.reason
    assert found.usable is (said == '')


@pytest.mark.parametrize(('told', 'limit'), [(True, 10), (False, 20)])
def test_the_ground_may_be_tilted_as_far_as_it_says(told, limit):
    for angle, usable in ((limit - 1, True), (limit + 1, False)):
        depth, road = ground(normal(roll=angle))
        down = normal() if told else None
        gates = GroundGates(tilt_sigma=1e4)
        found = ground_scale(depth, road, RAYS, TRUE, down, gates)
        assert found.usable is usable, (angle, found.reason)
    assert f'within {limit} degrees' in found.reason or 'is tilted by' in found.reason


def test_a_share_of_all_is_reached_by_all():
    depth, road = ground(normal())
    assert ground_scale(depth, road, RAYS, TRUE, normal(), GroundGates(min_inliers=1.0)).usable
