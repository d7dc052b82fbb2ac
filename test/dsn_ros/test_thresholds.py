"""Limits: how they are written, when they are crossed, and what the command makes of it."""

import json
from pathlib import Path

import pytest
from support.bag_factory import START_NS, Recording
from typer.testing import CliRunner

from dsn_ros.cli import app
from dsn_ros.errors import UserError
from dsn_ros.thresholds import Limit, crossed, judge, limits_from

METRICS = {
    'rate_hz': 8.0,
    'frames_in': 50,
    'dropped': {'undecodable image': 1, 'damaged message': 1},
    'scale': {'metric': True},
    'comparison': {
        'all': {
            'depth': {'abs_rel': 0.30},
            'depth_median_scaled': {'abs_rel': 0.2},
            'labels': {'miou': 0.4},
        },
        'night': {'depth': {'abs_rel': 0.5}, 'depth_median_scaled': {'abs_rel': 0.45}},
    },
}


@pytest.mark.parametrize(
    ('option', 'text', 'is_crossed'),
    [
        ('max-abs-rel', '0.3', False),
        ('max-abs-rel', '0.29', True),
        ('max-abs-rel', 'night=0.5', False),
        ('max-abs-rel', 'night=0.49', True),
        ('max-abs-rel', 'dusk=9', True),  # not measured
        ('min-miou', '0.4', False),
        ('min-miou', '0.41', True),
        ('min-miou', 'night=0', True),  # not measured
        ('min-fps', '8', False),
        ('min-fps', '8.1', True),
        ('max-dropped', '0.04', False),
        ('max-dropped', '0.039', True),
    ],
)
def test_each_limit(option, text, is_crossed):
    (row,) = judge(METRICS, limits_from({option: [text]}))
    assert row['crossed'] is is_crossed
    lines = crossed({'thresholds': [row]})
    assert len(lines) == is_crossed
    if lines:
        assert row['condition'] in lines[0]
        assert f'{row["limit"]:g}' in lines[0]


def test_relative_depth_is_judged_median_scaled():
    limit = [Limit('abs_rel', 0.25, at_most=True)]
    assert judge(METRICS, limit)[0]['crossed']
    relative = {**METRICS, 'scale': {'metric': False}}
    assert judge(relative, limit)[0]['value'] == 0.2


@pytest.mark.parametrize(
    ('option', 'text'),
    [
        ('max-abs-rel', 'much'),
        ('max-abs-rel', 'night='),
        ('max-abs-rel', '=0.4'),
        ('max-abs-rel', '-1'),
        ('max-abs-rel', 'nan'),
        ('min-miou', '40'),
        ('min-fps', 'night=3'),
        ('max-dropped', '2'),
    ],
)
def test_what_is_no_limit_is_refused(option, text):
    with pytest.raises(UserError, match=f'--{option} must be'):
        limits_from({option: [text]})


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    recording = Recording()
    recording.frames('/camera/image', 3, info='/camera/camera_info')
    recording.depth('/ground_truth/depth/image', 3)
    recording.add('/ground_truth/condition', recording.make.string('night'), START_NS)
    return recording.write(tmp_path_factory.mktemp('bags') / 'drive')


@pytest.mark.parametrize(
    ('limits', 'code', 'told'),
    [
        (['--max-abs-rel', '1e6', '--max-abs-rel', 'night=1e6', '--max-dropped', '0'], 0, []),
        (['--max-abs-rel', '0', '--min-fps', '0.001'], 1, ['all abs_rel']),
        (['--max-abs-rel', 'night=0', '--min-fps', '1e9'], 1, ['night abs_rel', 'all rate_hz']),
        (['--min-miou', '0.1'], 1, ['all miou is not measured, min 0.1']),
    ],
)
def test_the_command_fails_where_a_limit_is_crossed(bag, tiny_model, tmp_path, limits, code, told):
    args = ['replay', bag, '--compare', '--model', tiny_model, '--out', tmp_path, *limits]
    done = CliRunner().invoke(app, [*map(str, args)])
    assert done.exit_code == code, done.output
    lines = [x for x in done.output.splitlines() if x.startswith('crossed: ')]
    assert len(lines) == len(told)
    assert all(any(each in line for line in lines) for each in told)
    assert {'perception.mcap', 'metrics.json', 'report.html'} == {
        f.name for f in Path(tmp_path).iterdir()
    }
    rows = json.loads((tmp_path / 'metrics.json').read_text())['thresholds']
    assert [row['crossed'] for row in rows].count(True) == len(told)
    assert len(rows) == len(limits) // 2


def test_a_limit_without_a_comparison_is_a_user_s_error(bag, tiny_model, tmp_path):
    args = ['replay', bag, '--model', tiny_model, '--out', tmp_path, '--max-abs-rel', '1']
    done = CliRunner().invoke(app, [*map(str, args)])
    assert isinstance(done.exception, UserError)
    assert '--compare' in str(done.exception)
