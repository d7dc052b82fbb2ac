"""Validation on drives of other towns: depth errors and label overlap by condition."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from dsn_core.checkpoint import CheckpointInfo
from dsn_core.data.drives import Drive
from dsn_core.evaluation import DepthErrors, LabelScore, depth_errors
from dsn_core.files import replacing
from dsn_core.models import DepthSegNet

__all__ = ['ValidationFigures', 'ValidationRow', 'validate']


@dataclass(frozen=True)
class ValidationRow:
    """The figures of one condition; depth metric as predicted and scaled by medians."""

    frames: int
    metric: dict[str, float]
    median_scaled: dict[str, float]
    mean_iou: float
    iou: dict[str, float]

    def summary(self) -> str:
        """One line for the log."""
        return (
            f'Abs Rel {self.metric["abs_rel"]:.3f} (median-scaled '
            f'{self.median_scaled["abs_rel"]:.3f}), mIoU {100 * self.mean_iou:.1f} %'
        )


@dataclass(frozen=True)
class ValidationFigures:
    """Rows by condition."""

    rows: dict[str, ValidationRow]

    def write(self, path: Path) -> None:
        """As JSON, written beside and renamed."""
        with replacing(path) as beside:
            beside.write_text(json.dumps({k: asdict(v) for k, v in self.rows.items()}, indent=1))


@torch.no_grad()
def validate(
    network: DepthSegNet, info: CheckpointInfo, drives: list[Drive], frames: int
) -> ValidationFigures:
    """Score ``network`` on ``frames`` frames of every condition, spread evenly over ``drives``."""
    network = network.eval()
    rows = {}
    for condition in sorted({d.condition for d in drives}):
        chosen = [d for d in drives if d.condition == condition]
        everything = [(d, i) for d in chosen for i in range(d.frames)]
        picks = np.linspace(0, len(everything) - 1, min(frames, len(everything))).astype(int)
        rows[condition] = _score(network, info, [everything[i] for i in picks])
    return ValidationFigures(rows)


def _score(
    network: DepthSegNet, info: CheckpointInfo, frames: list[tuple[Drive, int]]
) -> ValidationRow:
    device = next(network.parameters()).device
    score = LabelScore(info.class_names)
    metric, scaled = [], []
    for drive, index in frames:
        frame = drive.read(index)
        size = (info.width, info.height)
        image = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
        x = torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float() / 255
        perceived = network(x, scales=(0,))
        depth = network.depth(perceived.disparities[0])[0, 0].cpu().numpy()
        if info.focal_length is not None:
            focal = np.sqrt(drive.fx * info.width / drive.width)
            focal *= np.sqrt(drive.fy * info.height / drive.height)
            depth = depth * np.float32(focal / info.focal_length)
        metric.append(depth_errors(frame.depth, depth, median_scaling=False))
        scaled.append(depth_errors(frame.depth, depth, median_scaling=True))
        if perceived.logits:
            labels = perceived.logits[0][0].argmax(dim=0).byte().cpu().numpy()
            full = (frame.labels.shape[1], frame.labels.shape[0])
            how = cv2.INTER_NEAREST_EXACT
            score.add(frame.labels, cv2.resize(labels, full, interpolation=how))
    return ValidationRow(
        len(frames),
        DepthErrors.mean(metric)._asdict(),
        DepthErrors.mean(scaled)._asdict(),
        score.mean_iou(),
        score.iou(),
    )
