"""Distillation from a depth teacher that knows neither scale nor shift (not in the paper)."""

import torch
from torch import Tensor

from dsn_core.losses.checks import as_map, full_precision, require_same_shape
from dsn_core.losses.consistency import median_of_kept

__all__ = ['affine_invariant_distillation']

_SCALES = 4
_GRADIENT_WEIGHT = 0.5
_FLAT = 1e-6  # a deviation this small beside the largest value is none


def affine_invariant_distillation(
    disparity: Tensor, teacher_disparity: Tensor, mask: Tensor | None = None
) -> Tensor:
    """How far two disparities are apart once scale and shift are taken from each, as a scalar.

    Mean |R| + 0.5 · Σ_k (mean |∂_x R_k| + mean |∂_y R_k|), with R = n(d) - n(d̂) and
    n(d) = (d - median d) / mean |d - median d|, picture by picture; R_k, k = 0 to 3, is every
    2^k-th pixel of R. From Ranftl et al., "Towards Robust Monocular Depth Estimation" (MiDaS),
    TPAMI 2020: the scale- and shift-invariant loss with absolute differences, and its multi-scale
    gradient matching.

    ``disparity`` d and ``teacher_disparity`` d̂ of one shape, (B, 1, H, W) or (B, H, W), finite, in
    any unit; ``mask`` (bool or number, 0 = leave out) has it, too. Means are over the kept pixels
    of all pictures, or over their kept pairs; zero where there are none. A map without contrast
    has n(d) = 0.

    No gradient reaches the teacher. It does pass through the student's median and deviation, where
    in Eq 15 none may: the value is the same for every scale and shift of d, so that shrinking the
    map gains nothing, and holding them fixed would make up a pull along these very directions.

    Departs from print: means instead of half means in the first part. Raises ValueError naming the
    argument whose shape is wrong.
    """
    disparity = full_precision(as_map('disparity', disparity))
    teacher = full_precision(as_map('teacher_disparity', teacher_disparity)).detach()
    require_same_shape(disparity=disparity, teacher_disparity=teacher)
    keep = torch.ones_like(teacher, dtype=torch.bool)
    if mask is not None:
        keep = as_map('mask', mask) != 0
        require_same_shape(disparity=disparity, mask=keep)
    difference = _normalised(disparity, keep) - _normalised(teacher, keep)  # (B, 1, H, W)
    loss = _mean(difference.abs(), keep)
    for k in range(_SCALES):
        step = 2**k
        r, kept = difference[..., ::step, ::step], keep[..., ::step, ::step]
        across = _mean(r.diff(dim=3).abs(), kept[..., 1:] & kept[..., :-1])
        down = _mean(r.diff(dim=2).abs(), kept[..., 1:, :] & kept[..., :-1, :])
        loss = loss + _GRADIENT_WEIGHT * (across + down)
    return loss


def _normalised(values: Tensor, keep: Tensor) -> Tensor:
    """``values`` (B, 1, H, W) less their median, over their mean absolute deviation; 0 outside."""
    # Left out first: what is outside, be it infinite, must not make a NaN gradient.
    values = torch.where(keep, values, torch.zeros_like(values))
    centred = values - median_of_kept(values, keep)
    centred = torch.where(keep, centred, torch.zeros_like(centred))
    kept = keep.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1)
    deviation = centred.abs().sum(dim=(1, 2, 3), keepdim=True) / kept  # (B, 1, 1, 1)
    largest = values.detach().abs().amax(dim=(1, 2, 3), keepdim=True)
    flat = _FLAT * torch.where(largest > 0, largest, 1)
    return centred / torch.maximum(deviation, flat)


def _mean(values: Tensor, keep: Tensor) -> Tensor:
    kept = torch.where(keep, values, torch.zeros_like(values))
    return kept.sum() / keep.sum().clamp(min=1)
