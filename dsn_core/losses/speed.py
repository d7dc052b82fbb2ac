"""Metric scale from speed: not in the paper, the "v" of its [16] and [21]."""

import torch
from torch import Tensor

from dsn_core.losses.checks import full_precision

__all__ = ['speed_supervision']


def speed_supervision(translation: Tensor, distance: Tensor) -> Tensor:
    """Mean | ‖t‖ - distance | as a scalar, metres, over the samples whose distance is known.

    ``translation`` (B, 3) of PoseNet's transform, either direction; ``distance`` (B,) metres that
    the camera moved between the two frames, speed x time, nan = unknown. It makes PoseNet, and
    through the view synthesis depth, metric without a label. Zero where nothing is known. Raises
    ValueError naming the argument whose shape is wrong.
    """
    if translation.ndim != 2 or translation.shape[1] != 3:
        raise ValueError(f'translation must be (B, 3), got {tuple(translation.shape)}')
    if distance.shape != translation.shape[:1]:
        raise ValueError(f'distance must be ({len(translation)},), got {tuple(distance.shape)}')
    translation = full_precision(translation)
    known = distance.isfinite()
    error = torch.linalg.vector_norm(translation, dim=1) - distance.to(translation)
    # Before abs: its gradient at nan is nan, even where nothing takes it.
    error = torch.where(known, error, torch.zeros_like(error)).abs()
    return error.sum() / known.sum().clamp(min=1)
