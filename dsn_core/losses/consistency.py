"""Depth consistency between a day picture and its night counterpart (Eq 12-14)."""

import torch
from torch import Tensor

from dsn_core.losses.checks import as_map, full_precision, require_same_shape

__all__ = [
    'DEPTH_SPACES',
    'domain_consistency',
    'in_space',
    'median_of_kept',
    'median_per_image',
    'relative_consistency',
    'without_pull_on_scale',
]

DEPTH_SPACES = ('relative_disparity', 'relative_depth', 'depth')


def domain_consistency(
    reference_depth: Tensor, depth: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Eq 12, and with ``mask`` Eq 13, as a scalar: mean squared difference over kept pixels.

    ``reference_depth``, the day side, is a pseudo-label: no gradient reaches it. ``depth``, the
    night side, and ``mask`` (bool or number, 0 = leave out, for instance the sky) have its shape:
    (B, 1, H, W) or (B, H, W). The units are the caller's and the result is their square (see
    ``in_space``). Zero where nothing is kept.

    Departs from print: N counts the kept pixels only, or a picture with more sky would weigh
    less. Raises ValueError naming the argument whose shape is wrong.
    """
    reference_depth = full_precision(as_map('reference_depth', reference_depth)).detach()
    depth = full_precision(as_map('depth', depth))
    require_same_shape(reference_depth=reference_depth, depth=depth)
    difference = reference_depth - depth  # (B, 1, H, W)
    if mask is None:
        return difference.square().mean()
    keep = as_map('mask', mask) != 0
    require_same_shape(reference_depth=reference_depth, mask=keep)
    # Left out before squaring: an infinite depth in the sky must not make a NaN gradient.
    kept = torch.where(keep, difference, torch.zeros_like(difference))
    return kept.square().sum() / keep.sum().clamp(min=1)


def median_per_image(values: Tensor) -> Tensor:
    """Median of each map of (B, 1, H, W) as (B, 1, 1, 1), differentiable.

    Of an even number it is the middle two's mean, as in NumPy; torch.median takes the lower one,
    and torch.quantile refuses large batches.
    """
    flat = values.flatten(1)  # (B, H W)
    n = flat.shape[1]
    lower = flat.kthvalue((n + 1) // 2, dim=1).values
    upper = lower if n % 2 else flat.kthvalue(n // 2 + 1, dim=1).values
    return ((lower + upper) / 2)[:, None, None, None]


def median_of_kept(values: Tensor, keep: Tensor) -> Tensor:
    """Median of ``values`` (B, 1, H, W) where ``keep`` (bool, same shape) as (B, 1, 1, 1).

    Zero for a picture of which nothing is kept. Differentiable, see ``median_per_image``.
    """
    medians = [
        median_per_image(v[k].view(1, 1, 1, -1)) if k.any() else v.new_zeros(1, 1, 1, 1)
        for v, k in zip(values, keep, strict=True)
    ]
    return torch.cat(medians)


def in_space(depth: Tensor, space: str, median: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Depth (B, 1, H, W) in the space where Eq 12, 13 and 15 compare, and the divisor used.

    Eq 12-15 print no units. In metres, squared, the far end of a street would swamp Eq 6
    at the printed weights of 1, and without a known scale there are no metres.

    - ``relative_disparity``: 1 / depth, divided by its median: about 1, near pixels matter;
    - ``relative_depth``: depth, divided by its median: about 1, far pixels matter;
    - ``depth``: as printed, in the network's unit.

    ``median`` (B, 1, 1, 1): divide by this instead of by the map's own, so that a second map is
    compared with its scale intact. The divisor (1 for ``depth``) carries no gradient. Raises
    ValueError naming an unknown ``space``.
    """
    if space not in DEPTH_SPACES:
        raise ValueError(f'space must be one of {", ".join(DEPTH_SPACES)}, got {space!r}')
    depth = full_precision(as_map('depth', depth))
    if space == 'depth':
        return depth, torch.ones_like(depth[:, :, :1, :1])
    values = 1 / depth if space == 'relative_disparity' else depth
    if median is None:
        median = median_per_image(values.detach())
    return values / median, median


def without_pull_on_scale(values: Tensor, keep: Tensor | None = None) -> Tensor:
    """``values`` (B, 1, H, W), above zero, unchanged, whose gradient leaves their scale alone.

    Of the gradient that reaches each map through the result, the part that would make the whole
    map larger or smaller is taken out (``values`` times their sum held fixed, over their sum; over
    the pixels of ``keep``, bool of the same shape, or over all).

    Needed where a map is compared with a target of its own size. The error of a map that is not
    exact yet grows with its size, so that descent shrinks the map a little at every step; the
    target follows, and there is no end: in training, depth was one value within twenty steps.
    """
    if keep is None:
        keep = torch.ones_like(values, dtype=torch.bool)
    total = _kept_sum(values, keep)[:, None, None, None]  # (B, 1, 1, 1)
    return values * torch.where(total > 0, total.detach() / total, 1.0)


def relative_consistency(reference: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Eq 12 and 13 for maps without a unit, as a scalar: their shapes and their scales apart.

    ``reference``, the day side, and ``values``, the night side, both (B, 1, H, W), above zero, are
    compared by ``domain_consistency``, each over its own median of the kept pixels, without a pull
    on the scale and with no gradient to the day. To that comes the mean over pictures of
    log(m / m')², m and m' their means over the kept pixels: night has to have the day's scale.

    This second part pulls on both, each along its scale alone: as one network makes both, a pull
    on night would move the day along with it, and night would never arrive.
    """
    keep = torch.ones_like(values, dtype=torch.bool) if mask is None else as_map('mask', mask) != 0
    some = keep.flatten(1).any(dim=1)  # (B,)
    day, night = (v / _divisor(median_of_kept(v.detach(), keep)) for v in (reference, values))
    shape = domain_consistency(day, without_pull_on_scale(night, keep), keep)
    sums = [torch.where(some, _kept_sum(v, keep), 1.0) for v in (reference, values)]
    return shape + (sums[0] / sums[1]).log().square().mean()


def _kept_sum(values: Tensor, keep: Tensor) -> Tensor:
    return torch.where(keep, values, torch.zeros_like(values)).sum(dim=(1, 2, 3))


def _divisor(median: Tensor) -> Tensor:
    return torch.where(median > 0, median, torch.ones_like(median))
