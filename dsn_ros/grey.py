"""The picture in grey, which several who look at a frame want: made once and handed round."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ['as_grey']


def as_grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Picture (H, W, 3) uint8 RGB → (H, W) uint8 grey; one that is grey already comes back."""
    if picture.ndim == 2:
        return picture
    grey: NDArray[Any] = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
    return grey
