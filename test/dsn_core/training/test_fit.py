"""The trainer: the samples in their order, resumed exactly, split into passes without a change."""

import json
import signal

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')
lightning = pytest.importorskip('lightning', reason='lightning is not installed')
pytest.importorskip('tensorboard', reason='tensorboard is not installed')

from dsn_core.errors import ConfigError
from dsn_core.training.fit import TrainerConfig, fit
from dsn_core.training.run_log import RunLog


class Numbers(torch.utils.data.Dataset):
    """Sample i is (x_i, y_i) of a line with noise, drawn from i; notes what is asked for."""

    def __init__(self):
        self.asked = []

    def __len__(self):
        return 1000

    def __getitem__(self, index):
        self.asked.append(index)
        generator = torch.Generator().manual_seed(index)
        x = torch.randn(3, generator=generator)
        return {'x': x, 'y': x.sum() + 0.1 * torch.randn((), generator=generator)}


class Line(lightning.LightningModule):
    def __init__(self, stop_at=None):
        super().__init__()
        torch.manual_seed(5)
        self.layer = torch.nn.Linear(3, 1)
        self.stop_at = stop_at
        self.epochs = []

    def training_step(self, batch, index):
        if self.stop_at is not None and self.global_step == self.stop_at:
            raise InterruptedError('pulled the plug')
        loss = (self.layer(batch['x'])[:, 0] - batch['y']).square().mean()
        self.log_dict({'loss': loss.detach(), 'first': batch['x'][0, 0]})
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.05)

    def end_of_epoch(self, step, log, name):
        self.epochs.append((step, name))


def train(folder, *, stop_at=None, samples=None, stage=None, **settings):
    stage = stage or Line(stop_at)
    how = {'precision': 'fp32', 'workers': 0, 'save_minutes': 0.0, 'log_steps': 4, **settings}
    fit(
        stage,
        samples or Numbers(),
        folder=folder / 'line',
        steps=12,
        batch_size=4,
        epoch_steps=5,
        settings=TrainerConfig(**how),
        log=RunLog(folder),
    )
    return stage


def rows(folder):
    return [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]


def test_every_step_takes_its_own_samples(tmp_path):
    samples = Numbers()
    stage = train(tmp_path, samples=samples)
    assert samples.asked == list(range(48))
    assert stage.epochs == [(5, 'line'), (10, 'line'), (12, 'line')]
    told = rows(tmp_path)
    assert [r['step'] for r in told] == [4, 8, 12]
    # A line is the mean over its steps.
    expected = sum(float(Numbers()[4 * k]['x'][0]) for k in range(4)) / 4
    assert told[0]['first'] == pytest.approx(expected, rel=1e-5)
    assert told[-1]['loss'] < told[0]['loss']


@pytest.mark.parametrize('stop_at', [1, 4, 7])
def test_resumed_is_as_unbroken(tmp_path, stop_at):
    unbroken = train(tmp_path / 'a')
    samples = Numbers()
    with pytest.raises(InterruptedError):
        train(tmp_path / 'b', stop_at=stop_at)
    resumed = train(tmp_path / 'b', samples=samples)
    assert samples.asked == list(range(4 * stop_at, 48))
    for ours, theirs in zip(resumed.parameters(), unbroken.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert [r['step'] for r in rows(tmp_path / 'b')] == [4, 8, 12]


def test_passes_change_nothing_but_memory(tmp_path):
    whole = train(tmp_path / 'a')
    split = train(tmp_path / 'b', passes=2)
    for ours, theirs in zip(split.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(rows(tmp_path / 'b'), rows(tmp_path / 'a'), strict=True):
        assert ours['loss'] == pytest.approx(theirs['loss'], rel=1e-4)


def test_what_is_trained_is_not_trained_again(tmp_path):
    done = train(tmp_path)
    samples = Numbers()
    again = train(tmp_path, samples=samples)
    assert samples.asked == []
    assert torch.equal(again.layer.weight, done.layer.weight)


def test_a_batch_that_cannot_be_split_is_refused(tmp_path):
    with pytest.raises(ConfigError, match='batch_size must be a multiple of 1 processes x 3'):
        train(tmp_path, passes=3)


def test_ctrl_c_keeps_what_was_learnt(tmp_path):
    class Stopped(Numbers):
        def __getitem__(self, index):
            if index == 30:
                raise KeyboardInterrupt
            return super().__getitem__(index)

    with pytest.raises(KeyboardInterrupt, match='run again to go on'):
        train(tmp_path, samples=Stopped(), save_minutes=60.0)
    samples = Numbers()
    train(tmp_path, samples=samples)
    assert samples.asked[0] in (24, 28)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_amid_a_step_lets_it_end_and_is_saved(tmp_path, number):
    class Told(Line):
        def training_step(self, batch, index):
            if self.global_step == 9:
                signal.raise_signal(number)
            return super().training_step(batch, index)

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt, match='stopped at step 10: run again to go on'):
        train(tmp_path, stage=Told(), save_minutes=60.0)
    assert signal.getsignal(number) is before
    samples = Numbers()
    train(tmp_path, samples=samples)
    assert samples.asked[0] == 40  # the step's batch of four is not trained on again


def test_the_second_signal_ends_it_at_once(tmp_path):
    class Told(Line):
        def training_step(self, batch, index):
            if self.global_step == 9:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
            return super().training_step(batch, index)

    with pytest.raises(KeyboardInterrupt, match='run again to go on'):
        train(tmp_path, stage=Told(), save_minutes=60.0)
    samples = Numbers()
    train(tmp_path, samples=samples)
    assert samples.asked[0] < 40


def test_a_signal_that_is_ignored_stays_so(tmp_path):
    class Told(Line):
        def training_step(self, batch, index):
            if self.global_step == 9:
                signal.raise_signal(signal.SIGINT)
            return super().training_step(batch, index)

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        train(tmp_path, stage=Told(), save_minutes=60.0)
    finally:
        signal.signal(signal.SIGINT, before)
