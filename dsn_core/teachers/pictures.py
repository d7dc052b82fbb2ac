"""Pictures and maps brought to a size, without torch."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = [
    'IMAGENET_MEAN',
    'IMAGENET_STD',
    'normalised',
    'resized',
    'resized_ids',
    'size_of_short',
]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def resized(images: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Pictures (N, H, W, 3) as (N, height, width, 3): cubic, or by area where they shrink."""
    if images.shape[1:3] == (height, width):
        return images
    shrinks = images.shape[1] >= height and images.shape[2] >= width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.stack([cv2.resize(i, (width, height), interpolation=how) for i in images]).astype(
        np.uint8, copy=False
    )


def resized_ids(ids: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """A map (H, W) of numbers that must not be mixed, as (height, width): the nearest."""
    if ids.shape == (height, width):
        return ids
    nearest = cv2.resize(ids, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return nearest.astype(np.uint8, copy=False)


def normalised(
    images: NDArray[np.uint8],
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> NDArray[np.float32]:
    """Pictures (N, H, W, 3) RGB as (N, 3, H, W) float32: (image / 255 - mean) / std."""
    scaled = images.astype(np.float32) / np.float32(255)
    shifted = (scaled - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return np.ascontiguousarray(shifted.transpose(0, 3, 1, 2))


def size_of_short(height: int, width: int, short_side: int, multiple: int) -> tuple[int, int]:
    """``height`` and ``width`` scaled until the shorter is ``short_side``, the shape kept.

    Each is rounded to the nearest multiple, but the shorter one never down.
    """
    scale = short_side / min(height, width)
    least = -(-short_side // multiple) * multiple

    def fit(side: int) -> int:
        return max(least, round(side * scale / multiple) * multiple)

    return fit(height), fit(width)
