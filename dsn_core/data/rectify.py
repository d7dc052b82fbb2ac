"""Takes the lens out of pictures: what a pinhole would have seen, without empty borders."""

import math
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.data.calibration import FISHEYE, Calibration
from dsn_core.errors import UserError

__all__ = ['Rectifier', 'rectifier']

WIDEST = math.tan(math.radians(60))  # a pinhole that sees more wastes its pixels at the edges
_RAY_ERROR = 0.5  # pixels
_PER_SIDE = 65  # rays that are tried along a side


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
            lens = _Lens(calibration)
            self.intrinsics = _pinhole_inside(lens)
            self._maps = lens.maps(self.intrinsics)
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


class _Lens:
    """The lens model: rays x / z, y / z (N, 2) to pixels (N, 2) and back."""

    def __init__(self, calibration: Calibration) -> None:
        self.size = (calibration.width, calibration.height)
        self._fisheye = calibration.distortion_model in FISHEYE
        self._k = calibration.matrix
        self._d = np.array(calibration.d, dtype=np.float64)

    def pixels(self, rays: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where the camera sees ``rays``."""
        if self._fisheye:
            seen = cv2.fisheye.distortPoints(rays[:, None], self._k, self._d)
        else:
            points = cv2.convertPointsToHomogeneous(rays)
            seen, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), self._k, self._d)
        return np.asarray(seen, dtype=np.float64)[:, 0]

    def rays(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """The ray that is seen at each of ``pixels``; nan where the model has no inverse."""
        if self._fisheye:
            rays = cv2.fisheye.undistortPoints(pixels[:, None], self._k, self._d)
        else:
            # More rounds than OpenCV's five: the corners of a wide lens need them.
            criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-9)
            rays = cv2.undistortPointsIter(
                pixels[:, None], self._k, self._d, np.eye(3), np.eye(3), criteria
            )
        rays = np.asarray(rays, dtype=np.float64)[:, 0]
        wrong = np.abs(self.pixels(rays) - pixels) >= _RAY_ERROR
        return np.where(wrong.any(axis=1, keepdims=True), np.nan, rays)

    def sees(self, rays: NDArray[np.float64]) -> bool:
        """Whether all of ``rays`` lie in the picture, where the model is one to one."""
        pixels = self.pixels(rays)
        inside = (pixels > -1) & (pixels < np.array(self.size))  # half a pixel beyond the edge
        error = np.abs(self.rays(pixels) - rays) * self._k.diagonal()[:2]
        return bool(inside.all() and (error < 1).all())  # False for nan

    def maps(self, pinhole: NDArray[np.float64]) -> tuple[Any, Any]:
        """Tables for cv2.remap that make the picture of ``pinhole``."""
        make = (
            cv2.fisheye.initUndistortRectifyMap if self._fisheye else (cv2.initUndistortRectifyMap)
        )
        first, second = make(self._k, self._d, np.eye(3), pinhole, self.size, cv2.CV_16SC2)
        return first, second


def _pinhole_inside(lens: _Lens) -> NDArray[np.float64]:
    """K (3, 3) of the widest upright pinhole whose picture lies within what ``lens`` sees."""
    left, right, top, bottom = _view(lens)
    for _ in range(200):
        if not left < 0 < right or not top < 0 < bottom:
            break
        x, y = np.meshgrid(
            np.linspace(left, right, _PER_SIDE), np.linspace(top, bottom, _PER_SIDE)
        )
        if lens.sees(np.stack([x.ravel(), y.ravel()], axis=1)):
            width, height = lens.size
            fx, fy = (width - 1) / (right - left), (height - 1) / (bottom - top)
            return np.array([[fx, 0, -left * fx], [0, fy, -top * fy], [0, 0, 1]])
        # Far out, some calibrations fold the picture over; stay clear of that.
        left, right, top, bottom = (0.98 * side for side in (left, right, top, bottom))
    raise UserError(
        'the distortion coefficients fit no undistorted picture: calibrate the camera again'
    )


def _view(lens: _Lens) -> tuple[float, float, float, float]:
    """Left, right, top and bottom of the rectangle of rays that the picture's edges enclose."""
    width, height = lens.size
    u, v = np.linspace(0, width - 1, _PER_SIDE), np.linspace(0, height - 1, _PER_SIDE)

    def edge(pixels: tuple[Any, Any], axis: int) -> NDArray[np.float64]:
        at = np.stack(np.broadcast_arrays(*pixels), axis=1).astype(np.float64)
        rays = lens.rays(at)[:, axis]
        return rays[np.isfinite(rays)]  # an edge that the model doesn't reach is far out

    left = max([-WIDEST, *edge((0, v), 0)])
    right = min([WIDEST, *edge((width - 1, v), 0)])
    top = max([-WIDEST, *edge((u, 0), 1)])
    bottom = min([WIDEST, *edge((u, height - 1), 1)])
    return left, right, top, bottom
