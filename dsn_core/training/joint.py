"""The joint training of Eq 18, and with fewer terms the day teacher's and the baselines'."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dsn_core.checkpoint import CheckpointInfo
from dsn_core.data.drives import Drive
from dsn_core.losses import (
    Frames,
    LossInputs,
    PseudoLabels,
    TotalLoss,
    View,
    required_inputs,
)
from dsn_core.models.decoder import SCALES
from dsn_core.models.depthsegnet import DepthSegNet, Perceived
from dsn_core.models.pose import PoseNet
from dsn_core.training import world
from dsn_core.training.average import MovingAverage
from dsn_core.training.label_free_config import ScheduleConfig
from dsn_core.training.not_finite import require_finite
from dsn_core.training.run_log import RunLog
from dsn_core.training.slow_encoder import freeze_norms, parameter_groups
from dsn_core.training.validation import validate
from dsn_core.visual import colourise_depth, overlay

__all__ = ['JointStage']

_logger = logging.getLogger(__name__)

_VIEWS = {  # LossInputs' views and the sample's keys that they are shown as
    'day': 'day',
    'synthetic_night': 'day_synthetic',
    'night': 'night',
    'synthetic_day': 'night_synthetic',
}
_FLAT = 0.01  # standard deviation over mean of a depth map that says nothing
_FALL = 0.1  # [17]: the learning rate falls to a tenth


class JointStage(lightning.LightningModule):
    """The network and PoseNet, trained on ``Pairs`` with whatever terms of Eq 18 weigh anything.

    All views of a batch go through the network together: the statistics of its batch norms are
    then those of day and night, real and synthetic, as they are when it is used. (The paper does
    not say; apart, every kind would be normalised by its own, and at test time by neither.)
    """

    def __init__(
        self,
        network: DepthSegNet,
        loss: TotalLoss,
        schedule: ScheduleConfig,
        steps: int,
        seed: int,
        info: CheckpointInfo,
        work: Path,
        channels_last: bool = True,
        validation: tuple[list[Drive], int] = ([], 0),
    ) -> None:
        """``work`` is where a batch whose loss is not finite is left.

        ``validation``: drives with ground truth, and how many of their frames are looked at.
        """
        super().__init__()
        self.clip_gradient = schedule.clip_gradient or None
        self.uses_all = set(loss.options.scales) == set(SCALES)
        self.needs = required_inputs(loss.weights)
        if channels_last:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if not schedule.encoder_rate:
            network.encoder.requires_grad_(False)
        self.network = network
        self.pose = PoseNet() if self.needs & {'day_frames', 'night_frames'} else None
        decay = schedule.ema_decay
        self.average = MovingAverage(network, decay) if decay else None
        self.loss = loss
        self._schedule = schedule
        self._channels_last = channels_last
        self._steps = steps
        self._seed = seed
        self._info = info
        self._work = work
        self._validation = validation
        self._last: dict[str, View] = {}
        self.train()  # Lightning leaves the modes as they are

    @property
    def best(self) -> DepthSegNet:
        """The network to keep."""
        best = self.network if self.average is None else self.average.network
        assert isinstance(best, DepthSegNet)
        return best

    def train(self, mode: bool = True) -> 'JointStage':
        """As any module; frozen batch norms stay as they are."""
        super().train(mode)
        if self._schedule.freeze_batch_norm:
            freeze_norms(self)
        elif not self._schedule.encoder_rate:
            freeze_norms(self.network.encoder)
        if self.average is not None:
            self.average.eval()
        return self

    def training_step(self, batch: dict[str, Any], index: int) -> Tensor:
        inputs = self._inputs(batch)
        generator = torch.Generator().manual_seed(
            hash((self._seed, self.global_step, index, world.rank())) % 2**63
        )
        terms = self.loss(inputs, generator)
        if not torch.isfinite(terms['total']):
            remedy = 'lower the learning rate'
            require_finite(terms, batch, self._work, self.global_step, remedy)
        values = {name: value.detach() for name, value in terms.items()}
        self.log('total', values.pop('total'), prog_bar=True)
        self.log_dict(values)
        self._last = {v: getattr(inputs, v) for v in _VIEWS if v in self.needs}
        return terms['total']

    def on_train_batch_end(self, *_: object) -> None:
        if self.average is not None:
            self.average.update(self.network, self.global_step)

    def configure_optimizers(self) -> Any:
        rate, share = self._schedule.learning_rate, self._schedule.encoder_rate
        pose = [] if self.pose is None else self.pose.parameters()
        optimizer = torch.optim.Adam(
            parameter_groups(self.network, pose, rate, share),
            lr=rate,
            fused=self.clip_gradient is None,  # Lightning can't clip for a fused one
        )
        fall = round(self._schedule.decay_after * self._steps)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: 1.0 if step < fall else _FALL
        )
        return {
            'optimizer': optimizer,
            'lr_scheduler': {'scheduler': schedule, 'interval': 'step'},
        }

    def end_of_epoch(self, step: int, log: RunLog, name: str) -> None:
        """Show the last batch and score the network; called by ``fit``."""
        if not world.rank():
            for view, seen in self._last.items():
                log.pictures(name, step, _pictures(view, self.network, seen))
                self._look_for_collapse(view, seen, step)
        self.score(step, log, name)

    def _look_for_collapse(self, view: str, seen: View, step: int) -> None:
        disparity = seen.perceived.disparities[0].detach().float()
        depth = self.network.depth(disparity)
        spread = float(depth.std() / depth.mean())
        if spread < _FLAT:
            _logger.warning(
                'step %d: depth of %s is the same everywhere (spread %.1g): it has collapsed. '
                'Start from trained weights (init), or lower the learning rate',
                step,
                view,
                spread,
            )

    def score(self, step: int, log: RunLog, name: str) -> dict[str, float]:
        """Score the network on the validation drives, where there are any."""
        drives, frames = self._validation
        if not drives or world.rank():
            return {}
        training = self.training
        self.eval()
        figures = validate(self.best, self._info, drives, frames)
        self.train(training)
        scores = {}
        for condition, row in figures.rows.items():
            scores[f'{condition}/abs_rel'] = row.median_scaled['abs_rel']
            if self._info.class_names:
                scores[f'{condition}/mean_iou'] = row.mean_iou
        log.figures(name, step, {f'validation/{k}': v for k, v in scores.items()})
        return scores

    def _inputs(self, batch: Mapping[str, Any]) -> LossInputs:
        views = {view: batch[key] for view, key in _VIEWS.items() if view in self.needs}
        images = torch.cat(list(views.values()))
        if self._channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        perceived = _split(self.network(images), len(views))
        given: dict[str, Any] = {
            view: View(image, seen)
            for (view, image), seen in zip(views.items(), perceived, strict=True)
        }
        given.update(self._frames(batch))
        if 'teacher_disparity' in self.needs:
            given['teacher_disparity'] = batch['day_disparity']
        for domain in ('day', 'night'):
            if f'{domain}_labels' in self.needs:
                labels = PseudoLabels(batch[f'{domain}_labels'], batch[f'{domain}_confidence'])
                given[f'{domain}_labels'] = labels
        return LossInputs(**given)

    def _frames(self, batch: Mapping[str, Any]) -> dict[str, Frames]:
        domains = [d for d in ('day', 'night') if f'{d}_frames' in self.needs]
        if not domains:
            return {}
        assert self.pose is not None
        shown = torch.cat([batch[f'{d}_pose_frames'] for d in domains])  # (B', 3, 3, H, W)
        # Half precision has three digits, and a pixel of motion needs four.
        with torch.autocast(shown.device.type, enabled=False):
            transforms = self.pose.neighbours(*shown.float().unbind(dim=1))
        halves = [t.chunk(len(domains)) for t in transforms]
        return {
            f'{d}_frames': Frames(
                target=batch[f'{d}_target'],
                sources=tuple(batch[f'{d}_sources'].unbind(dim=1)),
                transforms=tuple(half[i] for half in halves),
                intrinsics=batch[f'{d}_intrinsics'],
                distances=tuple(batch[f'{d}_distances'].unbind(dim=1)),
            )
            for i, d in enumerate(domains)
        }


def _split(perceived: Perceived, parts: int) -> list[Perceived]:
    def maps(which: dict[int, Tensor]) -> list[dict[int, Tensor]]:
        chunks = {s: x.chunk(parts) for s, x in which.items()}
        return [{s: c[i] for s, c in chunks.items()} for i in range(parts)]

    disparities, logits = maps(perceived.disparities), maps(perceived.logits)
    light, enhanced = perceived.light.chunk(parts), perceived.enhanced.chunk(parts)
    return [Perceived(disparities[i], logits[i], light[i], enhanced[i]) for i in range(parts)]


@torch.no_grad()
def _pictures(view: str, network: DepthSegNet, seen: View) -> dict[str, NDArray[np.uint8]]:
    """What one view looks like and what is made of it, each (H, W, 3) RGB."""
    image = _rgb(seen.image[0])
    depth = network.depth(seen.perceived.disparities[0][0, 0].float()).cpu().numpy()
    # Up to scale: the middle of the picture in the middle of the colours.
    depth = depth * np.float32(15.0 / float(np.median(depth)))
    pictures = {f'{view}/picture': image, f'{view}/depth': colourise_depth(depth)}
    if seen.perceived.logits:
        labels = seen.perceived.logits[0][0].argmax(dim=0).byte().cpu().numpy()
        pictures[f'{view}/labels'] = overlay(image, labels)
    if network.light is not None:
        pictures[f'{view}/enhanced'] = _rgb(seen.perceived.enhanced[0])
    return pictures


def _rgb(image: Tensor) -> NDArray[np.uint8]:
    rgb = image.detach().float().clamp(0, 1).mul(255).byte().permute(1, 2, 0).cpu().numpy()
    result: NDArray[np.uint8] = np.ascontiguousarray(rgb)
    return result
