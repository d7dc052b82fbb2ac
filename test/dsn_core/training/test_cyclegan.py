"""The CycleGAN stage: its losses, its schedule, and that it resumes exactly."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.frame_store_factory import smooth_pictures, write_store

torch = pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('lightning', reason='lightning is not installed')

from safetensors.torch import load_file
from torch import nn

from dsn_core.training.cyclegan import CycleGanStage, to_picture
from dsn_core.training.fit import fit
from dsn_core.training.run_log import RunLog
from dsn_core.training.trainer_config import TrainerConfig
from dsn_core.training.translate_config import TranslateConfig
from dsn_core.training.unpaired import UnpairedCrops

SETTINGS = TrainerConfig(precision='fp32', workers=0, save_minutes=60)
TINY = TranslateConfig(
    epochs=1, decay_epochs=1, width=4, blocks=1, load_height=32, crop=(32,), pool=2
)
EPOCH = 4
DOMAINS = ('day', 'night')


# So small are these networks that threads only wait for each other.
pytestmark = pytest.mark.usefixtures('one_thread')


@pytest.fixture(scope='module')
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp('frames')
    return {
        'day': write_store(folder / 'day', smooth_pictures(3, 200, 32, 48, 1)),
        'night': write_store(folder / 'night', smooth_pictures(4, 60, 32, 48, 2)),
    }


def make_stage(config=TINY, settings=SETTINGS, seed=5, kind=CycleGanStage, work=Path('not-there')):
    torch.manual_seed(seed)
    return kind(config, EPOCH, settings, seed, work)


def train(stage, stores, folder, config=TINY, settings=SETTINGS, steps=2 * EPOCH):
    folder.mkdir(exist_ok=True)
    crops = UnpairedCrops(
        **stores,
        load_height=config.load_height,
        crop=config.crop_size,
        samples=steps * config.batch_size,
        seed=5,
    )
    fit(
        stage,
        crops,
        folder=folder,
        steps=steps,
        batch_size=config.batch_size,
        epoch_steps=EPOCH,
        settings=settings,
        log=RunLog(folder),
    )
    return stage


class Affine(nn.Module):
    """Stands in for a generator or, mean over channels, a discriminator."""

    def __init__(self, scale, shift, judge=False):
        super().__init__()
        self.scale, self.shift, self.judge = scale, shift, judge

    def forward(self, x):
        y = self.scale * x + self.shift
        return y.mean(dim=1, keepdim=True) if self.judge else y


def test_losses_by_numpy():
    stage = make_stage()
    maps = {'day': (0.9, 0.2), 'night': (0.5, -0.3)}  # of the generator that makes it
    judges = {'day': (1.5, 0.1), 'night': (-0.7, 0.4)}
    stage.generators = nn.ModuleDict({d: Affine(*m) for d, m in maps.items()})
    stage.discriminators = nn.ModuleDict({d: Affine(*j, judge=True) for d, j in judges.items()})
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1, 1, (2, 2, 3, 8, 8))
    pool = dict(zip(('day', 'night'), rng.uniform(-1, 1, (2, 2, 3, 8, 8)), strict=True))

    def apply(table, domain, values):
        return table[domain][0] * values + table[domain][1]

    def judge(domain, values):
        return apply(judges, domain, values).mean(axis=1)

    made_night, made_day = apply(maps, 'night', x), apply(maps, 'day', y)
    expected = {
        'gan_night': np.mean((judge('night', made_night) - 1) ** 2),
        'gan_day': np.mean((judge('day', made_day) - 1) ** 2),
        'cycle_day': np.mean(abs(apply(maps, 'day', made_night) - x)),
        'cycle_night': np.mean(abs(apply(maps, 'night', made_day) - y)),
        'identity_day': np.mean(abs(apply(maps, 'day', x) - x)),
        'identity_night': np.mean(abs(apply(maps, 'night', y) - y)),
    }
    real = {'day': torch.from_numpy(x).float(), 'night': torch.from_numpy(y).float()}
    made = stage.translate(real)
    np.testing.assert_allclose(made['night'], made_night, rtol=1e-5, atol=1e-6)
    found = stage.generator_terms(real, made)
    assert {n: float(v) for n, v in found.items()} == pytest.approx(expected, rel=1e-5)

    shown = {d: torch.from_numpy(v).float() for d, v in pool.items()}
    expected = {
        f'discriminator_{d}': 0.5 * np.mean((judge(d, r) - 1) ** 2)
        + 0.5 * np.mean(judge(d, pool[d]) ** 2)
        for d, r in (('day', x), ('night', y))
    }
    found = stage.discriminator_terms(real, shown)
    assert {n: float(v) for n, v in found.items()} == pytest.approx(expected, rel=1e-5)


def test_schedule_is_constant_then_linear_to_zero():
    config = replace(TINY, epochs=3, decay_epochs=2, learning_rate=0.01)
    rates = [make_stage(config).learning_rate(step) for step in range(5 * EPOCH + 1)]
    expected = [0.01] * (3 * EPOCH) + [0.01 * (8 - i) / 8 for i in range(8)] + [0.0]
    assert rates == pytest.approx(expected)
    assert make_stage(replace(TINY, decay_epochs=0)).learning_rate(EPOCH - 1) == 2e-4


def parameters(networks):
    return torch.cat([p.detach().flatten() for p in networks.parameters()]).clone()


class Watched(CycleGanStage):
    """Notes the networks before each optimiser's step, and the gradients there are."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.seen, self.rates = [], []

    def note(self):
        self.seen.append((parameters(self.generators), parameters(self.discriminators)))

    def on_before_optimizer_step(self, optimizer):
        self.note()
        self.rates.append(optimizer.param_groups[0]['lr'])

    def on_train_batch_end(self, *_):
        self.note()


def test_each_step_changes_its_own_networks_alone(stores, tmp_path):
    stage = train(make_stage(kind=Watched), stores, tmp_path, steps=1)
    (g0, d0), (g1, d1), (g2, d2) = stage.seen
    assert (g0 != g1).any()
    assert torch.equal(d0, d1)
    assert torch.equal(g1, g2)
    assert (d1 != d2).any()


def test_the_generators_losses_give_the_discriminators_no_gradient(stores, tmp_path):
    gradients = []

    class Stage(CycleGanStage):
        def manual_backward(self, loss):
            super().manual_backward(loss)
            gradients.append(
                [
                    sum(float(p.grad.abs().sum()) for p in n.parameters() if p.grad is not None)
                    for n in (self.generators, self.discriminators)
                ]
            )

    train(make_stage(kind=Stage), stores, tmp_path, steps=1)
    (of_generators, none), (unchanged, of_discriminators) = gradients
    assert none == 0 < of_discriminators
    assert unchanged == of_generators > 0


def test_a_steps_gradient_is_that_of_the_weighted_sum(stores, tmp_path):
    crops = UnpairedCrops(**stores, load_height=32, crop=(32, 32), samples=1, seed=5)
    stage = make_stage()
    real = {d: crops[0][d][None] for d in ('day', 'night')}
    terms = stage.generator_terms(real, stage.translate(real))
    weights = {'gan': 1, 'cycle': 10, 'identity': 5}
    total = sum(weights[n.split('_')[0]] * t for n, t in terms.items())
    expected = torch.autograd.grad(total, list(stage.generators.parameters()))

    found = []

    class Stage(CycleGanStage):
        def on_before_optimizer_step(self, optimizer):
            if not found:
                found.extend(p.grad.clone() for p in self.generators.parameters())

    train(make_stage(kind=Stage), stores, tmp_path, steps=1)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-7)


def test_rates_of_both_optimisers_follow_the_schedule(stores, tmp_path):
    stage = train(make_stage(kind=Watched), stores, tmp_path)
    expected = [stage.learning_rate(step) for step in range(2 * EPOCH) for _ in range(2)]
    assert stage.rates == expected
    assert expected[-1] == pytest.approx(2e-4 / EPOCH)


def state_of(folder):
    state = torch.load(folder / 'work' / 'last.ckpt', weights_only=True)
    kept = {'state_dict': state['state_dict'], 'pools': state['pools']}
    return kept | {'optimizers': [o['state'] for o in state['optimizer_states']]}


def test_resumed_is_unbroken(stores, tmp_path):
    train(make_stage(), stores, tmp_path / 'unbroken')

    class Stopped(CycleGanStage):
        def training_step(self, batch, index):
            if self.step == 5:
                raise InterruptedError('pulled the plug')
            super().training_step(batch, index)

    often = replace(SETTINGS, save_minutes=0)
    with pytest.raises(InterruptedError):
        train(make_stage(kind=Stopped), stores, tmp_path / 'resumed', settings=often)
    # Other weights and another seed of torch: what counts is what was saved.
    torch.manual_seed(99)
    stage = train(CycleGanStage(TINY, EPOCH, SETTINGS, 5, tmp_path), stores, tmp_path / 'resumed')
    expected, found = (state_of(tmp_path / each) for each in ('unbroken', 'resumed'))
    assert expected['pools']['day'].shape == (1, 2, 3, 32, 32)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)

    # Asked again, it is trained: what it ends with is restored.
    again = train(make_stage(seed=8), stores, tmp_path / 'resumed')
    assert torch.equal(parameters(again.generators), parameters(stage.generators))
    assert again.last_losses() == stage.last_losses()


def test_passes_change_nothing(stores, tmp_path):
    # Gradients of one step: the biases before a normalisation have none but rounding, of which
    # Adam makes whole steps.
    config = replace(TINY, batch_size=4, pool=1)
    gradients = {}

    class Stage(CycleGanStage):
        def on_before_optimizer_step(self, optimizer):
            found = [p.grad.flatten() for g in optimizer.param_groups for p in g['params']]
            gradients.setdefault(self._passes, []).append(torch.cat(found))

    for passes in (1, 2):
        settings = replace(SETTINGS, passes=passes)
        stage = make_stage(config, settings, kind=Stage)
        train(stage, stores, tmp_path / str(passes), config, settings, steps=1)
    assert len(gradients[1]) == len(gradients[2]) == 2
    for one, two in zip(gradients[1], gradients[2], strict=True):
        assert float((one - two).norm() / one.norm()) < 1e-3


def test_figures_and_pictures_reach_the_log(stores, tmp_path):
    shown = []

    class Log(RunLog):
        def pictures(self, stage, step, pictures):
            shown.append((stage, step, {n: p.shape for n, p in pictures.items()}))

    stage = make_stage()
    crops = UnpairedCrops(**stores, load_height=32, crop=(32, 32), samples=8, seed=5)
    log = Log(tmp_path)
    fit(
        stage,
        crops,
        folder=tmp_path / 'translate',
        steps=8,
        batch_size=1,
        epoch_steps=EPOCH,
        settings=replace(SETTINGS, log_steps=1),
        log=log,
    )
    shape = (32, 3 * 32, 3)
    pictures = {'day': shape, 'night': shape}
    assert shown == [('translate', 4, pictures), ('translate', 8, pictures)]
    rows = log.rows('translate')
    terms = ('gan', 'cycle', 'identity', 'discriminator')
    assert set(rows[0]) - {'stage', 'step'} == {f'{t}_{d}' for t in terms for d in DOMAINS}
    for name, value in stage.last_losses().items():
        assert value == pytest.approx(np.mean([row[name] for row in rows]), rel=1e-4)


@pytest.mark.parametrize(('weight', 'calls'), [(5.0, 3), (0.0, 2)])
def test_what_weighs_nothing_is_not_built(weight, calls):
    stage = make_stage(replace(TINY, identity_weight=weight))
    seen = []
    for domain, generator in stage.generators.items():
        generator.register_forward_hook(lambda *_, d=domain: seen.append(d))
    real = {d: torch.zeros(1, 3, 32, 32) for d in DOMAINS}
    terms = stage.generator_terms(real, stage.translate(real))
    assert [seen.count(d) for d in DOMAINS] == [calls, calls]
    found = any('identity' in name for name in (*terms, *stage.loss_names))
    assert found == (weight > 0)


def test_mixed_precision_keeps_losses_in_full(stores, tmp_path):
    types = set()

    class Stage(CycleGanStage):
        def generator_terms(self, real, made):
            terms = super().generator_terms(real, made)
            types.update(t.dtype for t in terms.values())
            types.update(m.dtype for m in made.values())
            return terms

    settings = replace(SETTINGS, precision='bf16')
    stage = make_stage(settings=settings, kind=Stage)
    train(stage, stores, tmp_path, settings=settings, steps=2)
    assert types == {torch.float32}
    assert all(np.isfinite(v) and v > 0 for v in stage.last_losses().values())


@pytest.mark.parametrize('broken', ['generators', 'discriminators'])
def test_what_is_not_finite_is_named(stores, tmp_path, broken):
    stage = make_stage(work=tmp_path / 'work')
    with torch.no_grad():
        next(getattr(stage, broken)['night'].parameters()).fill_(np.inf)
    with pytest.raises(FloatingPointError) as caught:
        train(stage, stores, tmp_path)
    assert str(caught.value).startswith('step 0: gan_night is nan on day/00000')
    assert ', night/00000' in str(caught.value)
    kept = load_file(tmp_path / 'work' / 'not-finite-0.safetensors')
    assert str(tmp_path / 'work' / 'not-finite-0.safetensors') in str(caught.value)
    assert set(kept) == {'day', 'night', 'index'}


def test_pictures_are_rounded():
    levels = torch.arange(256).float().view(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert (to_picture(levels / 127.5 - 1)[0, :, :, 1].ravel() == np.arange(256)).all()
    assert to_picture(torch.full((1, 3, 1, 1), 1.5)).max() == 255
