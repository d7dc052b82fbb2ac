"""What an ablation compares: resulting weights, what is shared, and which field is named."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml

pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('lightning', reason='lightning is not installed')

from support.ablation_scene import write_ablation

import dsn_ros.evaluate
import dsn_ros.train  # noqa: F401  finds them
from dsn_core.errors import ConfigError, UserError
from dsn_core.losses import LossWeights
from dsn_core.training.ablation import train_variants
from dsn_core.training.ablation_config import AblationConfig, VariantConfig, load_ablation
from dsn_core.training.config_docs import field_docs
from dsn_core.training.plan import Plan
from dsn_core.training.shared_stages import SharedStages

ROOT = Path(__file__).parents[3]
OVERLAYS = ROOT / 'config' / 'train' / 'overlays'
SHIPPED = sorted((ROOT / 'config' / 'ablation').glob('*.yaml'))


def load(folder, *overrides, **written):
    return load_ablation(write_ablation(folder, **written), overrides)


def by_name(ablation):
    return {variant.name: variant for variant in ablation.variants}


@pytest.mark.parametrize(
    ('domains', 'name', 'light', 'zero'),
    [
        ('segmentation', 'full', True, ()),
        ('segmentation', 'without-RN', True, ('segmentation_night',)),
        ('segmentation', 'without-SN', True, ('segmentation_synthetic_night',)),
        ('segmentation', 'without-LE', False, ('light',)),
        ('segmentation', 'without-PD', True, ('depth_distillation',)),
        ('all', 'full', True, ()),
        (
            'all',
            'without-RN',
            True,
            ('segmentation_night', 'self_supervision_night', 'consistency_synthetic'),
        ),
        (
            'all',
            'without-SN',
            True,
            (
                'segmentation_synthetic_night',
                'self_supervision_synthetic_night',
                'consistency_real',
            ),
        ),
        ('all', 'without-LE', False, ('light',)),
        ('all', 'without-PD', True, ('depth_distillation',)),
    ],
)
def test_the_papers_five(tmp_path, domains, name, light, zero):
    ablation = load(tmp_path, domains=domains)
    assert len(ablation.variants) == 5
    config = by_name(ablation)[name].config
    assert config.weights == replace(LossWeights(), **dict.fromkeys(zero, 0.0))
    assert config.distil.light is light
    everything_else = replace(config, weights=LossWeights(), distil=ablation.base.distil)
    assert everything_else == replace(ablation.base, out=config.out)


def test_a_domain_that_is_left_out_of_all_is_not_looked_at(tmp_path):
    variants = by_name(load(tmp_path, domains='all'))
    assert 'synthetic_night' not in Plan(variants['without-SN'].config).needs
    needs = Plan(variants['without-RN'].config).needs
    assert not needs & {'night', 'synthetic_day', 'night_labels', 'night_frames'}
    assert 'synthetic_night' in needs


def test_a_variant_of_ones_own(tmp_path):
    ablation = load(
        tmp_path,
        variants=[
            {'name': 'day', 'overrides': str(OVERLAYS / 'monodepth2_day.yaml')},
            {'name': 'bare', 'marks': [], 'overrides': 'weights.consistency=0.5'},
        ],
    )
    day, bare = ablation.variants
    assert day.marks is None
    assert Plan(day.config).stages == ('frames', 'distil', 'export')
    assert day.config.day == ablation.base.day
    assert bare.marks == ()
    weights = bare.config.weights
    assert weights.consistency == 0.5
    assert {name for name in vars(weights) if not getattr(weights, name)} == {
        'light',
        'segmentation_night',
        'segmentation_synthetic_night',
        'depth_distillation',
        'speed',
    }


def test_overrides_reach_the_files_below(tmp_path):
    overrides = ('train.distil.schedule.epochs=7', 'evaluate.training_frames=60', 'seeds=[4, 5]')
    ablation = load(tmp_path, *overrides)
    assert {v.config.distil.schedule.epochs for v in ablation.variants} == {7}
    assert ablation.evaluation.training_frames == 60
    assert ablation.config.seeds == (4, 5)


def test_files_are_found_beside_the_ablation_and_from_here(tmp_path, monkeypatch):
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    (tmp_path / 'here' / 'layer.yaml').write_text('name: from here\n')
    ablation = load(tmp_path, train=['scene.yaml', 'layer.yaml'])
    assert ablation.base.name == 'from here'


@pytest.mark.parametrize(
    ('written', 'named'),
    [
        ({'train': []}, 'train must be a .yaml file'),
        ({'train': ['name=x']}, 'train must be a .yaml file'),
        ({'train': 'nowhere.yaml'}, 'train: nowhere.yaml: no such configuration'),
        ({'train': ['scene.yaml', 'weights.moon=1']}, 'weights.moon is no field'),
        ({'evaluate': 'nowhere.yaml'}, 'nowhere.yaml: no such configuration'),
        ({'domains': 'some'}, 'domains must be segmentation or all'),
        ({'seeds': []}, 'seeds must be at least one'),
        ({'seeds': [1, 1]}, 'seeds must be different'),
        ({'seeds': [-1]}, 'seeds must be zero or above'),
        ({'variants': []}, 'variants must be at least one'),
        ({'variants': [{'name': 'a'}, {'name': 'A'}]}, 'variants must be of different names'),
        ({'variants': [{'name': '../a'}]}, 'variants.0.name must be letters'),
        ({'variants': [{'name': 'a', 'marks': ['XX']}]}, 'variants.0.marks must be some of RN'),
        ({'variants': [{'name': 'a', 'overrides': 'seed=3'}]}, 'variants: a: seed is set'),
        ({'variants': [{'name': 'a', 'overrides': 'weights.moon=1'}]}, 'variants: a: '),
        ({'train': ['scene.yaml', 'distil.init=day-depth']}, 'variants: without-PD: distil.init'),
        ({'moon': 1}, 'moon is no field'),
    ],
)
def test_what_is_wrong_is_named(tmp_path, written, named):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, **written)
    assert named in str(caught.value)
    assert '\n' not in str(caught.value)


def test_the_supervised_recipe_is_refused(tmp_path):
    file = str(ROOT / 'config' / 'train' / 'sim_supervised.yaml')
    with pytest.raises(ConfigError, match='must have recipe label_free'):
        load(tmp_path, train=file)


def test_an_unknown_variant_is_named(tmp_path):
    with pytest.raises(UserError, match='there is no variant moon: choose from without-RN'):
        train_variants(load(tmp_path), ['moon'])
    assert not (tmp_path / 'out').exists()


def test_what_agrees_is_shared_and_holds_what_any_run_needs(tmp_path):
    ablation = load(
        tmp_path,
        variants=[
            {'name': 'full', 'marks': ['RN', 'SN', 'LE', 'PD']},
            {'name': 'day', 'overrides': str(OVERLAYS / 'monodepth2_day.yaml')},
            {'name': 'smooth', 'overrides': 'weights.smoothness=0.01'},
            {'name': 'longer', 'overrides': 'translate.epochs=3'},
            {'name': 'small', 'overrides': ['width=64', 'weights.segmentation_night=0']},
        ],
    )
    configs = {v.name: replace(v.config, seed=9) for v in ablation.variants}
    shared = SharedStages(tmp_path / 's', ablation.base, list(configs.values()))

    def own(stage):
        return {n for n, c in configs.items() if shared.home(c, stage) != tmp_path / 's'}

    assert own('frames') == {'small'}
    assert own('translate') == {'longer', 'small'}
    assert own('day-depth') == {'smooth', 'small'}
    assert own('label') == {'small'}
    assert own('validation') == set()
    assert shared.home(configs['small'], 'frames').parent == tmp_path / 's'
    assert shared.domains(configs['day']) == ('day', 'night')
    assert shared.labelled(configs['day']) == ('day', 'night')
    assert shared.seed == ablation.base.seed != 9


@pytest.mark.parametrize('path', SHIPPED, ids=lambda p: p.name)
def test_a_shipped_ablation_can_be_read_from_anywhere(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ablation = load_ablation(path)
    assert {frozenset(v.marks) for v in ablation.variants if v.marks is not None} == {
        frozenset(marks.split())
        for marks in ('RN SN LE PD', 'SN LE PD', 'RN LE PD', 'RN SN PD', 'RN SN LE')
    }
    # Of a start that knows nothing of what the day teacher taught; where the question is what
    # the parts add by night to a network that knows the day, it is that network.
    known = (
        {'runs/sim-day/phase-0.safetensors'} if path.name == 'sim_small.yaml' else {'', 'imagenet'}
    )
    assert {v.config.distil.init for v in ablation.variants} <= known
    assert set(yaml.safe_load(path.read_text())) <= {f.name for f in fields(AblationConfig)}


@pytest.mark.parametrize('cls', [AblationConfig, VariantConfig])
def test_every_field_is_explained(cls):
    page = (ROOT / 'docs' / 'ablation.md').read_text(encoding='utf-8')
    docs = field_docs(cls)
    assert list(docs) == [f.name for f in fields(cls)]
    for name in docs:
        assert f'| `{name}` |' in page
