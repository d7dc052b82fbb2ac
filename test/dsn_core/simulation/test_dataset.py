"""Drives on disk: layout, encoding, splits, resuming."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from dsn_core.simulation import (
    SimulatedDrive,
    SimulationError,
    SimulationOptions,
    simulate,
    split_of,
)

SMALL = SimulationOptions(
    height=64, width=96, fps=2, colour_scale=1.0, shadow_size=256, clutter=0.2
)


@pytest.fixture(scope='module')
def drives(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    pytest.importorskip('mujoco', reason='mujoco is not installed')
    out = tmp_path_factory.mktemp('drives')
    try:
        return simulate(out, [3, 9], ['day', 'night'], 2, SMALL, 1, None)
    except SimulationError as error:
        pytest.skip(f'no offscreen OpenGL: {error}')


def test_split_follows_the_last_digit() -> None:
    assert [split_of(s) for s in (0, 7, 17, 8, 28, 9, 109)] == [
        'train',
        'train',
        'train',
        'validation',
        'validation',
        'test',
        'test',
    ]


def test_layout_and_encoding(drives: list[Path]) -> None:
    assert [d.name for d in drives] == [
        'town000003_day',
        'town000003_night',
        'town000009_day',
        'town000009_night',
    ]
    about = json.loads((drives[1] / 'drive.json').read_text())
    assert about['format_version'] == 1
    assert (about['seed'], about['condition'], about['fps']) == (3, 'night', 2)
    assert about['class_names'][0] == 'road'
    frame = next(iter(SimulatedDrive(3, 'night', SMALL).frames(1)))
    depth = cv2.imread(str(drives[1] / 'depth' / '000000.png'), cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16
    assert np.array_equal(depth == 0, np.isinf(frame.depth))
    near = np.isfinite(frame.depth)
    assert np.abs(depth[near] / 256.0 - frame.depth[near]).max() < 0.003
    labels = cv2.imread(str(drives[1] / 'labels' / '000000.png'), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(labels, frame.labels)
    image = cv2.imread(str(drives[1] / 'image' / '000001.jpg'))
    assert image.shape == (64, 96, 3)
    poses = np.loadtxt(drives[1] / 'poses.txt')
    assert poses.shape == (2, 12)
    np.testing.assert_allclose(poses[0].reshape(3, 4), frame.camera_to_world[:3], atol=1e-6)


def test_whole_drives_are_left_alone_and_missing_ones_made(drives: list[Path]) -> None:
    kept = (drives[0] / 'drive.json').stat().st_mtime_ns
    (drives[2] / 'drive.json').unlink()
    seen: list[tuple[int, int]] = []
    again = simulate(
        drives[0].parent,
        [3, 9],
        ['day', 'night'],
        2,
        SMALL,
        1,
        lambda done, total: seen.append((done, total)),
    )
    assert again == drives
    assert seen == [(4, 4)]
    assert (drives[0] / 'drive.json').stat().st_mtime_ns == kept
    assert not list(drives[0].parent.glob('.*.part'))


def test_workers_write_the_same(drives: list[Path], tmp_path: Path) -> None:
    made = simulate(tmp_path, [3], ['day', 'night'], 2, SMALL, 2, None)
    for one, two in zip(drives, made, strict=False):
        for name in ('depth/000001.png', 'labels/000001.png', 'image/000001.jpg'):
            assert (one / name).read_bytes() == (two / name).read_bytes()


def test_unknown_condition_is_named() -> None:
    pytest.importorskip('mujoco', reason='mujoco is not installed')
    with pytest.raises(SimulationError, match='noon'):
        simulate(Path('unused'), [1], ['noon'], 1, SMALL, 1, None)
