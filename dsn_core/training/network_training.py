"""Trains the network of a stage, and keeps it in the stage's folder."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from dsn_core.checkpoint import POSE_FILE, CheckpointInfo, save_checkpoint, save_pose
from dsn_core.data.drives import Drive
from dsn_core.losses import LossWeights, TotalLoss
from dsn_core.pretrained import initialise
from dsn_core.training import world
from dsn_core.training.fit import STATE, fit
from dsn_core.training.joint import JointStage
from dsn_core.training.label_free_config import LabelFreeConfig, ScheduleConfig
from dsn_core.training.pairs import Domain, Pairs
from dsn_core.training.run import WORK
from dsn_core.training.run_log import RunLog

__all__ = ['CHECKPOINT', 'NetworkTraining', 'train_network']

_logger = logging.getLogger(__name__)

CHECKPOINT = 'network.safetensors'
_START_LOGIT = -2.0  # a fresh network says disparity 0.12 everywhere


@dataclass(frozen=True)
class NetworkTraining:
    """What is trained, on what, and how."""

    info: CheckpointInfo
    domains: tuple[Domain, ...]
    weights: LossWeights
    schedule: ScheduleConfig
    epoch_steps: int
    seed: int
    init: str
    """What it starts from: see ``initialise``."""
    drives: list[Drive]
    """Drives to score on; none on other processes than the first."""


def train_network(
    folder: Path, how: NetworkTraining, config: LabelFreeConfig, log: RunLog
) -> None:
    """Train a network, from where it was left, and leave it in ``folder``."""
    torch.manual_seed(how.seed)
    schedule = how.schedule
    steps = schedule.epochs * how.epoch_steps
    stage = JointStage(
        how.info.build(),
        TotalLoss(how.weights, config.options),
        schedule,
        steps,
        how.seed,
        how.info,
        folder / WORK,
        config.trainer.channels_last,
        (how.drives, config.validate_frames),
    )
    if not (folder / WORK / STATE).exists():
        _start(folder.name, stage, how)
        log.resume(folder.name, -1)
        stage.score(0, log, folder.name)
    fit(
        stage,
        Pairs(how.domains, schedule, how.seed, steps * schedule.batch_size),
        folder=folder,
        steps=steps,
        batch_size=schedule.batch_size,
        epoch_steps=how.epoch_steps,
        settings=config.trainer,
        log=log,
    )
    if not world.rank():
        if stage.pose is not None:
            save_pose(folder / POSE_FILE, stage.pose)
        # Last: it says that the training is whole.
        save_checkpoint(folder / CHECKPOINT, stage.best, how.info)
    world.barrier()


def _start(name: str, stage: JointStage, how: NetworkTraining) -> None:
    """Give a fresh stage the weights that it starts from."""
    stage.network.start_at(_START_LOGIT)
    if how.init and stage.network.light is not None:
        # What was trained on pictures as they are gets them so, unless it brings its own module.
        stage.network.light.start_at_nothing()
    for line in initialise(stage.network, stage.pose, how.init):
        _logger.info('%s: %s', name, line)
