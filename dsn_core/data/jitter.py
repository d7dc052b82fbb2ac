"""Colour jitter as [17] does it: what a frame's colours are changed by, drawn and applied apart.

Apart, because a frame, its neighbours and its translation must be changed alike.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ['ColourJitter']


class ColourJitter(NamedTuple):
    """Factors of brightness, contrast and saturation, and a turn of hue; the default: none."""

    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0  # of the circle
    order: tuple[int, ...] = (0, 1, 2, 3)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> 'ColourJitter':
        """Up to 20 % of brightness, contrast and saturation, a tenth of the circle of hue."""
        brightness, contrast, saturation = (float(rng.uniform(0.8, 1.2)) for _ in range(3))
        hue = float(rng.uniform(-0.1, 0.1))
        order = tuple(int(i) for i in rng.permutation(4))
        return cls(brightness, contrast, saturation, hue, order)

    def __call__(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Change (H, W, 3) RGB in [0, 1], in [0, 1]; one step after the other, each clipped."""
        if self == ColourJitter():
            return image
        for step in self.order:
            image = (self._brighten, self._stretch, self._saturate, self._turn)[step](image)
        return image

    def _brighten(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        return _clipped(image * self.brightness)

    def _stretch(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        mean = _grey(image).mean()
        return _clipped(mean + (image - mean) * self.contrast)

    def _saturate(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        grey = _grey(image)[..., None]
        return _clipped(grey + (image - grey) * self.saturation)

    def _turn(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0] + 360 * self.hue) % 360  # degrees, for float pictures
        return _clipped(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


def _grey(image: NDArray[np.float32]) -> NDArray[np.float32]:
    grey: NDArray[np.float32] = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return grey


def _clipped(image: NDArray[Any]) -> NDArray[np.float32]:
    clipped: NDArray[np.float32] = np.clip(image, 0, 1).astype(np.float32, copy=False)
    return clipped
