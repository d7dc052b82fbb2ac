"""Training with ground truth: the second way to a model, beside the paper's label-free one."""

import logging
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from dsn_core.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from dsn_core.data.drives import Drive, find_drives
from dsn_core.labels import CITYSCAPES, UNLABELLED
from dsn_core.losses import label_cross_entropy, log_depth_error, log_depth_gradient_error
from dsn_core.models import DepthSegNet
from dsn_core.models.decoder import SCALES
from dsn_core.pretrained import initialise
from dsn_core.training import world
from dsn_core.training.average import MovingAverage
from dsn_core.training.fit import fit
from dsn_core.training.not_finite import require_finite
from dsn_core.training.run import WORK
from dsn_core.training.run_log import RunLog
from dsn_core.training.samples import DriveSamples, WholeFrames
from dsn_core.training.slow_encoder import freeze_norms, parameter_groups
from dsn_core.training.supervised_config import PhaseConfig, SupervisedConfig
from dsn_core.training.trainer_config import TrainerConfig
from dsn_core.training.validation import validate

__all__ = ['train_supervised']

_logger = logging.getLogger(__name__)

_WARM_UP = 0.05  # share of a phase's steps
_START_LOGIT = -4.0  # a fresh network says some 10 m everywhere rather than min_depth
_CLASS_WEIGHT_SAMPLES = 200


class SupervisedStage(lightning.LightningModule):
    """One phase: the network, its moving average and the optimiser."""

    class_weights: Tensor
    clip_gradient = 1.0

    def __init__(
        self, network: DepthSegNet, config: SupervisedConfig, phase: int, class_weights: Tensor
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = MovingAverage(network, config.ema_decay)
        self.config = config
        self.index = phase
        self.phase: PhaseConfig = config.phases[phase]
        self.register_buffer('class_weights', class_weights)
        if not self.phase.encoder_rate:
            self.network.encoder.requires_grad_(False)
        self.train()  # Lightning leaves the modes as they are

    def train(self, mode: bool = True) -> 'SupervisedStage':
        """As any module; batch norms that keep their statistics stay as they are."""
        super().train(mode)
        if self.config.freeze_encoder_norms or not self.phase.encoder_rate:
            freeze_norms(self.network.encoder)
        self.average.eval()
        return self

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        image = batch['image'].contiguous(memory_format=torch.channels_last)
        # Scales without heads of their own would say the same again.
        perceived = self.network(image, [s for s in SCALES if s >= self.network.finest])
        depth_loss = image.new_zeros(())
        edge_loss = image.new_zeros(())
        label_loss = image.new_zeros(())
        # As [17] does for its losses: every scale is compared, coarser ones weigh less.
        for scale, disparity in perceived.disparities.items():
            logits = perceived.logits[scale]
            size = disparity.shape[-2:]
            depth = self.network.depth(disparity.float())[:, 0]  # (B, h, w)
            target = interpolate(batch['depth'][:, None], size, mode='nearest')[:, 0]
            labels = interpolate(batch['labels'][:, None].float(), size, mode='nearest')[:, 0]
            weight = 0.5**scale
            depth_loss = depth_loss + weight * log_depth_error(depth, target)
            if self.config.depth_gradient_weight:
                edge_loss = edge_loss + weight * log_depth_gradient_error(depth, target)
            label_loss = label_loss + weight * label_cross_entropy(
                logits.float(), labels.long(), self.class_weights
            )
        config = self.config
        depth_part = depth_loss + config.depth_gradient_weight * edge_loss
        loss = config.depth_weight * depth_part + config.label_weight * label_loss
        if not torch.isfinite(loss):
            require_finite(
                {
                    'depth_loss': depth_loss,
                    'edge_loss': edge_loss,
                    'label_loss': label_loss,
                    'their weighted sum': loss,
                },
                batch,
                self.config.out / f'phase-{self.index}' / WORK,
                self.global_step,
                'lower phases.learning_rate',
            )
        self.log_dict(
            {
                'depth_loss': depth_loss.detach(),
                'edge_loss': edge_loss.detach(),
                'label_loss': label_loss.detach(),
            },
            prog_bar=True,
        )
        return loss

    def on_train_batch_end(self, *_: object) -> None:
        self.average.update(self.network, self.global_step)

    def configure_optimizers(self) -> Any:
        rate = self.phase.learning_rate
        groups = parameter_groups(self.network, (), rate, self.phase.encoder_rate)
        optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=self.config.weight_decay)
        steps = self.phase.samples // self.phase.batch_size
        warm_up = max(1, round(_WARM_UP * steps))

        def factor(step: int) -> float:
            if step < warm_up:
                return (step + 1) / warm_up
            return 0.02 + 0.49 * (1 + float(np.cos(np.pi * (step - warm_up) / steps)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            'optimizer': optimizer,
            'lr_scheduler': {'scheduler': schedule, 'interval': 'step'},
        }


def train_supervised(config: SupervisedConfig) -> Path:
    """Train all phases and return the path of the last one's checkpoint.

    Each phase leaves ``phase-N.safetensors`` and its validation figures in ``config.out``; a
    phase that has left its checkpoint is not run again, one that was stopped goes on where its
    last saved state stands. Raises ValueError where the data is missing.
    """
    world.join()
    drives = find_drives(config.data, split='train')
    validation = find_drives(config.data, split='validation')
    config.out.mkdir(parents=True, exist_ok=True)
    class_weights = _class_weights(drives, config)
    checkpoint = config.out / 'none'
    for index, phase in enumerate(config.phases):
        previous, checkpoint = checkpoint, config.out / f'phase-{index}.safetensors'
        if checkpoint.exists():
            _logger.info('%s is there: phase %d is done', checkpoint, index)
            continue
        info = _info(config, phase)
        if index == 0:
            torch.manual_seed(config.seed)
            network = _fresh(info, config.init)
        else:
            network, _ = load_checkpoint(previous)
            if phase.light and network.light is None:
                network.light = network.make_light()
                network.light.start_at_nothing()
        stage = SupervisedStage(network, config, index, class_weights)
        _fit(stage, drives, config, index)
        best = stage.average.network
        assert isinstance(best, DepthSegNet)
        if not world.rank():
            save_checkpoint(checkpoint, best, info)
            figures = validate(best, info, validation, config.validate_frames)
            figures.write(config.out / f'phase-{index}.json')
            for condition, row in figures.rows.items():
                _logger.info('phase %d %s: %s', index, condition, row.summary())
        world.barrier()
    return checkpoint


def _fresh(info: CheckpointInfo, init: str) -> DepthSegNet:
    network = info.build()
    network.start_at(_START_LOGIT)
    if network.light is not None and init:
        # What was trained on pictures as they are gets them so, unless it brings its own module.
        network.light.start_at_nothing()
    for line in initialise(network, None, init):
        _logger.info('%s', line)
    return network


def _fit(
    stage: SupervisedStage, drives: list[Drive], config: SupervisedConfig, index: int
) -> None:
    phase = config.phases[index]
    steps = phase.samples // phase.batch_size
    fit(
        stage,
        DriveSamples(drives, config, index),
        folder=config.out / f'phase-{index}',
        steps=steps,
        batch_size=phase.batch_size,
        epoch_steps=steps,
        settings=TrainerConfig(config.precision, True, 1, config.workers, config.save_minutes),
        log=RunLog(config.out),
    )


def _info(config: SupervisedConfig, phase: PhaseConfig) -> CheckpointInfo:
    return CheckpointInfo(
        name=config.name,
        height=phase.height,
        width=phase.width,
        training_data=config.training_data,
        min_depth=config.min_depth,
        max_depth=config.max_depth,
        light=phase.light,
        variant=config.variant,
        scale='metric',
        focal_length=config.focal_length * phase.width / config.phases[-1].width,
    )


def _class_weights(drives: list[Drive], config: SupervisedConfig) -> Tensor:
    """(C,) weights: one over the root of how often a class occurs, within a factor of ten."""
    rng = np.random.default_rng(config.seed)
    counts = np.zeros(256, dtype=np.int64)
    frames = WholeFrames(drives)
    for _ in range(_CLASS_WEIGHT_SAMPLES):
        which = int(rng.integers(len(drives)))
        within = int(rng.integers(drives[which].frames))
        _, (_, _, labels) = frames.read(int(frames.ends[which]) - drives[which].frames + within)
        counts += np.bincount(labels.ravel(), minlength=256)
    counts[UNLABELLED] = 0
    share = counts[: len(CITYSCAPES)] / counts.sum()
    weights = 1 / np.sqrt(np.maximum(share, 1e-6))
    weights = np.clip(weights / weights[share > 0].min(), 1.0, 10.0)
    return torch.from_numpy(weights.astype(np.float32))
