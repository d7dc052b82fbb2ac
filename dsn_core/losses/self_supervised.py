"""View synthesis over sources and scales: what Eq 8 and 10 sum, as [17] trains it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from dsn_core.geometry import warp
from dsn_core.losses.checks import full_precision
from dsn_core.losses.photometric import auto_mask, over_sources, photometric_error
from dsn_core.losses.smoothness import edge_aware_smoothness
from dsn_core.models.decoder import SCALES, disparity_to_depth

__all__ = ['Frames', 'multiscale_smoothness', 'view_synthesis_error']


@dataclass(frozen=True)
class Frames:
    """Real frames of one camera (day or night) and how it moved between them."""

    target: Tensor
    """I_t (B, 3, H, W) in [0, 1], before any jitter of its colours."""
    sources: tuple[Tensor, ...]
    """I_s, the neighbours in time, usually t - 1 and t + 1, each as ``target``."""
    transforms: tuple[Tensor, ...]
    """T_{t→s} (B, 4, 4) for each source, from PoseNet (``PoseNet.neighbours``)."""
    intrinsics: Tensor
    """K (3, 3) or (B, 3, 3), pixels of ``target``."""
    distances: tuple[Tensor, ...] | None = None
    """Metres moved between target and each source, (B,), nan = unknown; for the speed term."""

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError('sources must hold at least one frame')
        for name in ('transforms', 'distances'):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.sources):
                raise ValueError(
                    f'{name} must be one for each of {len(self.sources)} sources, '
                    f'got {len(values)}'
                )


def view_synthesis_error(
    disparities: Mapping[int, Tensor],
    frames: Frames,
    unwarped: Tensor | None = None,
    *,
    min_depth: float = 0.1,
    max_depth: float = 100.0,
    alpha: float = 0.85,
    minimum: bool = True,
    scales: Sequence[int] = SCALES,
) -> Tensor:
    """The L_pe of Eq 8 or 10 as a scalar: mean over pixels and scales.

    ``disparities`` {s: (B, 1, H / 2^s, W / 2^s)}, sigmoid, in (0, 1): of the target frame (Eq 8)
    or of its synthetic counterpart (Eq 9, 10), for which the real frames are warped all the same.
    Each is upsampled to the frames' size first, and becomes depth between ``min_depth`` and
    ``max_depth``. ``minimum`` over the sources per pixel, else their mean. ``unwarped`` from
    ``unwarped_error``: auto-masking; a pixel that it explains better keeps that constant and so
    has no gradient (the value then falls as training goes, which that of [17]'s printed μ · L_pe
    need not do; their gradients are the same). None: no auto-masking.

    Raises ValueError for a scale that ``disparities`` lacks, or naming the argument whose shape
    is wrong.
    """
    total = frames.target.new_zeros(())
    for s in scales:
        disparity = interpolate(
            full_precision(_at(disparities, s)),
            size=frames.target.shape[2:],
            mode='bilinear',
            align_corners=False,
        )  # (B, 1, H, W)
        depth = disparity_to_depth(disparity, min_depth, max_depth)
        errors = []
        for source, transform in zip(frames.sources, frames.transforms, strict=True):
            view = warp(source, depth, frames.intrinsics, transform).image  # (B, 3, H, W)
            errors.append(photometric_error(frames.target, view, alpha))
        error = over_sources(errors, minimum)  # (B, 1, H, W)
        if unwarped is not None:
            error = torch.where(auto_mask(error, unwarped), error, unwarped)
        total = total + error.mean()
    return total / len(scales)


def multiscale_smoothness(
    disparities: Mapping[int, Tensor], image: Tensor, scales: Sequence[int] = SCALES
) -> Tensor:
    """The L_smooth of Eq 8 or 10 as a scalar: mean over scales of Eq 7 / 2^s.

    ``disparities`` as for ``view_synthesis_error``; ``image`` (B, 3, H, W) in [0, 1] is I_t, the
    real one for a synthetic disparity as well (Eq 10). As in [17] each map is smoothed at its own
    size, against the image brought to that size. Raises as ``view_synthesis_error`` does.
    """
    total = image.new_zeros(())
    for s in scales:
        disparity = _at(disparities, s)
        small = interpolate(image, size=disparity.shape[2:], mode='area')  # (B, 3, h, w)
        total = total + edge_aware_smoothness(disparity, small) / 2**s
    return total / len(scales)


def _at(disparities: Mapping[int, Tensor], scale: int) -> Tensor:
    if scale not in disparities:
        raise ValueError(f'disparities must hold scale {scale}, got {sorted(disparities)}')
    return disparities[scale]
