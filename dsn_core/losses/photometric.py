"""Photometric error of a reconstructed view (Eq 6), over sources, and auto-masking ([17])."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dsn_core.losses.checks import full_precision, require_images, require_same_shape
from dsn_core.losses.ssim import ssim_dissimilarity

__all__ = ['auto_mask', 'over_sources', 'photometric_error', 'unwarped_error']

TIE_NOISE = 1e-5  # [17]: far below any error that matters


def photometric_error(target: Tensor, warped: Tensor, alpha: float = 0.85) -> Tensor:
    """Eq 6 per pixel: (B, 1, H, W), from 0 where the images agree to about 1.

    ``target`` I_t and ``warped`` I_{s→t}, both (B, C, H, W) in [0, 1]; ``alpha`` in [0, 1]
    weighs SSIM against the absolute difference. Both are averaged over channels.

    Departs from print: I_s in the second term is a misprint for I_t; the SSIM term is clamped to
    [0, 1] as in [17]. Raises ValueError naming the argument whose shape or value is wrong.
    """
    require_images(2, target=target, warped=warped)
    require_same_shape(target=target, warped=warped)
    if not 0 <= alpha <= 1:
        raise ValueError(f'alpha must be 0 to 1, got {alpha}')
    difference = (full_precision(target) - full_precision(warped)).abs()
    structure = ssim_dissimilarity(target, warped)  # (B, C, H, W)
    mixed = alpha * structure + (1 - alpha) * difference
    return mixed.mean(dim=1, keepdim=True)


def over_sources(errors: Sequence[Tensor], minimum: bool = True) -> Tensor:
    """One error map (B, 1, H, W) of several sources': their minimum per pixel, or their mean.

    With the minimum ([17], the default) a pixel that one source doesn't see is judged by the
    other. Raises ValueError if there is none, or if their shapes differ.
    """
    if not errors:
        raise ValueError('errors must hold at least one map')
    require_same_shape(**{f'errors[{i}]': error for i, error in enumerate(errors)})
    stacked = torch.stack(list(errors))  # (sources, B, 1, H, W)
    return stacked.amin(dim=0) if minimum else stacked.mean(dim=0)


def unwarped_error(
    target: Tensor,
    sources: Sequence[Tensor],
    alpha: float = 0.85,
    minimum: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor:
    """What the error would be had nothing moved: Eq 6 with the sources as they are.

    ``target`` and each source (B, C, H, W) in [0, 1] → (B, 1, H, W) without gradient, with normal
    noise of 1e-5 from ``generator`` (None: torch's own) so that ties fall either way.
    """
    with torch.no_grad():
        error = over_sources([photometric_error(target, s, alpha) for s in sources], minimum)
        # Drawn where the generator lives: a CPU generator serves every device alike.
        device = error.device if generator is None else generator.device
        noise = torch.randn(error.shape, generator=generator, device=device, dtype=error.dtype)
        return error + TIE_NOISE * noise.to(error.device)


def auto_mask(error: Tensor, unwarped: Tensor) -> Tensor:
    """[17]'s μ (B, 1, H, W) bool: pixels that the warped sources explain better than unwarped.

    False where nothing moves against the camera: a static camera, a car of our own speed, the
    sky. ``error`` from ``over_sources``, ``unwarped`` from ``unwarped_error``.
    """
    require_same_shape(error=error, unwarped=unwarped)
    return error.detach() < unwarped
