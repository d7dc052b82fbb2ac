"""The pinhole camera of the simulated drive."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ['PinholeCamera']


@dataclass(frozen=True)
class PinholeCamera:
    """Intrinsics in pixels; the centre of the first pixel is at (0, 0).

    Axes are REP 103 optical: x right, y down, z forward. A point (x, y, z) is seen at
    ``u = fx x / z + cx``, ``v = fy y / z + cy``.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    @classmethod
    def from_fov(cls, width: int, height: int, horizontal_fov: float) -> 'PinholeCamera':
        """Make a camera with square pixels, centred, from its horizontal field of view (rad)."""
        focal = width / 2 / float(np.tan(horizontal_fov / 2))
        return cls(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)

    @property
    def vertical_fov(self) -> float:
        """Vertical field of view in radians."""
        return 2 * float(np.arctan(self.height / 2 / self.fy))

    def rays(self) -> NDArray[np.float32]:
        """(H, W, 3) float32: the direction of every pixel, scaled so that z = 1."""
        u = (np.arange(self.width, dtype=np.float32) - np.float32(self.cx)) / np.float32(self.fx)
        v = (np.arange(self.height, dtype=np.float32) - np.float32(self.cy)) / np.float32(self.fy)
        rays = np.ones((self.height, self.width, 3), dtype=np.float32)
        rays[..., 0] = u[None, :]
        rays[..., 1] = v[:, None]
        return rays

    def project(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Project points (N, 3), optical frame, metres → pixels (N, 2); nan where z <= 0."""
        p = np.asarray(points, dtype=np.float64)
        z = np.where(p[:, 2] > 0, p[:, 2], np.nan)
        return np.stack([self.fx * p[:, 0] / z + self.cx, self.fy * p[:, 1] / z + self.cy], axis=1)

    def to_dict(self) -> dict[str, float]:
        """Return the fields by name, for JSON."""
        return asdict(self)
