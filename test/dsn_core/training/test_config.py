"""Training configuration: what is read, what overrides it, and which field is named when wrong."""

from pathlib import Path

import pytest
import yaml

from dsn_core.errors import ConfigError
from dsn_core.training.config import load_config

CONFIGS = sorted((Path(__file__).parents[3] / 'config' / 'train').glob('*.yaml'))
GOOD = {
    'recipe': 'supervised',
    'name': 'n',
    'data': ['a'],
    'out': 'runs/n',
    'training_data': 't',
    'phases': [{'height': 64, 'width': 96, 'batch_size': 2, 'samples': 8, 'learning_rate': 0.001}],
}


def write(tmp_path, data):
    path = tmp_path / 'c.yaml'
    path.write_text(yaml.safe_dump(data))
    return path


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.name)
def test_every_shipped_config_can_be_read(path):
    assert load_config(path).name


def test_there_are_shipped_configs():
    assert CONFIGS


def test_overrides(tmp_path):
    path = write(tmp_path, GOOD)
    config = load_config(path, ['phases.0.samples=16', 'ema_decay=0', 'data=[x, y]', 'seed=7'])
    assert config.phases[0].samples == 16
    assert config.ema_decay == 0.0
    assert config.data == (Path('x'), Path('y'))
    assert config.seed == 7
    assert load_config(path, ['data=one']).data == (Path('one'),)


@pytest.mark.parametrize(
    ('override', 'named'),
    [
        ('name=', 'name'),
        ('data=[]', 'data'),
        ('phases=[]', 'phases'),
        ('phases.0.height=100', 'phases.0.height'),
        ('phases.0.samples=0', 'phases.0.samples'),
        ('phases.0.samples=many', 'phases.0.samples'),
        ('phases.0.learning_rate=2', 'phases.0.learning_rate'),
        ('phases.0.nonsense=2', 'phases.0.nonsense is no field'),
        ('phases.3.samples=1', "'3'"),
        ('nonsense=1', 'nonsense is no field'),
        ('min_depth=0', 'min_depth'),
        ('focal_length=-1', 'focal_length'),
        ('camera_strength=2', 'camera_strength'),
        ('camera_ramp=-1', 'camera_ramp'),
        ('max_zoom=0.5', 'max_zoom'),
        ('ema_decay=1', 'ema_decay'),
        ('precision=fp8', 'precision'),
        ('workers=-1', 'workers'),
        ('workers=true', 'workers'),
        ('save_minutes=0', 'save_minutes'),
        ('validate_frames=0', 'validate_frames'),
        ('seed=1.5', 'seed'),
        ('no equals sign', 'key=value'),
    ],
)
def test_a_wrong_field_is_named(tmp_path, override, named):
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, GOOD), [override])
    assert named in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('field', ['name', 'data', 'out', 'phases', 'training_data'])
def test_a_missing_field_is_named(tmp_path, field):
    data = {k: v for k, v in GOOD.items() if k != field}
    with pytest.raises(ConfigError, match=f'{field} is missing'):
        load_config(write(tmp_path, data))


@pytest.mark.parametrize('text', ['[1, 2]', 'name: [', '!!python/object/apply:os.getcwd []'])
def test_what_is_no_configuration_is_refused(tmp_path, text):
    path = tmp_path / 'c.yaml'
    path.write_text(text)
    with pytest.raises(ConfigError, match=r'c\.yaml'):
        load_config(path)
    with pytest.raises(ConfigError, match='no such'):
        load_config(tmp_path / 'absent.yaml')
