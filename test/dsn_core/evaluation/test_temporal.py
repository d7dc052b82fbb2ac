"""Steadiness along a drive: what exact, scaled and flickering predictions score."""

import math

import numpy as np
import pytest

from dsn_core.data.simulation_source import SimulationSource  # before mujoco: names its GL
from dsn_core.evaluation.temporal import View, corresponding, depth_change, label_agreement

HEIGHT, WIDTH, FOCAL, CAMERA = 48, 80, 60.0, 1.5
K = np.array([[FOCAL, 0, (WIDTH - 1) / 2], [0, FOCAL, 10.0], [0, 0, 1]])


def pose(x=0.0, z=0.0, yaw=0.0):
    c, s = math.cos(yaw), math.sin(yaw)
    return np.array([[c, 0, s, x], [0, 1, 0, 0], [-s, 0, c, z]])


def road_and_wall(at, wall=12.0):
    """Depth, in closed form, of a road 1.5 m below the camera and a wall at world z ``wall``."""
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    rays = np.stack([(u - K[0, 2]) / FOCAL, (v - K[1, 2]) / FOCAL, np.ones_like(u)])
    world = np.einsum('ij,jhw->ihw', at[:, :3], rays)
    to_road = np.where(world[1] > 1e-6, CAMERA / np.maximum(world[1], 1e-6), np.inf)
    to_wall = (wall - at[2, 3]) / world[2]
    return View(np.minimum(to_road, to_wall), K, at)


@pytest.fixture
def views():
    return road_and_wall(pose()), road_and_wall(pose(x=0.2, z=1.0, yaw=0.05))


def test_pairs_are_the_same_points(views):
    before, now = views
    here, there = corresponding(before, now)
    assert len(here) > 0.5 * HEIGHT * WIDTH
    # By hand for one of them: out through now, into before.
    for i in (0, len(here) // 2, len(here) - 1):
        v, u = divmod(int(here[i]), WIDTH)
        ray = np.array([(u - K[0, 2]) / FOCAL, (v - K[1, 2]) / FOCAL, 1.0])
        world = now.pose[:, :3] @ (ray * now.depth[v, u]) + now.pose[:, 3]
        x, y, z = world  # before is at the origin
        row, column = divmod(int(there[i]), WIDTH)
        assert abs(FOCAL * x / z + K[0, 2] - column) <= 0.5 + 1e-9
        assert abs(FOCAL * y / z + K[1, 2] - row) <= 0.5 + 1e-9


def test_exact_depth_in_any_unit_does_not_change(views):
    before, now = views
    pairs = corresponding(before, now)
    assert depth_change(before, now, before.depth, now.depth, pairs) == pytest.approx(0, abs=1e-12)
    scaled = depth_change(before, now, 7 * before.depth, 7 * now.depth, pairs)
    assert scaled == pytest.approx(0, abs=1e-12)


def test_a_flicker_scores_its_logarithm(views):
    before, now = views
    pairs = corresponding(before, now)
    change = depth_change(before, now, before.depth / 1.1, now.depth * 1.1, pairs)
    assert change == pytest.approx(2 * math.log(1.1))


def test_depth_that_does_not_follow_the_motion_is_no_steady_depth(views):
    before, now = views
    pairs = corresponding(before, now)
    still = depth_change(before, now, before.depth, before.depth, pairs)
    assert still > 0.02


def test_what_was_hidden_or_moves_is_left_out():
    before, now = road_and_wall(pose()), road_and_wall(pose(z=0.5))
    whole = corresponding(before, now)
    hidden = before.depth.copy()
    hidden[:, :30] = 2.0  # something stood before the left part
    here, there = corresponding(View(hidden, K, before.pose), now)
    assert len(here) < len(whole[0])
    agrees = np.abs(before.depth.ravel()[there] / hidden.ravel()[there] - 1) < 0.11
    assert agrees.all()
    assert corresponding(View(0 * hidden, K, before.pose), now)[0].size == 0


def test_unknown_and_infinite_predictions_are_left_out(views):
    before, now = views
    pairs = corresponding(before, now)
    torn = now.depth.copy()
    torn[::2] = np.inf
    torn[1::4] = np.nan
    assert depth_change(before, now, before.depth, torn, pairs) == pytest.approx(0, abs=1e-12)
    assert math.isnan(depth_change(before, now, before.depth, torn * np.nan, pairs))


def test_labels_that_move_with_the_scene_and_labels_that_flicker(views):
    before, now = views
    pairs = corresponding(before, now)
    same = np.full((HEIGHT, WIDTH), 3, np.uint8)
    assert label_agreement(same, same, pairs) == 1
    flicker = same.copy()
    flicker.ravel()[pairs[0][: len(pairs[0]) // 4]] = 5
    share = (len(pairs[0]) // 4) / len(pairs[0])
    assert label_agreement(same, flicker, pairs) == pytest.approx(1 - share)
    empty = np.zeros(0, np.int64)
    assert math.isnan(label_agreement(same, same, (empty, empty)))


def test_a_simulated_drive(tmp_path):
    pytest.importorskip('mujoco', reason='mujoco is not installed')
    source = SimulationSource(towns=1, frames_per_drive=2, split='test', height=96, width=160)
    (drive,) = source.drives(tmp_path)
    poses = drive.poses()
    old, new = (drive.read(i) for i in range(2))
    before = View(old.depth, drive.intrinsics, poses[0])
    now = View(new.depth, drive.intrinsics, poses[1])
    pairs = corresponding(before, now)
    assert len(pairs[0]) > 0.3 * 96 * 160
    assert depth_change(before, now, old.depth, new.depth, pairs) == pytest.approx(0, abs=1e-7)
    doubled = depth_change(before, now, old.depth, 2 * new.depth, pairs)
    assert doubled == pytest.approx(math.log(2))
    assert label_agreement(old.labels, new.labels, pairs) > 0.95
