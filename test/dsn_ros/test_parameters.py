"""The table of parameters: what it allows, and that YAML, launch file and code agree with it."""

from pathlib import Path

import pytest
import yaml

from dsn_core.errors import UserError
from dsn_ros.obstacles import ObstacleOptions
from dsn_ros.parameters import PARAMETERS, markdown_table, parameter, refusal, validate
from dsn_ros.pipeline import PipelineOptions
from dsn_ros.scale import ScaleOptions

CONFIG = Path(__file__).resolve().parents[2] / 'config' / 'perception.yaml'
NUMBERS = [p for p in PARAMETERS if p.minimum is not None]
CHOICES = [p for p in PARAMETERS if p.choices]


def flat(tree, prefix=''):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}', value


def test_the_yaml_file_holds_exactly_the_defaults():
    in_file = dict(flat(yaml.safe_load(CONFIG.read_text())['/**']['ros__parameters']))
    in_code = {
        p.name: list(p.default) if isinstance(p.default, tuple) else p.default for p in PARAMETERS
    }
    assert in_file == in_code
    assert {n: type(v) for n, v in in_file.items()} == {n: type(v) for n, v in in_code.items()}


def test_the_defaults_are_those_of_the_pipeline():
    options, scale, obstacles = PipelineOptions(), ScaleOptions(), ObstacleOptions()
    expected = {
        'output_size': options.output_size,
        'min_confidence': options.min_confidence,
        'camera.fov_degrees': options.fov_degrees,
        'scale.mode': scale.mode,
        'scale.factor': scale.factor,
        'scale.camera_height': scale.camera_height,
        'scale.window': scale.window,
        'scale.hold': scale.hold,
        'rectify': options.rectify,
        'fit': options.fit,
        'lighting.hold': options.lighting_hold,
        'sanity.checks': options.sanity.checks,
        'sanity.frozen_after': options.sanity.frozen_after,
        'sanity.scale_jump': options.sanity.scale_jump,
        'obstacles.max_range': obstacles.max_range,
        'obstacles.min_confidence': obstacles.min_confidence,
        'obstacles.voxel': obstacles.voxel,
        'obstacles.max_points': obstacles.max_points,
    }
    assert {name: parameter(name).default for name in expected} == expected


@pytest.mark.parametrize('row', PARAMETERS, ids=lambda row: row.name)
def test_every_row_is_whole(row):
    assert validate(row.name, row.default) is None
    assert row.description.endswith('.')
    assert (row.minimum is None) == (row.maximum is None)


@pytest.mark.parametrize('row', NUMBERS, ids=lambda row: row.name)
def test_a_number_out_of_range_is_refused_by_name_with_the_range(row):
    kind = type(row.default)
    for good in (row.minimum, row.maximum):
        assert validate(row.name, kind(good)) is None
    for bad in (kind(row.minimum - 1), kind(row.maximum + 1)):
        problem = validate(row.name, bad)
        assert row.name in problem
        assert row.range_text in problem


@pytest.mark.parametrize('row', CHOICES, ids=lambda row: row.name)
def test_a_wrong_choice_is_answered_with_the_choices(row):
    problem = validate(row.name, 'nonsense')
    assert problem == f"parameter {row.name} is 'nonsense': choose from {', '.join(row.choices)}"


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('model', 3),
        ('threads', 2.5),
        ('threads', True),
        ('min_confidence', 'high'),
        ('min_confidence', float('nan')),
        ('scale.factor', None),
        ('engine', False),
        ('cameras', 'front'),
        ('cameras', 3),
        ('cameras', ['front', 2]),
        ('cameras', ['front', 'front']),
        ('cameras', ['front/left']),
        ('sanity.checks', ['black', 'blue']),
        ('sanity.checks', ['black', 'black']),
        ('engine_timeout', 'never'),
    ],
)
def test_a_wrong_type_is_refused_by_name(name, value):
    assert name in validate(name, value)


def test_a_list_of_names_is_taken():
    row = parameter('cameras')
    for names in (['front', 'left_2'], [''], []):
        assert row.problem(names) is None
    assert row.coerced([]) == ('',)


def test_a_double_may_be_written_without_its_point():
    row = parameter('min_confidence')
    assert row.problem(1) is None
    assert row.coerced(1) == 1.0
    assert isinstance(row.coerced(1), float)


@pytest.mark.parametrize(
    ('name', 'text', 'value'),
    [
        ('cameras', '[front, left]', ('front', 'left')),
        ('cameras', "['']", ('',)),
        ('cameras', '[]', ('',)),
        ('engine_timeout', '3', 3.0),
        ('threads', '2', 2),
        ('rectify', 'false', False),
        ('model', '7', '7'),
    ],
)
def test_a_text_is_read_in_the_parameter_s_own_type(name, text, value):
    read = parameter(name).read(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        ('cameras', 'front'),
        ('cameras', '[front'),
        ('cameras', '[front, 2]'),
        ('engine_timeout', 'soon'),
        ('engine_timeout', '-1'),
        ('threads', 'two'),
        ('scale.mode', 'guess'),
    ],
)
def test_a_text_that_is_no_value_is_refused_by_name(name, text):
    with pytest.raises(UserError, match=f'parameter {name} '):
        parameter(name).read(text)


def test_an_unknown_name_is_answered_with_the_names():
    assert 'min_confidence' in validate('min_confidense', 0.5)


def test_only_live_parameters_change_while_the_node_is_configured():
    assert refusal('min_confidence', 0.5, configured=0.0) is None
    assert refusal('engine', 'torch') is None
    assert refusal('engine', 'torch', configured='torch') is None
    assert 'engine' in refusal('engine', 'torch', configured='auto')
    assert 'clean up' in refusal('engine', 'torch', configured='auto')
    assert 'min_confidence' in refusal('min_confidence', 2.0, configured=0.0)
    assert refusal('use_sim_time', True, configured=False) is None


def test_the_table_for_the_documentation_has_every_parameter():
    lines = markdown_table().splitlines()
    assert len(lines) == 2 + len(PARAMETERS)
    assert len({line.count(' | ') for line in lines[2:]}) == 1
    for row, line in zip(PARAMETERS, lines[2:], strict=True):
        assert line.startswith(f'| `{row.name}` |')


def test_the_documentation_holds_the_table():
    assert markdown_table() in (CONFIG.parents[1] / 'docs' / 'node.md').read_text()
