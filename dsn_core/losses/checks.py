"""Shapes and precision, checked once for all losses."""

import torch
from torch import Tensor

__all__ = ['as_map', 'full_precision', 'require_images', 'require_same_shape']


def full_precision(x: Tensor) -> Tensor:
    """``x`` in float32 if autocast left it in a half precision, whose variances are noise."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def require_images(minimum: int = 1, **images: Tensor) -> None:
    """Raise ValueError naming the first that is not (B, C, H, W) with H, W >= ``minimum``."""
    for name, image in images.items():
        if image.ndim != 4 or min(image.shape[2:]) < minimum:
            size = f' with H and W of at least {minimum}' if minimum > 1 else ''
            raise ValueError(f'{name} must be (B, C, H, W){size}, got {tuple(image.shape)}')


def require_same_shape(**tensors: Tensor) -> None:
    """Raise ValueError naming the first whose shape is not that of the first of all."""
    (first, reference), *others = tensors.items()
    for name, tensor in others:
        if tensor.shape != reference.shape:
            raise ValueError(
                f'{name} must be {tuple(reference.shape)} as {first} is, got {tuple(tensor.shape)}'
            )


def as_map(name: str, x: Tensor) -> Tensor:
    """``x`` as (B, 1, H, W), given as that or as (B, H, W); raises ValueError naming it."""
    if x.ndim == 3:
        x = x[:, None]
    if x.ndim != 4 or x.shape[1] != 1:
        raise ValueError(f'{name} must be (B, 1, H, W) or (B, H, W), got {tuple(x.shape)}')
    return x
