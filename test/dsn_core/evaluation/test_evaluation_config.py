"""The configuration of dsn evaluate: what ships, what overrides it, which field is named."""

from pathlib import Path

import pytest
import yaml

from dsn_core.data.simulation_source import SimulationSource
from dsn_core.errors import ConfigError
from dsn_core.evaluation.config import EvaluationConfig, load_evaluation
from dsn_core.evaluation.folder_row import FolderRow
from dsn_core.evaluation.model_row import ModelRow
from dsn_core.evaluation.samples import DrivesSet
from dsn_core.training.config_docs import config_classes, field_docs

ROOT = Path(__file__).parents[3]
CONFIGS = sorted((ROOT / 'config' / 'eval').glob('*.yaml'))
SIM = ROOT / 'config' / 'eval' / 'sim.yaml'


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.name)
def test_every_shipped_config_can_be_read(path):
    assert load_evaluation(path).rows


def test_the_shipped_towns_are_those_that_nothing_was_trained_on():
    config = load_evaluation(SIM)
    (towns,) = config.sets
    assert isinstance(towns, DrivesSet)
    assert isinstance(towns.source, SimulationSource)
    assert all(seed % 10 == 9 for seed in towns.source.seeds())
    assert towns.source.condition == ''
    (training,) = config.training
    assert all(seed % 10 < 8 for seed in training.source.seeds())


def test_the_protocols_are_the_papers():
    config = load_evaluation(SIM)
    assert config.table_1.cap == 40
    assert config.table_2.cap == 80


def test_overrides(tmp_path):
    config = load_evaluation(
        SIM, [f'rows=[default, my.onnx, {tmp_path}]', 'table_1.cap=50', 'table_1.min_depth=0.5']
    )
    assert [type(row) for row in config.rows] == [ModelRow, ModelRow, FolderRow]
    assert config.table_1.cap == 50


@pytest.mark.parametrize(
    ('override', 'named'),
    [
        ('rows=[]', 'rows must be at least one'),
        ('rows=[default, default]', 'rows must be of different names'),
        ('sets=[]', 'sets must be at least one'),
        ('training_frames=0', 'training_frames'),
        ('table_1={cap: 1, min_depth: 2}', r'table_1\.cap must be above min_depth'),
        ('nonsense=1', 'nonsense is no field'),
        ('sets.0.source={kind: pictures, path: x, fov: 70}', r'sets\.0\.source\.kind must be'),
        ('rows.0.kind=tea', r'rows\.0\.kind must be one of'),
    ],
)
def test_a_wrong_field_is_named(override, named):
    import dsn_core.data.sources  # noqa: F401

    with pytest.raises(ConfigError, match=named) as error:
        load_evaluation(SIM, [override])
    assert '\n' not in str(error.value)
    assert str(SIM) in str(error.value)


def test_every_field_is_explained_and_in_the_docs():
    page = (ROOT / 'docs' / 'evaluation.md').read_text(encoding='utf-8')
    for cls in config_classes(EvaluationConfig):
        if not cls.__module__.startswith('dsn_core.evaluation'):
            continue
        docs = field_docs(cls)
        for name in cls.__dataclass_fields__:
            assert docs.get(name), f'{cls.__name__}.{name} has no docstring'
            assert f'`{name}`' in page, f'docs/evaluation.md does not name {name}'


def test_no_drives(tmp_path):
    path = tmp_path / 'c.yaml'
    path.write_text(yaml.safe_dump({'sets': [str(tmp_path)], 'rows': ['default']}))
    with pytest.raises(ConfigError, match=r'sets\.0 is .*there are no drives'):
        load_evaluation(path)
