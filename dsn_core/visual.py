"""Pictures of what was seen: depth as colour, labels over the picture."""

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.labels import CITYSCAPES, LabelSet

__all__ = ['colourise_depth', 'overlay']

_FARTHEST = 0.08  # of the colour map: what is far stays brighter than sky


def colourise_depth(
    depth: NDArray[np.float32], near: float = 2.0, far: float = 80.0
) -> NDArray[np.uint8]:
    """Paint depth (H, W): near bright, far dark, on a logarithmic scale; (H, W, 3) uint8 RGB.

    The range is fixed, so that a colour means the same depth in every frame. Sky (+inf) is black,
    unknown (NaN) grey.
    """
    with np.errstate(invalid='ignore', divide='ignore'):
        position = 1 - np.log(depth / near) / np.log(far / near)
    known = np.isfinite(depth)
    level = np.where(known, np.clip(position, _FARTHEST, 1.0) * 255, 0).astype(np.uint8)
    painted = cv2.applyColorMap(level, cv2.COLORMAP_MAGMA)[..., ::-1]
    painted = np.where((depth == np.inf)[..., None], np.uint8(0), painted)
    painted = np.where(np.isnan(depth)[..., None], np.uint8(90), painted)
    return np.ascontiguousarray(painted)


def overlay(
    image: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    label_set: LabelSet = CITYSCAPES,
    strength: float = 0.5,
) -> NDArray[np.uint8]:
    """Lay the labels' colours over ``image`` (H, W, 3) uint8 RGB of the labels' size (H, W)."""
    painted = label_set.colourise(labels)
    blended = cv2.addWeighted(image, 1 - strength, painted, strength, 0.0)
    return blended.astype(np.uint8, copy=False)
