"""The simulated street's ground truth is exact, and the same every time."""

import dataclasses

import cv2
import numpy as np
import pytest

from dsn_core.labels import CITYSCAPES
from dsn_core.simulation import SimulatedDrive, SimulatedFrame, SimulationError, SimulationOptions

SMALL = SimulationOptions(height=96, width=160, fps=10, colour_scale=1.0, shadow_size=512)
SPARSE = dataclasses.replace(SMALL, clutter=0.2)
ROAD = CITYSCAPES.id_of('road')


@pytest.fixture(scope='module', autouse=True)
def _mujoco() -> None:
    pytest.importorskip('mujoco', reason='mujoco is not installed')
    try:
        next(iter(SimulatedDrive(0, 'day', dataclasses.replace(SMALL, clutter=0)).frames(1)))
    except SimulationError as error:
        pytest.skip(f'no offscreen OpenGL: {error}')


def _first(seed: int, condition: str, options: SimulationOptions = SMALL) -> SimulatedFrame:
    return next(iter(SimulatedDrive(seed, condition, options).frames(1)))


@pytest.mark.parametrize('seed', [0, 4, 7])
def test_road_depth_is_the_closed_form(seed: int) -> None:
    drive = SimulatedDrive(seed, 'day', dataclasses.replace(SMALL, max_grade=0.0))
    frame = next(iter(drive.frames(1)))
    down = frame.camera_to_world[:3, :3].T @ np.array([0, 0, -1.0])
    falls = drive.intrinsics.rays() @ down  # metres down per metre of depth
    with np.errstate(divide='ignore', invalid='ignore'):
        expected = drive.camera_height / falls
    flat = (frame.labels == ROAD) & (falls > 0) & (expected < 60)
    error = np.abs(frame.depth[flat] - expected[flat])
    assert flat.sum() > 1500
    assert np.quantile(error / np.maximum(0.01, 0.005 * expected[flat]), 0.995) < 1


def test_frame_has_the_promised_shapes_and_sky_is_infinitely_far() -> None:
    frame = _first(2, 'day')
    assert frame.image.shape == (96, 160, 3)
    assert frame.image.dtype == np.uint8
    assert frame.depth.shape == frame.labels.shape == (96, 160)
    assert frame.depth.dtype == np.float32
    sky = frame.labels == CITYSCAPES.id_of('sky')
    assert sky.any()
    assert np.isinf(frame.depth[sky]).all()
    assert np.isfinite(frame.depth[frame.labels == ROAD]).mean() > 0.9
    assert frame.labels.max() < len(CITYSCAPES)


def test_pose_and_depth_warp_one_frame_onto_the_next() -> None:
    drive = SimulatedDrive(3, 'day', dataclasses.replace(SMALL, clutter=0))
    a, b = list(drive.frames(3))[::2]
    camera = drive.intrinsics
    rows, cols = np.nonzero(np.isfinite(a.depth))
    points = camera.rays()[rows, cols] * a.depth[rows, cols][:, None]
    move = np.linalg.inv(b.camera_to_world) @ a.camera_to_world
    moved = points @ move[:3, :3].T + move[:3, 3]
    uv = camera.project(moved)
    inside = (uv[:, 0] > 1) & (uv[:, 0] < 158) & (uv[:, 1] > 1) & (uv[:, 1] < 94)
    u, v = uv[inside].astype(np.float32).T
    # inverse depth is linear in the pixel on a plane, so it may be interpolated
    nearness = cv2.remap((1 / b.depth).astype(np.float32), u, v, cv2.INTER_LINEAR).ravel()
    expected = moved[inside, 2]
    agree = np.abs(1 / np.maximum(nearness, 1e-6) - expected) < 0.01 + 0.01 * expected
    near = expected < 40
    assert near.sum() > 1000
    assert agree[near].mean() > 0.97


def test_same_seed_same_bytes() -> None:
    one, two = _first(5, 'night', SPARSE), _first(5, 'night', SPARSE)
    assert np.array_equal(one.image, two.image)
    assert np.array_equal(one.depth, two.depth)
    assert np.array_equal(one.labels, two.labels)
    assert not np.array_equal(one.image, _first(6, 'night', SPARSE).image)


@pytest.mark.slow
def test_conditions_share_geometry_and_darken() -> None:
    means = []
    for condition in ('day', 'dusk', 'night'):
        frames = [_first(seed, condition, SPARSE) for seed in range(3)]
        means.append(np.mean([f.image.mean() for f in frames]))
    assert means[0] > means[1] > means[2]
    assert np.array_equal(_first(1, 'day', SPARSE).labels, frames[1].labels)


@pytest.mark.parametrize('seed', [1, 8])
def test_lidar_lies_on_the_depth_map(seed: int) -> None:
    drive = SimulatedDrive(
        seed, 'day', dataclasses.replace(SMALL, lidar_azimuth_step=1.0, height=192, width=320)
    )
    for frame in drive.frames(1):
        points = drive.lidar(frame)
    assert points.dtype == np.float32
    assert len(points) > 1000
    uv = np.rint(drive.intrinsics.project(points))
    inside = (uv[:, 0] >= 2) & (uv[:, 0] < 318) & (uv[:, 1] >= 2) & (uv[:, 1] < 190)
    u, v = uv[inside].astype(int).T
    z = points[inside, 2]
    around = np.stack(
        [frame.depth[v + i, u + j] for i in (-2, -1, 0, 1, 2) for j in (-2, -1, 0, 1, 2)]
    )
    # away from edges, and from the parallax between sensor and camera
    smooth = (around.max(0) - around.min(0) < 0.1 + 0.15 * around.min(0)) & np.isfinite(
        around.max(0)
    )
    low, high = around.min(0), around.max(0)
    good = (z > low - 0.02 - 0.01 * z) & (z < high + 0.02 + 0.01 * z)
    assert smooth.sum() > 300
    assert good[smooth].mean() > 0.97


def test_lidar_of_an_old_frame_is_refused() -> None:
    drive = SimulatedDrive(1, 'day', SMALL)
    (frame,) = drive.frames(1)
    with pytest.raises(SimulationError, match='inside the loop'):
        drive.lidar(frame)


def test_drive_goes_on_in_another_street() -> None:
    options = dataclasses.replace(SMALL, fps=0.05, length=100.0)
    frames = list(SimulatedDrive(2, 'dusk', options).frames(3))
    assert frames[-1].segment > 0
