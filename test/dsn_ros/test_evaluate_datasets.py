"""``dsn evaluate`` with the configurations for nuScenes and Oxford RobotCar, on tiny trees."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from support.dataset_factory import (
    LIDARSEG,
    NuScenes,
    points_of,
    write_extrinsics,
    write_robotcar,
    write_scans,
)

CONFIGS = Path(__file__).resolve().parents[2] / 'config' / 'eval'
SIZE = (24, 32)


def evaluated(tmp_path, config, *overrides):
    out = tmp_path / 'out'
    command = [sys.executable, '-m', 'dsn_ros.cli', 'evaluate', str(CONFIGS / config)]
    done = subprocess.run(
        [*command, *overrides, '--out', str(out)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((out / 'evaluation.json').read_text())['rows']
    return done.stdout, row


def lines(text, title, name):
    """The lines of ``name`` in the printed table ``title``."""
    _, table, *_ = re.split('Table |Beside the paper', text[text.index(title) :])
    return [line for line in table.splitlines() if line.strip().startswith(name)]


def test_nuscenes_fills_tables_2_and_3a(tmp_path, tiny_model):
    depth = np.where(np.random.default_rng(0).random(SIZE) < 0.4, 12.0, 0)
    depth[:12] *= 2
    ids = np.full(np.count_nonzero(depth), LIDARSEG.index('flat.driveable_surface'))
    data = NuScenes(tmp_path / 'nuscenes')
    data.scene('scene-0003', 'Day', [0, 0.5], 1).lidar(
        'scene-0003', [points_of(depth)] * 2, [ids] * 2
    )
    data.scene('scene-0012', 'Night', [9]).lidar('scene-0012', [points_of(depth)], [ids])
    rows = f'rows=[{{path: {tiny_model}, name: tiny, train: sim, precision: fp32}}]'
    text, row = evaluated(tmp_path, 'nuscenes.yaml', f'sets.0.path={data.write()}', rows)
    assert row['tables'] == [2, 3]
    assert {name: c['frames'] for name, c in row['conditions'].items()} == {
        'day-clear': 2,
        'night': 1,
    }
    errors = row['conditions']['night']['depth']['table_2']['median_scaled']
    assert 0 < errors['abs_rel'] < 2
    assert [len(lines(text, t, 'tiny')) for t in ('Table 1', 'Table 2', 'Table 3a')] == [0, 2, 2]


def test_robotcar_fills_table_1_and_without_labels_no_other(tmp_path, tiny_model):
    pictures = [np.full((*SIZE, 3), 90, np.uint8)] * 2
    drives = {}
    for condition, name in (('day', '2014-12-09-13-21-02'), ('night', '2014-12-16-18-44-24')):
        motions = [(2, 0, 0, 0, 0, 0)]
        path = write_robotcar(tmp_path, pictures, [0, 1], name=name, motions=motions)
        scan = [[-0.9, y, 1] for y in np.linspace(-1, 1, 9)]
        write_scans(path, {0.1 * i: scan for i in range(11)})
        drives[condition] = path
    write_extrinsics(tmp_path)
    text, row = evaluated(
        tmp_path,
        'robotcar.yaml',
        *(f'sets.0.{condition}={path}' for condition, path in drives.items()),
        'sets.0.every=1',
        f'rows=[{{path: {tiny_model}, name: tiny, train: sim, precision: fp32}}]',
    )
    assert row['tables'] == [1, 3]
    assert {name: c['frames'] for name, c in row['conditions'].items()} == {'day': 2, 'night': 2}
    assert [len(lines(text, t, 'tiny')) for t in ('Table 1', 'Table 2', 'Table 3b')] == [4, 0, 0]
