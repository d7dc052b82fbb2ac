"""Water on the lens: drops that show the street upside down, small and blurred."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ['Drops', 'draw_drops']

Float = NDArray[np.float32]


@dataclass(frozen=True)
class Drops:
    """Where every pixel's light comes from where there is water."""

    u: Float  # (H, W) column looked at, pixels
    v: Float  # (H, W) row looked at, pixels
    share: Float  # (H, W) of the light that comes through water, 0 to 1
    blur: float  # sigma in pixels

    def refract(self, light: Float) -> Float:
        """Light (H, W, 3) through the drops; what lies between them is as it was."""
        soft = cv2.GaussianBlur(light, (0, 0), self.blur)
        through = cv2.remap(soft, self.u, self.v, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
        share = self.share[..., None]
        return np.asarray(light * (1 - share) + through * share, np.float32)


def draw_drops(rng: np.random.Generator, height: int, width: int, wet: float) -> Drops | None:
    """Draw the drops of one street; None: the lens is dry, always so where ``wet`` is 0.

    A drop is a strong lens: a pixel at the offset d from its middle shows the street at
    -d x picture width / (3 x radius) from there.
    """
    if wet <= 0 or rng.random() > 0.55:
        return None
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    u, v, share = x.copy(), y.copy(), np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(4, 5 + int(40 * wet)))):
        radius = max(float(width * 10 ** rng.uniform(-2.4, -1.5)), 1.0)
        cx, cy = float(rng.uniform(0, width)), float(rng.uniform(0, height))
        tall = float(rng.uniform(1.0, 1.35))
        far = np.hypot(x - np.float32(cx), (y - np.float32(cy)) / np.float32(tall))
        far /= np.float32(radius)
        inside = far < 1
        bend = width / (3 * radius)
        u[inside] = cx - (x[inside] - cx) * bend
        v[inside] = cy - (y[inside] - cy) * bend
        share[inside] = np.maximum(share, np.clip((1 - far) * 4, 0, 0.9))[inside]
    u, v = np.clip(u, 0, width - 1), np.clip(v, 0, height - 1)
    return Drops(u, v, share, max(width * 0.004, 0.5))
