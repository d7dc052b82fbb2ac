"""Structural similarity over 3x3 windows, as [17] computes it (Eq 1, 2, 6 and 15)."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from dsn_core.losses.checks import full_precision, require_images, require_same_shape

__all__ = ['ssim_dissimilarity', 'structural_similarity']

C1 = 0.01**2  # keeps the ratio of means steady in the dark; for values of about 0 to 1
C2 = 0.03**2  # and that of variances where nothing is to be seen


class _WindowMean(torch.autograd.Function):
    """Mean of every 3x3 window, (..., H + 2, W + 2) → (..., H, W): rows first, then columns.

    ``avg_pool2d`` gives the same, and took three times as long on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        rows = x[..., :-2, :] + x[..., 1:-1, :]
        rows += x[..., 2:, :]
        mean = rows[..., :-2] + rows[..., 1:-1]
        mean += rows[..., 2:]
        return mean.div_(9)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # A pixel is in the nine windows around it: the same sum, over what is given back.
        return _window_mean(pad(gradient, (2, 2, 2, 2)))


def _window_mean(x: Tensor) -> Tensor:
    mean: Tensor = _WindowMean.apply(x)  # type: ignore[no-untyped-call]
    return mean


def structural_similarity(x: Tensor, y: Tensor) -> Tensor:
    """SSIM map (B, C, H, W) in [-1, 1] of two images (B, C, H, W); 1 where they are equal.

    Means and variances are those of 3x3 windows, each pixel weighing the same, with reflected
    borders. C1 = 0.01² and C2 = 0.03² suppose values of about 0 to 1. Raises ValueError naming
    the argument that is not (B, C, H, W), at least 2 x 2, or not of the other's shape.
    """
    require_images(2, x=x, y=y)
    require_same_shape(x=x, y=y)
    x = pad(full_precision(x), (1, 1, 1, 1), mode='reflect')  # (B, C, H + 2, W + 2)
    y = pad(full_precision(y), (1, 1, 1, 1), mode='reflect')
    mean_x, mean_y = _window_mean(x), _window_mean(y)  # (B, C, H, W)
    variance_x = _window_mean(x * x) - mean_x * mean_x
    variance_y = _window_mean(y * y) - mean_y * mean_y
    covariance = _window_mean(x * y) - mean_x * mean_y
    alike = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
    return alike / ((mean_x * mean_x + mean_y * mean_y + C1) * (variance_x + variance_y + C2))


def ssim_dissimilarity(x: Tensor, y: Tensor) -> Tensor:
    """The SSIM part of Eq 6: map (B, C, H, W) of clamp((1 - SSIM) / 2, 0, 1).

    ``x`` and ``y`` (B, C, H, W), about 0 to 1; 0 where they are equal. Raises as
    ``structural_similarity`` does.
    """
    return ((1 - structural_similarity(x, y)) / 2).clamp(0, 1)
