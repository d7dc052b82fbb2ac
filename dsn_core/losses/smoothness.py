"""Edge-aware smoothness of disparity (Eq 7)."""

from torch import Tensor

from dsn_core.losses.checks import as_map, full_precision, require_images

__all__ = ['edge_aware_smoothness']


def edge_aware_smoothness(disparity: Tensor, image: Tensor) -> Tensor:
    """Eq 7 as a scalar: |∂x d| exp(-|∂x I|) + |∂y d| exp(-|∂y I|), each averaged over pixels.

    ``disparity`` (B, 1, H, W) or (B, H, W), above zero, any unit: each map is divided by its own
    mean d, so that shrinking the whole map is no way to be smooth. ``image`` (B, C, H, W) in
    [0, 1], of the same size; its gradients are averaged over channels.

    Departs from print, which smooths depth: as [17], whose weights Eq 8 keeps, this smooths
    disparity. Raises ValueError naming the argument whose shape is wrong.
    """
    disparity = full_precision(as_map('disparity', disparity))
    require_images(2, disparity=disparity, image=image)
    if (image.shape[0], *image.shape[2:]) != (disparity.shape[0], *disparity.shape[2:]):
        raise ValueError(
            f'image must have the size of disparity {tuple(disparity.shape)}, '
            f'got {tuple(image.shape)}'
        )
    image = full_precision(image)
    relative = disparity / disparity.mean(dim=(2, 3), keepdim=True).clamp(min=1e-7)
    slope_x = relative.diff(dim=3).abs()  # (B, 1, H, W - 1)
    slope_y = relative.diff(dim=2).abs()  # (B, 1, H - 1, W)
    edge_x = image.diff(dim=3).abs().mean(dim=1, keepdim=True)
    edge_y = image.diff(dim=2).abs().mean(dim=1, keepdim=True)
    return (slope_x * (-edge_x).exp()).mean() + (slope_y * (-edge_y).exp()).mean()
