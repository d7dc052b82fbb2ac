"""Training steps to be timed: the project's own, and plain loops that do the same work.

The plain ones are what one would write first: fp32, pictures with their channels first, every view
by itself, eager. They are kept as they are, so that figures of different days can be compared.
"""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from dsn_core.checkpoint import CheckpointInfo
from dsn_core.labels import CITYSCAPES
from dsn_core.losses import (
    Frames,
    LossInputs,
    LossOptions,
    LossWeights,
    PseudoLabels,
    TotalLoss,
    View,
    label_cross_entropy,
    log_depth_error,
    log_depth_gradient_error,
)
from dsn_core.models.depthsegnet import DepthSegNet
from dsn_core.models.pose import PoseNet
from dsn_core.training.joint import JointStage
from dsn_core.training.label_free_config import ScheduleConfig
from dsn_core.training.supervised import SupervisedStage
from dsn_core.training.supervised_config import PhaseConfig, SupervisedConfig
from dsn_core.training.trainer_config import TrainerConfig

__all__ = ['PLAIN', 'PROJECT', 'VIEWS', 'steps']

PROJECT, PLAIN = 'this project', 'plain loop'
VIEWS = {'supervised': 1, 'label-free': 4}
"""Training stages, and how many pictures of each sample the network is shown."""

_STEPS = 1000  # that the schedules believe in
_RATE = 1e-4

Batch = dict[str, Tensor]
Step = Callable[[], float]
"""Does one step on the same batch again; returns its loss."""


def steps(
    stage: str, height: int, width: int, batch: int, device: str
) -> Iterator[tuple[str, Step]]:
    """PROJECT's and PLAIN's step of a stage of VIEWS; each works on ``batch`` random samples.

    ``device``: 'cpu' or 'cuda:0'. Made one after the other, as they are asked for.
    """
    make, project, plain = {
        'supervised': (_labelled, _supervised, _plain_supervised),
        'label-free': (_pairs, _label_free, _plain_label_free),
    }[stage]
    data = {k: v.to(device) for k, v in make(batch, height, width).items()}
    yield PROJECT, project(data, device)
    yield PLAIN, plain(data, device)


def _supervised(data: Batch, device: str) -> Step:
    count, _, height, width = data['image'].shape
    phase = PhaseConfig(height, width, count, count * _STEPS, _RATE)
    config = SupervisedConfig('bench', (Path(),), Path(), (phase,), '')
    weights = torch.ones(len(CITYSCAPES))
    stage = SupervisedStage(DepthSegNet(), config, 0, weights)
    return _as_fit_does(stage, data, config.precision, device)


def _label_free(data: Batch, device: str) -> Step:
    count, _, height, width = data['day'].shape
    schedule = ScheduleConfig(batch_size=count, learning_rate=_RATE)
    info = CheckpointInfo('bench', height, width, '')
    settings = TrainerConfig()
    loss = TotalLoss(LossWeights(), LossOptions())
    stage = JointStage(
        info.build(), loss, schedule, _STEPS, 1, info, _kept(), settings.channels_last
    )
    return _as_fit_does(stage, data, settings.precision, device)


def _kept() -> Path:
    """Where a stage keeps a batch whose loss is not finite."""
    return Path(tempfile.gettempdir()) / 'dsn-bench'


def _as_fit_does(
    stage: lightning.LightningModule, data: Batch, precision: str, device: str
) -> Step:
    """One optimiser step with what the stage itself brings, as Lightning would take it."""
    stage = stage.to(device)
    found: Any = stage.configure_optimizers()
    optimizer, schedule = found['optimizer'], found['lr_scheduler']['scheduler']
    clip = getattr(stage, 'clip_gradient', None)
    kind = torch.device(device).type

    def step() -> float:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # that nobody listens to what the stage logs
            with torch.autocast(kind, torch.bfloat16, enabled=precision == 'bf16'):
                loss: Any = stage.training_step(data, 0)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(stage.parameters(), clip)
        optimizer.step()
        schedule.step()
        stage.on_train_batch_end(None, data, 0)
        return float(loss.detach())  # waits for a GPU

    return step


def _plain_supervised(data: Batch, device: str) -> Step:
    network = DepthSegNet().to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE)
    weights = torch.ones(len(CITYSCAPES), device=device)
    edge_weight = SupervisedConfig.depth_gradient_weight

    def loss() -> Tensor:
        perceived = network(data['image'])
        total = data['image'].new_zeros(())
        for scale, disparity in perceived.disparities.items():
            size = disparity.shape[-2:]
            depth = interpolate(data['depth'][:, None], size, mode='nearest')[:, 0]
            labels = interpolate(data['labels'][:, None].float(), size, mode='nearest')[:, 0]
            found = network.depth(disparity)[:, 0]
            edges = log_depth_gradient_error(found, depth)
            error = log_depth_error(found, depth) + edge_weight * edges
            entropy = label_cross_entropy(perceived.logits[scale], labels.long(), weights)
            total = total + 0.5**scale * (error + entropy)
        return total

    return _plainly(optimizer, loss)


def _plain_label_free(data: Batch, device: str) -> Step:
    network, pose = DepthSegNet().to(device), PoseNet().to(device)
    parameters = [*network.parameters(), *pose.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=_RATE)
    total = TotalLoss(LossWeights(), LossOptions())

    def frames(domain: str) -> Frames:
        shown = data[f'{domain}_pose_frames']
        return Frames(
            target=data[f'{domain}_target'],
            sources=tuple(data[f'{domain}_sources'].unbind(dim=1)),
            transforms=pose.neighbours(*shown.unbind(dim=1)),
            intrinsics=data[f'{domain}_intrinsics'],
        )

    def view(name: str) -> View:
        return View(data[name], network(data[name]))

    def loss() -> Tensor:
        inputs = LossInputs(
            day=view('day'),
            synthetic_night=view('day_synthetic'),
            night=view('night'),
            synthetic_day=view('night_synthetic'),
            day_frames=frames('day'),
            night_frames=frames('night'),
            teacher_disparity=data['day_disparity'],
            day_labels=PseudoLabels(data['day_labels'], data['day_confidence']),
            night_labels=PseudoLabels(data['night_labels'], data['night_confidence']),
        )
        return total(inputs)['total']

    return _plainly(optimizer, loss)


def _plainly(optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> Step:
    def step() -> float:
        optimizer.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return float(value.detach())  # waits for a GPU

    return step


def _labelled(count: int, height: int, width: int) -> Batch:
    """A batch as ``DriveSamples`` makes them."""
    size = (count, height, width)
    random = torch.Generator().manual_seed(1)
    return {
        'image': torch.rand((count, 3, height, width), generator=random),
        'depth': 1 + 79 * torch.rand(size, generator=random),
        'labels': torch.randint(len(CITYSCAPES), size, generator=random),
    }


def _pairs(count: int, height: int, width: int) -> Batch:
    """A batch as ``Pairs`` makes them, with everything that Eq 18 looks at."""
    random = torch.Generator().manual_seed(1)
    size = (count, height, width)

    def pictures(*more: int) -> Tensor:
        return torch.rand((count, *more, 3, height, width), generator=random)

    matrix = torch.tensor(
        [[width, 0.0, (width - 1) / 2], [0.0, width, (height - 1) / 2], [0.0, 0.0, 1.0]]
    )
    data = {'day_disparity': 0.01 + torch.rand((count, 1, height, width), generator=random)}
    for domain in ('day', 'night'):
        data |= {
            domain: pictures(),
            f'{domain}_synthetic': pictures(),
            f'{domain}_target': pictures(),
            f'{domain}_sources': pictures(2),
            f'{domain}_pose_frames': pictures(3),
            f'{domain}_intrinsics': matrix.expand(count, 3, 3).contiguous(),
            f'{domain}_distances': torch.full((count, 2), torch.nan),
            f'{domain}_labels': torch.randint(
                len(CITYSCAPES), size, generator=random, dtype=torch.uint8
            ),
            f'{domain}_confidence': torch.rand(size, generator=random),
        }
    return data
