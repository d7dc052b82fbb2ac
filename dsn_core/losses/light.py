"""The losses of the light enhancement module (the terms of Eq 1-3)."""

from torch import Tensor
from torch.nn.functional import avg_pool2d

from dsn_core.losses.checks import full_precision, require_images
from dsn_core.losses.ssim import ssim_dissimilarity

__all__ = ['exposure_control', 'light_similarity', 'total_variation']


def total_variation(light: Tensor) -> Tensor:
    """L_tv of Eq 1 and 2 as a scalar: how uneven a light map (B, C, H, W) in (-1, 1) is.

    2 / B · (Σ (Δ_h r)² / ((H - 1) W) + Σ (Δ_w r)² / (H (W - 1))), summed over channels: not
    printed, taken from [41]'s code. Raises ValueError if ``light`` isn't (B, C, H, W) of at least
    2 x 2.
    """
    require_images(2, light=light)
    light = full_precision(light)
    down = light.diff(dim=2).square().mean(dim=(0, 2, 3)).sum()
    across = light.diff(dim=3).square().mean(dim=(0, 2, 3)).sum()
    return 2 * (down + across)


def exposure_control(image: Tensor, level: Tensor | float, patch: int = 32) -> Tensor:
    """L_exp of Eq 2 as a scalar: how far the brightness of patches is from ``level``, squared.

    ``image`` (B, C, H, W), the enhanced night image; its channels are averaged, then patches of
    ``patch`` x ``patch`` pixels (what is left over at the right and bottom is left out).
    ``level`` E, the brightness wanted: a number, one per sample (B,), or anything that broadcasts
    to (B, 1, H / patch, W / patch). Not printed; [41]'s code takes E from the batch of night
    images, where the paper wants night to approach day: pass the mean of the paired day image.
    Raises ValueError naming the argument whose shape is wrong.
    """
    require_images(image=image)
    if patch < 1 or min(image.shape[2:]) < patch:
        raise ValueError(
            f'patch must be 1 to the smaller side of image {tuple(image.shape)}, got {patch}'
        )
    brightness = full_precision(image).mean(dim=1, keepdim=True)  # (B, 1, H, W)
    patches = avg_pool2d(brightness, patch)  # (B, 1, H / patch, W / patch)
    if isinstance(level, Tensor):
        level = level.to(patches)
        if level.ndim == 1 and len(level) in (1, len(patches)):
            level = level[:, None, None, None]
        # Broadcast from the right: each size is 1 or that of the patches, and no further ones.
        sizes = zip(reversed(level.shape), reversed(patches.shape), strict=False)
        fits = level.ndim <= 4 and all(size in (1, wanted) for size, wanted in sizes)
        if not fits:
            raise ValueError(
                f'level must be a number, ({len(patches)},) or broadcast to '
                f'{tuple(patches.shape)}, got {tuple(level.shape)}'
            )
    return (patches - level).square().mean()


def light_similarity(enhanced: Tensor, image: Tensor) -> Tensor:
    """L_ssim of Eq 1 and 2 as a scalar in [0, 1]: structure that enhancement changed.

    Mean clamp((1 - SSIM) / 2, 0, 1) of ``enhanced`` = image + light against ``image``, both
    (B, C, H, W), the image in [0, 1]. Raises ValueError naming the argument whose shape is wrong.
    """
    require_images(2, enhanced=enhanced, image=image)
    return ssim_dissimilarity(enhanced, image).mean()
