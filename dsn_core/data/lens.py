"""A lens: where the camera sees a ray, and which ray it sees at a pixel."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.data.calibration import FISHEYE

__all__ = ['Lens']

_RAY_ERROR = 0.5  # pixels
_FLATTEST = 1e6  # x / z; no lens sees what is that far aside
# More rounds than OpenCV's five: the corners of a wide lens need them.
_CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-9)


class Lens:
    """The model of a camera with intrinsics ``k`` (3, 3), pixels, and coefficients ``d``.

    ``model`` names it as ``sensor_msgs/CameraInfo`` does.
    """

    def __init__(self, k: NDArray[np.float64], d: NDArray[np.float64], model: str) -> None:
        self.k = k
        self.d = d
        self._fisheye = model in FISHEYE
        if self._fisheye:
            self.d = d[:4]

    def pixels(self, rays: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where the camera sees ``rays`` x / z, y / z (N, 2): pixels (N, 2)."""
        if self._fisheye:
            seen = cv2.fisheye.distortPoints(rays[:, None], self.k, self.d)
        else:
            points = cv2.convertPointsToHomogeneous(rays)
            seen, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), self.k, self.d)
        return np.asarray(seen, dtype=np.float64)[:, 0]

    def rays(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """The ray (N, 2) that is seen at each of ``pixels`` (N, 2).

        NaN where the model has no inverse: far out, some calibrations fold the picture over.
        """
        if self._fisheye:
            rays = cv2.fisheye.undistortPoints(pixels[:, None], self.k, self.d)
        elif hasattr(cv2, 'undistortPointsIter'):
            rays = cv2.undistortPointsIter(
                pixels[:, None], self.k, self.d, np.eye(3), np.eye(3), _CRITERIA
            )
        else:  # OpenCV 5
            undistort: Any = cv2.undistortPoints
            rays = undistort(pixels[:, None], self.k, self.d, criteria=_CRITERIA)
        rays = np.asarray(rays, dtype=np.float64)[:, 0]
        with np.errstate(invalid='ignore'):
            # Not wrong = error >= ...: where the search ran off to infinity, the error is NaN.
            right = (np.abs(self.pixels(rays) - pixels) < _RAY_ERROR) & (np.abs(rays) < _FLATTEST)
        return np.where(right.all(axis=1, keepdims=True), rays, np.nan)

    def maps(
        self,
        pinhole: NDArray[np.float64],
        size: tuple[int, int],
        kind: int,
        turn: NDArray[np.float64] | None = None,
    ) -> tuple[Any, Any]:
        """Tables of ``kind`` for cv2.remap: pictures of ``size`` (w, h) that ``pinhole`` sees.

        ``turn`` (3, 3): from the camera's axes to the pinhole's.
        """
        make = (
            cv2.fisheye.initUndistortRectifyMap if self._fisheye else cv2.initUndistortRectifyMap
        )
        around = np.eye(3) if turn is None else turn
        first, second = make(self.k, self.d, around, pinhole, size, kind)
        return first, second
