"""Simulated drives as a source of frames."""

import os
import sys

import numpy as np
import pytest

from dsn_core.data.simulation_source import SimulationSource
from dsn_core.errors import ConfigError
from dsn_core.simulation import SimulationError


def test_towns_are_the_first_of_their_split():
    assert SimulationSource(towns=4, first_seed=6).seeds() == [6, 7, 10, 11]
    assert SimulationSource(towns=3, split='validation').seeds() == [8, 18, 28]
    assert SimulationSource(towns=2, first_seed=20, split='test').seeds() == [29, 39]


def test_fields_say_it_all():
    source = SimulationSource(towns=3, frames_per_drive=5)
    assert list(source.files()) == []
    assert source.count() == 15
    assert SimulationSource(towns=3, condition='', frames_per_drive=5).count() == 45


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'towns': 0}, 'towns must be one or more'),
        ({'first_seed': -1}, 'first_seed must be zero or more'),
        ({'split': ''}, 'split must be train, validation or test'),
        ({'condition': 'noon'}, 'condition must be day, dusk, night or nothing'),
        ({'frames_per_drive': 0}, 'frames_per_drive must be one or more'),
        ({'workers': 0}, 'workers must be one or more'),
        ({'height': 8}, 'height = 8: must be 16 to 4096'),
        ({'fps': 0.0}, r'fps = 0\.0: must be positive'),
    ],
)
def test_fields_are_checked(fields, message):
    with pytest.raises(ConfigError, match=f'^{message}'):
        SimulationSource(**{'towns': 1, **fields})


@pytest.mark.slow
def test_draws_what_is_missing_and_reads_it_as_drives(tmp_path, monkeypatch):
    pytest.importorskip('mujoco', reason='mujoco is not installed')
    source = SimulationSource(
        towns=2, first_seed=8, split='validation', frames_per_drive=2, fps=2.0, height=32, width=48
    )
    try:
        frames = list(source.frames(tmp_path))
    except SimulationError as error:
        pytest.skip(f'no offscreen OpenGL: {error}')
    assert [f.sequence for f in frames] == [
        'town000008_day.0',
        'town000008_day.0',
        'town000018_day.0',
        'town000018_day.0',
    ]
    assert [f.time for f in frames] == [0, 0.5, 0, 0.5]
    assert frames[0].image.shape == (32, 48, 3)
    drives = source.drives(tmp_path)
    assert [d.split for d in drives] == ['validation', 'validation']
    first, second = drives[0].poses()[:, :, 3]
    assert frames[1].travelled == pytest.approx(np.linalg.norm(second - first))
    assert frames[1].travelled > 0.5
    # Half of it again, without the other town being drawn again.
    for path in drives[1].path.rglob('*.*'):
        path.unlink()
    kept = drives[0].path / 'drive.json'
    os.utime(kept, (1, 1))
    assert len(list(source.frames(tmp_path))) == 4
    assert kept.stat().st_mtime == 1
    # What is drawn needs no MuJoCo any more.
    monkeypatch.setitem(sys.modules, 'mujoco', None)
    assert len(list(source.frames(tmp_path))) == 4


def test_without_mujoco_it_says_so_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'mujoco', None)
    with pytest.raises(SimulationError, match='mujoco is not installed: pip install') as error:
        list(SimulationSource(towns=1).frames(tmp_path))
    assert '\n' not in str(error.value)
