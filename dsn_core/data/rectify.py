"""Takes the lens out of pictures: what a pinhole would have seen, without empty borders."""

import math
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.data.calibration import Calibration
from dsn_core.data.lens import Lens
from dsn_core.errors import UserError

__all__ = ['Rectifier', 'rectifier']

WIDEST = math.tan(math.radians(60))  # a pinhole that sees more wastes its pixels at the edges
_PER_SIDE = 65  # rays that are tried along a side
_COARSE = slice(None, None, 8)  # of those, enough to tell most that do not fit


class Rectifier:
    """Undistorts pictures of one camera.

    The pinhole is the widest upright one whose whole picture the camera saw (what OpenCV calls
    alpha = 0), at most 120 degrees, of the same size as the camera's. Raises UserError where no
    pinhole fits, the calibration being wrong.
    """

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration
        self._maps: tuple[Any, Any] | None = None
        self.intrinsics: NDArray[np.float64] = calibration.matrix
        """(3, 3) pixels of the pictures that come out."""
        if calibration.distorted:
            seen = _Seen(calibration)
            self.intrinsics = _pinhole_inside(seen)
            self._maps = seen.lens.maps(self.intrinsics, seen.size, cv2.CV_16SC2)
        self.intrinsics.flags.writeable = False  # shared by all frames

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Undistort a picture (H, W, 3) of the calibration's size; a pinhole's comes back."""
        if self._maps is None:
            return image
        straight = cv2.remap(image, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(straight, dtype=np.uint8)


@lru_cache(maxsize=8)
def rectifier(calibration: Calibration) -> Rectifier:
    """The rectifier of ``calibration``; its tables are made once."""
    return Rectifier(calibration)


class _Seen:
    """What a camera's picture shows."""

    def __init__(self, calibration: Calibration) -> None:
        self.size = (calibration.width, calibration.height)
        d = np.array(calibration.d, dtype=np.float64)
        self.lens = Lens(calibration.matrix, d, calibration.distortion_model)

    def holds(self, rays: NDArray[np.float64]) -> bool:
        """Whether all of ``rays`` lie in the picture, where the model is one to one."""
        pixels = self.lens.pixels(rays)
        inside = (pixels > -1) & (pixels < np.array(self.size))  # half a pixel beyond the edge
        error = np.abs(self.lens.rays(pixels) - rays) * self.lens.k.diagonal()[:2]
        return bool(inside.all() and (error < 1).all())  # False for nan


def _pinhole_inside(seen: _Seen) -> NDArray[np.float64]:
    """K (3, 3) of the widest upright pinhole whose picture lies within what is ``seen``."""
    left, right, top, bottom = _view(seen)
    for _ in range(200):
        if not left < 0 < right or not top < 0 < bottom:
            break
        x, y = np.meshgrid(
            np.linspace(left, right, _PER_SIDE), np.linspace(top, bottom, _PER_SIDE)
        )
        rays = np.stack([x, y], axis=-1)
        # Few rays first: a calibration that fits nothing is to be told at once, not in seconds.
        if all(seen.holds(each.reshape(-1, 2)) for each in (rays[_COARSE, _COARSE], rays)):
            width, height = seen.size
            fx, fy = (width - 1) / (right - left), (height - 1) / (bottom - top)
            return np.array([[fx, 0, -left * fx], [0, fy, -top * fy], [0, 0, 1]])
        # Far out, some calibrations fold the picture over; stay clear of that.
        left, right, top, bottom = (0.98 * side for side in (left, right, top, bottom))
    raise UserError(
        'the distortion coefficients fit no undistorted picture: calibrate the camera again'
    )


def _view(seen: _Seen) -> tuple[float, float, float, float]:
    """Left, right, top and bottom of the rectangle of rays that the picture's edges enclose."""
    width, height = seen.size
    u, v = np.linspace(0, width - 1, _PER_SIDE), np.linspace(0, height - 1, _PER_SIDE)

    def edge(pixels: tuple[Any, Any], axis: int) -> NDArray[np.float64]:
        at = np.stack(np.broadcast_arrays(*pixels), axis=1).astype(np.float64)
        rays = seen.lens.rays(at)[:, axis]
        return rays[np.isfinite(rays)]  # an edge that the model doesn't reach is far out

    left = max([-WIDEST, *edge((0, v), 0)])
    right = min([WIDEST, *edge((width - 1, v), 0)])
    top = max([-WIDEST, *edge((u, 0), 1)])
    bottom = min([WIDEST, *edge((u, height - 1), 1)])
    return left, right, top, bottom
