"""Losses against ground truth, for networks trained on simulated streets (not in the paper)."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from dsn_core.labels import UNLABELLED

__all__ = ['label_cross_entropy', 'log_depth_error', 'log_depth_gradient_error']


def log_depth_error(depth: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of log depths over the pixels that were measured.

    ``depth`` (B, H, W) above zero; ``target`` (B, H, W) in the same units, 0 = not measured. An
    error of 10 % weighs the same near and far, as it does in Abs Rel. Zero where nothing was
    measured.
    """
    measured = target > 0
    error = (depth.log() - target.clamp(min=1e-6).log()).abs()
    total = torch.where(measured, error, torch.zeros_like(error)).sum()
    return total / measured.sum().clamp(min=1)


def log_depth_gradient_error(depth: Tensor, target: Tensor, strides: int = 4) -> Tensor:
    """Mean absolute gradient of the log error, at strides 1, 2, 4, ... (``strides`` of them).

    As MiDaS (Ranftl et al. 2020, section 5) has it: an edge of the depth map is to be where the
    truth has it, and as high, whatever the scale. Shapes and units as ``log_depth_error``; a
    difference counts where both of its pixels were measured. Zero where none was.
    """
    measured = target > 0
    error = depth.log() - target.clamp(min=1e-6).log()  # (B, H, W)
    total = error.new_zeros(())
    for k in range(strides):
        step = 2**k
        thin, seen = error[:, ::step, ::step], measured[:, ::step, ::step]
        for axis in (1, 2):
            length = thin.shape[axis] - 1
            if length < 1:
                continue
            jump = thin.narrow(axis, 1, length) - thin.narrow(axis, 0, length)
            both = seen.narrow(axis, 1, length) & seen.narrow(axis, 0, length)
            kept = torch.where(both, jump.abs(), torch.zeros_like(jump)).sum()
            total = total + kept / both.sum().clamp(min=1)
    return total / (2 * strides)


def label_cross_entropy(
    logits: Tensor, labels: Tensor, class_weights: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy of ``logits`` (B, C, H, W) against ``labels`` (B, H, W) int64.

    Pixels labelled 255 are left out; ``class_weights`` (C,) weighs rare classes up. Zero where
    nothing is labelled.
    """
    if not (labels != UNLABELLED).any():
        return logits.sum() * 0
    return cross_entropy(logits, labels, weight=class_weights, ignore_index=UNLABELLED)
