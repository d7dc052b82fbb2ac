"""Scale by motion: exact points and poses, and a textured wall that is driven at."""

import re

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dsn_ros.camera import Camera
from dsn_ros.scale_odometry import MotionGates, MotionScale, MotionView, motion_scale

FOCAL = 300.0


def motion(x=0.05, y=0.0, z=-1.0, turn=(0.5, 1.0, 0.2)):
    """Points before → points after the camera went 1 m ahead, turning a little."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler('xyz', turn, degrees=True).as_matrix()
    matrix[:3, 3] = (x, y, z)
    return matrix


def scene(moved, count=200, seed=0):
    """Rays before and after (N, 2) and depths before and after (N,) of resting points."""
    rng = np.random.default_rng(seed)
    depth = rng.uniform(4, 25, count)
    rays = rng.uniform((-0.9, -0.5), (0.9, 0.5), (count, 2))
    points = np.concatenate([rays, np.ones((count, 1))], axis=1) * depth[:, None]
    after = points @ moved[:3, :3].T + moved[:3, 3]
    return rays, after[:, :2] / after[:, 2:], depth, after[:, 2]


@settings(max_examples=30, deadline=None)
@given(
    st.floats(0.01, 100),
    st.floats(-0.5, 0.5),
    st.sampled_from([-2.0, -0.5, 1.0]),
    st.tuples(*[st.floats(-4, 4)] * 3),
    st.integers(0, 99),
)
def test_exact_points_give_the_exact_factor(unit, x, z, turn, seed):
    moved = motion(x, 0.1, z, turn)
    before, after, near, far = scene(moved, seed=seed)
    found = motion_scale(before, after, near / unit, far / unit, moved, FOCAL)
    assert found.usable, found.reason
    assert found.factor == pytest.approx(unit, rel=1e-6)


def test_noise_of_tracks_and_depth_does_not_bias():
    moved, factors = motion(), []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        before, after, near, far = scene(moved, seed=seed)
        after = after + rng.normal(0, 0.3 / FOCAL, after.shape)
        near, far = (d * rng.lognormal(0, 0.15, d.shape) for d in (near, far))
        found = motion_scale(before, after, near / 3, far / 3, moved, FOCAL)
        assert found.usable, found.reason
        factors.append(found.factor)
    assert np.median(factors) == pytest.approx(3.0, rel=0.02)
    assert np.std(np.log(factors)) < 3 * found.sigma


@pytest.mark.parametrize('moving', ['with the camera', 'across', 'some of both'])
def test_what_moves_by_itself_has_no_vote(moving):
    moved = motion()
    before, after, near, far = scene(moved)
    if moving == 'with the camera':  # its own lights do not move in the picture: more than half
        after[:110] = before[:110]
        moved[:3, :3] = np.eye(3)
        points = np.concatenate([before, np.ones((200, 1))], axis=1) * near[:, None]
        points += moved[:3, 3]
        after[110:], far = points[110:, :2] / points[110:, 2:], points[:, 2]
    elif moving == 'across':  # twice as far as resting points, and off the lines they move on
        turned = np.concatenate([before, np.ones((200, 1))], axis=1) @ moved[:3, :3].T
        parallax = after - turned[:, :2] / turned[:, 2:]
        off = parallax[:, ::-1] / np.linalg.norm(parallax, axis=1, keepdims=True) * (-0.02, 0.02)
        after[:110] += parallax[:110] + off[:110]
    else:
        after[:60] += (0.03, 0.02)
        after[60:90] = before[60:90]
    found = motion_scale(before, after, near / 3, far / 3, moved, FOCAL)
    assert found.usable, found.reason
    assert found.factor == pytest.approx(3.0, rel=1e-3)


@pytest.mark.parametrize('known', ['before', 'after'])
def test_the_depth_of_either_picture_is_enough(known):
    moved = motion()
    before, after, near, far = scene(moved)
    unknown = near if known == 'after' else far
    unknown[:] = np.nan
    found = motion_scale(before, after, near / 3, far / 3, moved, FOCAL)
    assert found.factor == pytest.approx(3.0, rel=1e-6)


def test_twice_the_motion_told_is_twice_the_factor():
    moved = motion()
    before, after, near, far = scene(moved)
    told = moved.copy()
    told[:3, 3] *= 2
    assert motion_scale(before, after, near, far, told, FOCAL).factor == pytest.approx(2, rel=1e-3)


@pytest.mark.parametrize('spoil', ['far', 'few', 'chaos', 'turn only', 'nothing'])
def test_what_does_not_tell_is_not_believed(spoil):
    moved = motion(turn=(0, 5, 0)) if spoil == 'turn only' else motion()
    if spoil == 'turn only':
        moved[:3, 3] = 1e-9
    count = {'few': 12, 'nothing': 0}.get(spoil, 200)
    before, after, near, far = scene(moved, count)
    if spoil == 'far':
        points = np.concatenate([before, np.ones((count, 1))], axis=1) @ moved[:3, :3].T
        after, near, far = points[:, :2] / points[:, 2:], near * 1e3, far * 1e3
    elif spoil == 'chaos':
        after = np.random.default_rng(0).uniform(-0.5, 0.5, after.shape)
    found = motion_scale(before, after, near, far, moved, FOCAL)
    assert not found.usable
    assert found.reason


def test_every_track_counts_twice_and_agrees_with_itself():
    moved = motion()
    before, after, near, far = scene(moved)
    found = motion_scale(before, after, near / 3, far / 3, moved, FOCAL)
    assert 300 < found.inliers <= 400  # the farthest have too little parallax
    assert found.sigma == pytest.approx(0, abs=1e-9)
    near = near * np.random.default_rng(1).lognormal(0, 0.1, near.shape)
    far = far * np.random.default_rng(2).lognormal(0, 0.1, far.shape)
    found = motion_scale(before, after, near / 3, far / 3, moved, FOCAL)
    assert found.sigma == pytest.approx(0.1 / 25**0.5, rel=0.15)


def near_scene(moved, count):
    """As ``scene``, all of it near enough to tell."""
    rng = np.random.default_rng(4)
    depth = rng.uniform(4, 6, count)
    side = rng.choice([-1, 1], (count, 2))
    rays = side * rng.uniform(0.3, 0.6, (count, 2))
    points = np.concatenate([rays, np.ones((count, 1))], axis=1) * depth[:, None]
    after = points @ moved[:3, :3].T + moved[:3, 3]
    return rays, after[:, :2] / after[:, 2:], depth, after[:, 2]


def test_twenty_tracks_are_enough_and_one_less_is_not():
    moved = motion()
    assert motion_scale(*near_scene(moved, 20), moved, FOCAL).usable
    found = motion_scale(*near_scene(moved, 19), moved, FOCAL)
    assert (found.reason, found.inliers) == ('too few points with parallax (19)', 38)


@pytest.mark.parametrize(
    ('gates', 'said'),
    [
        ({}, ''),
        ({'tolerance': 0.02, 'min_inliers': 0.9}, r'only \d\d% of the points agree on a scale'),
        ({'max_sigma': 0.01}, r'the points disagree \(factor to within [23]%\)'),
        ({'min_tracks': 101}, r'too few points with parallax \(100\)'),
        ({'max_noise': 1e-4}, 'no point moved as the odometry says'),
    ],
)
def test_each_gate_says_why(gates, said):
    moved = motion()
    before, after, near, far = near_scene(moved, 100)
    near, far = (d * np.random.default_rng(3).lognormal(0, 0.12, 100) for d in (near, far))
    found = motion_scale(before, after, near, far, moved, FOCAL, MotionGates(**gates))
    assert re.fullmatch(said, found.reason), found.reason
    assert found.usable is (said == '')


@pytest.mark.parametrize(('pixels', 'agree'), [(1.3, 100), (1.8, 0)])
def test_what_leaves_its_epipolar_line_by_a_pixel_and_a_half_moves_by_itself(pixels, agree):
    moved = motion(x=-1.0, z=0.0, turn=(0, 0, 0))  # to the right: points go left, along rows
    before, after, near, far = near_scene(moved, 100)
    after = after + (0, pixels / FOCAL)
    found = motion_scale(before, after, near, far, moved, FOCAL)
    assert found.inliers == 2 * agree


class Wall:
    """A textured wall that a camera drives towards, drawn exactly; depth in an unknown unit."""

    height, width = 120, 200
    camera = Camera.pinhole(200, 120, 160.0, 160.0, 99.5, 59.5)

    def __init__(self, unit=5.0):
        self.unit = unit
        rng = np.random.default_rng(3)
        self.texture = cv2.GaussianBlur(
            cv2.resize(rng.integers(0, 255, (150, 250), dtype=np.uint8), (1500, 900)), (0, 0), 2
        )

    def view(self, ahead, aside=0.0, guess=1.0):
        """The camera ``ahead`` metres towards the wall, which is at 10 m."""
        distance = 10.0 - ahead
        rays = self.camera.rays()
        # 100 texture pixels to the metre, (750, 450) straight ahead of where it started.
        x = (rays[..., 0] * distance + aside) * 100 + 750
        y = rays[..., 1] * distance * 100 + 450
        grey = cv2.remap(self.texture, x.astype(np.float32), y.astype(np.float32), 1)
        pose = np.eye(4)
        pose[:3, 3] = (aside, 0, ahead)
        shape = (self.height, self.width)
        depth = np.full(shape, distance / self.unit, np.float32)
        return MotionView(grey, depth, np.ones(shape, bool), rays, 160.0, pose, guess)


@pytest.mark.parametrize('guess', [5.0, 1.0, 20.0])
def test_a_wall_s_scale_is_found_from_pictures(guess):
    wall, scale = Wall(), MotionScale()
    found = [scale.update(wall.view(0.4 * i, 0.1 * i, guess)) for i in range(4)]
    assert not found[0].usable
    for each in found[1:]:
        assert each.usable, each.reason
        assert each.factor == pytest.approx(5.0, rel=0.03)


def test_a_guess_that_is_far_off_does_no_harm():
    wall, scale = Wall(), MotionScale()
    scale.update(wall.view(0.0))
    found = scale.update(wall.view(0.2, 0.6, guess=1.6))
    assert found.usable, found.reason
    assert found.factor == pytest.approx(5.0, rel=0.03)


def test_small_steps_are_added_up_and_standing_tells_nothing():
    wall, scale = Wall(), MotionScale()
    found = [scale.update(wall.view(0.11 * i, 0.05 * i)) for i in range(7)]
    usable = [each.usable for each in found]
    assert usable == [False, False, False, True, False, False, True]
    assert all('hardly moved' in found[i].reason for i in (1, 2, 4, 5))
    assert found[3].factor == pytest.approx(5.0, rel=0.04)
    assert not any(scale.update(wall.view(0.66, 0.3)).usable for _ in range(3))


def test_a_picture_of_another_size_or_without_texture_begins_anew():
    wall, scale = Wall(), MotionScale()
    scale.update(wall.view(0.0))
    small = wall.view(0.5)
    cut = {name: getattr(small, name)[:60] for name in ('grey', 'depth', 'still', 'rays')}
    assert 'first' in scale.update(MotionView(**cut, focal=160.0, pose=small.pose)).reason
    grey = wall.view(1.0)
    blank = MotionView(np.zeros_like(grey.grey), *list(vars(grey).values())[1:])
    assert not scale.update(blank).usable
    assert 'too few' in scale.update(blank).reason


def test_told_to_forget_it_begins_with_the_next_picture():
    wall, scale = Wall(), MotionScale()
    scale.update(wall.view(0.0))
    scale.forget()
    assert scale.update(wall.view(0.5)).reason == 'the first picture'
    assert scale.update(wall.view(1.0)).usable


def test_what_may_move_by_itself_or_has_no_depth_is_not_followed():
    wall = Wall()
    for field, value in (('still', False), ('depth', np.nan), ('depth', 0.0)):
        scale = MotionScale()
        views = [wall.view(0.0), wall.view(0.5)]
        getattr(views[0], field)[:] = value
        assert not scale.update(views[0]).usable
        assert scale.update(views[1]).reason == 'too few points could be followed (0)'
        # Begun anew with the second, of which everything is known.
        assert scale.update(wall.view(1.0)).usable


def test_a_good_guess_finds_what_has_moved_far_and_a_bad_one_does_not():
    """At 40 pixels nothing is found from where it was."""
    for guess, usable in ((5.0, True), (1.0, False)):
        wall, scale = Wall(), MotionScale()
        scale.update(wall.view(0.0, guess=guess))
        found = scale.update(wall.view(0.2, 2.5, guess=guess))
        assert found.usable is usable
        assert not usable or found.factor == pytest.approx(5.0, rel=0.01)
