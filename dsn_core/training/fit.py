"""Trains a stage step by step with Lightning: resumed exactly, shared by processes, logged.

Sample i is the same whenever it is asked for, and step k trains on samples k * batch_size to
(k + 1) * batch_size - 1, however many processes and passes share them: a run that was stopped, or
that runs on more machines, sees what the unbroken run on one machine would have.
"""

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from dsn_core.errors import ConfigError, UserError
from dsn_core.files import replacing
from dsn_core.training import world
from dsn_core.training.run import WORK
from dsn_core.training.run_log import RunLog
from dsn_core.training.stopping import Stopping, leave_signals_to_parent, told_to_stop
from dsn_core.training.trainer_config import TrainerConfig

__all__ = ['TrainerConfig', 'fit']

_logger = logging.getLogger(__name__)

# Its hints advertise other products; what goes wrong it still says.
logging.getLogger('lightning.pytorch').setLevel(logging.WARNING)

STATE = 'last.ckpt'


def fit(
    stage: lightning.LightningModule,
    samples: Dataset[Any],
    *,
    folder: Path,
    steps: int,
    batch_size: int,
    epoch_steps: int,
    settings: TrainerConfig,
    log: RunLog,
) -> None:
    """Train ``stage`` until ``steps`` batches are done, from ``folder/work/last.ckpt`` if there.

    ``samples`` hold at least ``steps * batch_size``; ``batch_size`` is that of all processes and
    passes together. What the stage logs (``log_dict``) reaches ``log`` under the
    folder's name, its mean over ``settings.log_steps`` steps. A stage may offer

    - ``uses_all``: true if every step has a gradient for every parameter;
    - ``optimizers_per_step`` (1), where its optimisation is manual: Lightning counts each one's;
    - ``end_of_epoch(step, log, name)``, called on all processes after every ``epoch_steps``.

    Returns with the state saved, whole at every moment. SIGINT and SIGTERM let the step end and
    are saved, a second one not. Raises KeyboardInterrupt if it was stopped, ConfigError if the
    batch can't be split evenly, UserError if the state cannot be written (the one before stays) or
    a sample cannot be read.
    """
    name = folder.name
    world_size = world.size()
    if batch_size % (world_size * settings.passes):
        raise ConfigError(
            f'stage {name}: batch_size must be a multiple of {world_size} processes x '
            f'{settings.passes} passes, got {batch_size}'
        )
    state = folder / WORK / STATE
    per_step = int(getattr(stage, 'optimizers_per_step', 1))
    done = _steps_taken(state) // per_step if state.exists() else 0
    if done >= steps:
        _restore(stage, state)
        return
    log.resume(name, done)
    world.barrier()
    order = _Share(done, steps, batch_size, settings.passes)
    loader = DataLoader(
        samples,
        batch_size=order.share,
        sampler=order,
        num_workers=settings.workers,
        drop_last=True,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=settings.workers > 0,
        worker_init_fn=leave_signals_to_parent,
    )
    keeper = _Keeper(state, steps, epoch_steps, settings, log, name, per_step)
    trainer = lightning.Trainer(
        max_steps=steps * per_step,
        accelerator='auto',
        devices=world.local_size(),
        num_nodes=world_size // world.local_size(),
        strategy=_strategy(stage),
        sync_batchnorm=world_size > 1 and torch.cuda.is_available(),
        use_distributed_sampler=False,
        precision='bf16-mixed' if settings.precision == 'bf16' else '32-true',
        accumulate_grad_batches=settings.passes if stage.automatic_optimization else 1,
        gradient_clip_val=getattr(stage, 'clip_gradient', None),
        logger=False,
        enable_checkpointing=False,
        callbacks=[keeper, TQDMProgressBar(refresh_rate=10)],
        enable_model_summary=False,
    )
    try:
        with warnings.catch_warnings(), told_to_stop() as keeper.stopping:
            # Of loaders that can't be resumed (ours is) and of modules in eval mode (averages).
            warnings.filterwarnings('ignore', module='lightning')
            trainer.fit(
                stage, loader, ckpt_path=str(state) if state.exists() else None, weights_only=True
            )
    except UserError as error:
        raise _told_by_worker(error) from error
    except SystemExit:  # what Lightning makes of Ctrl-C
        pass
    if keeper.step < steps:
        raise KeyboardInterrupt(f'{name} stopped at step {keeper.step}: run again to go on')


def _told_by_worker(error: UserError) -> UserError:
    """The error itself: that of a process that reads samples comes with its traceback as text."""
    text = str(error.args[0]) if error.args else ''
    if 'Original Traceback' not in text:
        return error
    return UserError(text.rstrip().splitlines()[-1].partition('Error: ')[2])


def _steps_taken(state: Path) -> int:
    # Written by this very training, and still read without running code from it; mapped, because
    # of hundreds of MB one number is wanted.
    return int(torch.load(state, weights_only=True, mmap=True)['global_step'])


def _strategy(stage: lightning.LightningModule) -> str:
    if world.size() == 1:
        return 'auto'
    # Looking for parameters that a step leaves alone costs a walk through the graph.
    return 'ddp' if getattr(stage, 'uses_all', False) else 'ddp_find_unused_parameters_true'


def _restore(stage: lightning.LightningModule, state: Path) -> None:
    """Bring a stage that is trained to its end back to where it ended."""
    stage.load_state_dict(torch.load(state, weights_only=True, map_location='cpu')['state_dict'])


class _Share(Sampler[int]):
    """The samples of one process, batch by batch from batch ``first`` on.

    Its length is that of an unbroken run, by which Lightning, resumed, still counts.
    """

    def __init__(self, first: int, steps: int, batch_size: int, passes: int) -> None:
        self.share = batch_size // (world.size() * passes)
        self._range = range(first, steps)
        self._steps = steps
        self._batch_size = batch_size
        self._passes = passes

    def __len__(self) -> int:
        return self._steps * self._passes * self.share

    def __iter__(self) -> Iterator[int]:
        for step in self._range:
            for each in range(self._passes):
                first = step * self._batch_size
                first += (each * world.size() + world.rank()) * self.share
                yield from range(first, first + self.share)


class _Keeper(Callback):
    """Saves the state, tells the figures, ends the epochs; all of it between steps only."""

    def __init__(
        self,
        state: Path,
        steps: int,
        epoch_steps: int,
        settings: TrainerConfig,
        log: RunLog,
        name: str,
        per_step: int,
    ) -> None:
        self.step = 0
        self.stopping = Stopping()
        self._state = state
        self._steps = steps
        self._epoch_steps = epoch_steps
        self._settings = settings
        self._log = log
        self._name = name
        self._per_step = per_step
        self._saved = time.monotonic()
        self._unsaved = False
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def on_train_start(self, trainer: Any, module: Any) -> None:
        self.step = trainer.global_step // self._per_step

    def on_train_batch_start(self, *_: Any) -> None:
        self._unsaved = False

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, index: int
    ) -> None:
        for name, value in trainer.callback_metrics.items():
            self._sums[name] = self._sums.get(name, 0) + value.detach().float()
            self._counts[name] = self._counts.get(name, 0) + 1
        if (index + 1) % self._settings.passes:
            return
        self.step = trainer.global_step // self._per_step
        self._unsaved = True
        last = self.step >= self._steps
        if last or self.step % self._settings.log_steps == 0:
            self._tell(trainer)
        if last or self.step % self._epoch_steps == 0:
            end_of_epoch = getattr(module, 'end_of_epoch', None)
            if end_of_epoch is not None:
                end_of_epoch(self.step, self._log, self._name)
        minutes = (time.monotonic() - self._saved) / 60
        # All processes must save, and stop, together: the first one decides.
        due = last or minutes >= self._settings.save_minutes
        due, stop = trainer.strategy.broadcast((due, self.stopping.asked))
        if due or stop:
            self._save(trainer)
        if stop and not last:
            raise KeyboardInterrupt

    def on_exception(self, trainer: Any, module: Any, error: BaseException) -> None:
        if isinstance(error, KeyboardInterrupt) and self._unsaved and world.size() == 1:
            self._save(trainer)

    def _save(self, trainer: Any) -> None:
        # Lightning writes over the state before, which a full disk or a kill would leave half.
        with replacing(self._state) if not world.rank() else nullcontext(self._state) as beside:
            trainer.save_checkpoint(beside)
        self._saved = time.monotonic()
        self._unsaved = False

    def _tell(self, trainer: Any) -> None:
        figures = {}
        for name, total in sorted(self._sums.items()):
            mean = total / self._counts[name]
            figures[name] = float(trainer.strategy.reduce(mean, reduce_op='mean'))
        self._sums, self._counts = {}, {}
        self._log.figures(self._name, self.step, figures)
