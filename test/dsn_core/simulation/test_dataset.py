"""Drives on disk: layout, encoding, splits, resuming."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from dsn_core.data.drives import Drive
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
    assert about['format_version'] == 2
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
    assert np.array_equal(Drive.open(drives[1]).instances(0), frame.instances)
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


def _bytes(folder: Path) -> dict[str, bytes]:
    files = sorted(f for f in folder.rglob('*') if f.is_file())
    return {str(f.relative_to(folder)): f.read_bytes() for f in files}


@pytest.mark.slow
def test_drawn_again_by_two_every_byte_is_the_same(drives: list[Path], tmp_path: Path) -> None:
    simulate(tmp_path, [3, 9], ['day', 'night'], 2, SMALL, 2, None)
    assert _bytes(tmp_path) == _bytes(drives[0].parent)


def test_a_gpu_is_given_to_the_workers(drives: list[Path], tmp_path: Path) -> None:
    # The first EGL device there is; what it draws on this machine is the same.
    made = simulate(tmp_path, [3], ['night'], 2, SMALL, 1, None, [0])
    assert _bytes(made[0]) == _bytes(drives[1])
    with pytest.raises(SimulationError, match='gpu'):
        simulate(tmp_path, [9], ['night'], 1, SMALL, 1, None, [99])


@pytest.mark.slow
def test_a_killed_run_goes_on_with_whole_drives(drives: list[Path], tmp_path: Path) -> None:
    work = 'import sys; from pathlib import Path; from dsn_core.simulation import *; '
    work += f'simulate(Path(sys.argv[1]), [3, 9], ["day", "night"], 2, {SMALL!r}, 2)'
    process = subprocess.Popen([sys.executable, '-c', work, str(tmp_path)])
    deadline = time.monotonic() + 60
    while process.poll() is None and not list(tmp_path.glob('.*.part')):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    for folder in tmp_path.glob('town*'):  # whole, or not there
        assert _bytes(folder) == _bytes(drives[0].parent / folder.name)
    while any(_is_alive(part) for part in tmp_path.glob('.*.part')):  # workers follow at once
        assert time.monotonic() < deadline
        time.sleep(0.01)
    seen: list[int] = []
    simulate(tmp_path, [3, 9], ['day', 'night'], 2, SMALL, 1, lambda done, _: seen.append(done))
    assert seen[-1] == 4
    assert _bytes(tmp_path) == _bytes(drives[0].parent)


def _is_alive(part: Path) -> bool:
    try:
        os.kill(int(part.name.split('.')[-2]), 0)
    except ProcessLookupError:
        return False
    return True


def test_unknown_condition_is_named() -> None:
    pytest.importorskip('mujoco', reason='mujoco is not installed')
    with pytest.raises(SimulationError, match='noon'):
        simulate(Path('unused'), [1], ['noon'], 1, SMALL, 1, None)
