"""The joint training: it learns, and stops by name where a number is none."""

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')
pytest.importorskip('lightning', reason='lightning is not installed')
pytest.importorskip('tensorboard', reason='tensorboard is not installed')

from safetensors.torch import load_file
from support.scene_run import write_domains

from dsn_core.checkpoint import CheckpointInfo
from dsn_core.losses import LossOptions, LossWeights, TotalLoss
from dsn_core.training.fit import TrainerConfig, fit
from dsn_core.training.joint import JointStage
from dsn_core.training.label_free_config import ScheduleConfig
from dsn_core.training.pairs import Pairs
from dsn_core.training.run_log import RunLog

INFO = CheckpointInfo('test', 64, 96, 'a drawn scene')
BASELINE = {
    'light': 0.0,
    'self_supervision_synthetic_night': 0.0,
    'consistency': 0.0,
    'depth_distillation': 0.0,
    'segmentation_synthetic_night': 0.0,
}


@pytest.fixture(scope='module')
def domains(tmp_path_factory):
    return write_domains(tmp_path_factory.mktemp('domains'))


def stage_of(folder, weights=None, steps=12, light=True, **schedule):
    torch.manual_seed(1)
    info = INFO if light else CheckpointInfo('test', 64, 96, 'a drawn scene', light=False)
    how = ScheduleConfig(batch_size=2, learning_rate=5e-4, **schedule)
    loss = TotalLoss(weights or LossWeights(), LossOptions())
    return JointStage(info.build(), loss, how, steps, 1, info, folder / 'work'), how


def train(folder, domains, weights=None, steps=12, light=True, precision='fp32', **schedule):
    stage, how = stage_of(folder, weights, steps, light, **schedule)
    log = RunLog(folder)
    fit(
        stage,
        Pairs(domains, how, 1, 2 * steps),
        folder=folder / 'distil',
        steps=steps,
        batch_size=2,
        epoch_steps=steps,
        settings=TrainerConfig(precision, workers=0, save_minutes=60, log_steps=4),
        log=log,
    )
    return stage, log


@pytest.mark.slow
def test_all_terms_are_trained(domains, tmp_path):
    stage, log = train(tmp_path, domains, steps=24)
    rows = log.rows('distil')
    assert rows[-1]['total'] < rows[0]['total']
    assert rows[-1]['segmentation/night'] < rows[0]['segmentation/night']
    groups = ('light', 'self_supervision', 'consistency', 'depth_distillation', 'segmentation')
    assert all(group in rows[0] for group in groups)
    shown = list((tmp_path / 'tensorboard' / 'distil').iterdir())
    assert shown
    assert stage.best is stage.network


def test_a_baseline_has_no_more_than_it_needs(domains, tmp_path):
    weights = LossWeights(**{**BASELINE, 'segmentation': 0.0, 'self_supervision_night': 0.0})
    day = domains[0]._replace(synthetic=None, labels=None, inverse_depth=None)
    stage, log = train(tmp_path, (day,), weights, steps=2, light=False)
    assert stage.needs == {'day', 'day_frames'}
    names = set(log.rows('distil')[0]) - {'stage', 'step'}
    assert names == {
        'self_supervision/day/photometric',
        'self_supervision/day/smoothness',
        'self_supervision',
        'total',
    }


def test_classes_alone_need_no_pose(domains, tmp_path):
    weights = LossWeights(**{**BASELINE, 'self_supervision': 0.0})
    stage, _ = stage_of(tmp_path, weights)
    assert stage.pose is None


def test_bf16_keeps_poses_in_full(domains, tmp_path):
    seen = []
    stage, how = stage_of(tmp_path)
    original = stage.pose.forward
    stage.pose.forward = lambda a, b: seen.append(original(a, b)) or seen[-1]
    batch = torch.utils.data.default_collate([Pairs(domains, how, 1, 8)[i] for i in range(2)])
    with torch.autocast('cpu', torch.bfloat16):
        inputs = stage._inputs(batch)
    assert inputs.day.perceived.disparities[0].shape == (2, 1, 64, 96)
    assert all(p.translation.dtype == torch.float32 for p in seen)
    reference = stage.pose.transform(*batch['night_pose_frames'][:, 1:].unbind(1))
    assert reference.dtype == torch.float32


def test_views_of_a_batch_share_their_statistics(domains, tmp_path):
    """One pass over all views: a day picture's features depend on the night pictures beside it."""
    stage, how = stage_of(tmp_path)
    batch = torch.utils.data.default_collate([Pairs(domains, how, 1, 8)[i] for i in range(2)])
    with torch.no_grad():
        first = stage._inputs(batch).day.perceived.disparities[0]
        second = stage._inputs({**batch, 'night': 1 - batch['night']}).day.perceived.disparities[0]
    assert not torch.allclose(first, second)


@pytest.mark.slow
def test_frozen_batch_norms_stay(domains, tmp_path):
    stage, _ = train(tmp_path, domains, steps=2, freeze_batch_norm=True)
    norms = [m for m in stage.network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms
    for norm in norms:
        assert torch.equal(norm.running_mean, torch.zeros_like(norm.running_mean))


@pytest.mark.slow
def test_an_encoder_at_rate_zero_stays_as_it_is(domains, tmp_path):
    before, _ = stage_of(tmp_path)
    stage, _ = train(tmp_path, domains, steps=2, encoder_rate=0.0)
    after = stage.network.encoder.state_dict()
    for name, value in before.network.encoder.state_dict().items():
        assert torch.equal(after[name], value), name
    kept = before.network.depth_decoder.state_dict()
    learnt = stage.network.depth_decoder.state_dict()
    assert not all(torch.equal(learnt[name], value) for name, value in kept.items())
    counts = [m.num_batches_tracked for m in stage.pose.encoder.modules() if hasattr(m, 'eps')]
    assert counts
    assert all(count > 0 for count in counts)


@pytest.mark.slow
def test_a_slow_encoder_takes_smaller_steps(domains, tmp_path):
    start, _ = stage_of(tmp_path)

    def moved(rate):
        folder = tmp_path / str(rate)
        folder.mkdir()
        stage, _ = train(folder, domains, steps=1, encoder_rate=rate)
        first = start.network.encoder.conv1.weight
        return (stage.network.encoder.conv1.weight - first).abs().max().item()

    # Adam's first step is the learning rate long.
    assert moved(0.1) == pytest.approx(0.1 * moved(1.0), rel=0.01)


@pytest.mark.slow
def test_the_average_is_what_is_kept(domains, tmp_path):
    stage, _ = train(tmp_path, domains, steps=3, ema_decay=0.5)
    kept = stage.best.depth_decoder.heads[0].weight
    live = stage.network.depth_decoder.heads[0].weight
    assert not torch.equal(kept, live)
    torch.testing.assert_close(kept, live, atol=5e-3, rtol=0)


def test_a_number_that_is_none_is_named_and_kept(domains, tmp_path):
    stage, how = stage_of(tmp_path)
    batch = torch.utils.data.default_collate([Pairs(domains, how, 1, 8)[i] for i in range(2)])
    batch['night_target'][0, 0, 0, 0] = float('nan')
    with pytest.raises(FloatingPointError) as caught:
        stage.training_step(batch, 0)
    text = str(caught.value)
    assert 'self_supervision/night/photometric is nan' in text
    assert batch['night_name'][0] in text
    kept = load_file(tmp_path / 'work' / 'not-finite-0.safetensors')
    assert torch.isnan(kept['night_target'][0, 0, 0, 0])


def test_the_learning_rate_falls_to_a_tenth(tmp_path):
    stage, _ = stage_of(tmp_path, steps=100)
    schedule = stage.configure_optimizers()['lr_scheduler']['scheduler']
    factors = [schedule.lr_lambdas[0](step) for step in (0, 74, 75, 99)]
    assert factors == [1.0, 1.0, 0.1, 0.1]
