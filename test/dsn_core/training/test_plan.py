"""What a configuration needs: stages, domains, and the field that is named when one is missing."""

from pathlib import Path

import pytest

pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('lightning', reason='lightning is not installed')

import support.moving_scene  # noqa: F401  registers the kind moving_scene
from support.train_scene import CONFIG

from dsn_core.digest import Digests
from dsn_core.errors import ConfigError
from dsn_core.training.config import load_config
from dsn_core.training.label_free import train_label_free
from dsn_core.training.plan import STAGES, Plan

TRAIN = Path(__file__).parents[3] / 'config' / 'train'
BASELINES = sorted((TRAIN / 'overlays').glob('monodepth2_*.yaml'))


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'scene.yaml'
    path.write_text(CONFIG.format(out=tmp_path / 'run'))
    return path


def plan(config, *overrides):
    return Plan(load_config(config, [str(o) for o in overrides]))


def test_the_paper_needs_everything(config):
    assert plan(config).stages == STAGES
    assert plan(config).domains == ('day', 'night')
    assert plan(config).labelled == ('day', 'night')


@pytest.mark.parametrize(
    ('overlay', 'stages', 'domains'),
    [
        ('monodepth2_day', ('frames', 'distil', 'export'), ('day',)),
        ('monodepth2_night', ('frames', 'distil', 'export'), ('night',)),
        ('monodepth2_naive', ('frames', 'label', 'distil', 'export'), ('day', 'night')),
    ],
)
def test_baselines_need_less(config, overlay, stages, domains):
    found = plan(config, TRAIN / 'overlays' / f'{overlay}.yaml')
    assert (found.stages, found.domains) == (stages, domains)
    assert found.config.name.replace('-', '_') == overlay
    assert not found.config.distil.light


def test_an_encoders_file_decides_by_its_content(config, tmp_path):
    file = tmp_path / 'weights.safetensors'
    digests, found = Digests(tmp_path / 'digests.json'), plan(config)
    named = found.init_digest(f'encoder:{file}', digests)
    file.write_bytes(b'one')
    first = found.init_digest(f'encoder:{file}', digests)
    file.write_bytes(b'another')
    assert len({named, first, found.init_digest(f'encoder:{file}', digests)}) == 3


@pytest.mark.parametrize('stage', ['distil', 'day_depth'])
def test_weights_that_are_not_there_are_missed_at_once(config, tmp_path, stage):
    found = plan(config, f'{stage}.init=encoder:{tmp_path / "weights.safetensors"}')
    with pytest.raises(ConfigError, match=rf'{stage}\.init: .*weights.safetensors: there is no'):
        found.require_starts()
    with pytest.raises(ConfigError, match=stage):
        train_label_free(found.config)
    assert not found.config.out.exists()


def test_all_baselines_are_looked_at():
    assert [p.stem for p in BASELINES] == [
        'monodepth2_day',
        'monodepth2_naive',
        'monodepth2_night',
    ]


@pytest.mark.parametrize(
    ('overrides', 'named'),
    [
        (['day=[]'], 'day is missing'),
        (['night=[]'], 'night is missing'),
        (['label.teacher=null'], 'label.teacher is missing'),
        (['distil.light=false'], 'weights.light must be 0'),
        (['day_depth.teacher=depth_anything'], 'options.teacher_depth must be affine'),
        (['day.kind=nothing'], 'day.kind must be one of'),
        (['weights.light=-1'], 'weights.light must be zero or above'),
        (['options.alpha=2'], 'options.alpha must be 0 to 1'),
        (['distil.schedule.epochs=0'], 'distil.schedule.epochs'),
        (['day=/nowhere/at/all'], "day is '/nowhere/at/all', which is not there"),
        (['label.teacher=professor'], 'label.teacher must be one of'),
    ],
)
def test_what_is_missing_or_wrong_is_named(config, overrides, named):
    with pytest.raises(ConfigError) as caught:
        plan(config, *overrides)
    assert named in str(caught.value)
    assert '\n' not in str(caught.value)


def test_a_night_that_weighs_nothing_needs_no_recording(config):
    off = [
        'self_supervision_night',
        'self_supervision_synthetic_night',
        'consistency',
        'segmentation_synthetic_night',
        'segmentation_night',
        'light',
    ]
    found = plan(config, *(f'weights.{name}=0' for name in off), 'night=[]')
    assert found.domains == ('day',)
    assert 'translate' not in found.stages


def test_a_lens_is_kept_where_depth_is_metric(config, tmp_path):
    from support.scene_run import write_domains

    found = plan(config, 'weights.speed=1')
    domains = write_domains(tmp_path / 'domains')
    info = found.info(domains, found.config.weights, light=True)
    assert (info.scale, info.focal_length) == ('metric', pytest.approx(0.8 * 96))
    for domain in domains:
        domain.frames.travelled[:] = float('nan')
    with pytest.raises(ConfigError, match=r'weights\.speed needs frames'):
        found.info(domains, found.config.weights, light=True)
    relative = plan(config).info(domains, plan(config).config.weights, light=True)
    assert (relative.scale, relative.focal_length) == ('relative', None)


def test_fields_of_a_path_alone_can_be_set_beside_it(tmp_path, config):
    import cv2
    import numpy as np

    import dsn_core.data.sources  # noqa: F401  registers the kinds

    folder = tmp_path / 'pictures'
    folder.mkdir()
    cv2.imwrite(str(folder / '0.png'), np.zeros((4, 4, 3), np.uint8))
    loaded = load_config(
        config,
        [
            f'day={folder}',
            'day.fov=70',
            f'night=[{folder}, {folder}]',
            'night.fov=60',
            'night.1.fov=50',
        ],
    )
    assert loaded.day[0].fov == 70
    assert [s.fov for s in loaded.night] == [60, 50]


def test_quick_can_be_laid_over_anything(config):
    quick = load_config(config, [str(TRAIN / 'overlays' / 'quick.yaml')])
    assert quick.frames.limit == 40
    assert quick.distil.schedule.samples_per_epoch == 24
