"""The line that a street follows: gentle bends and slopes, and coordinates along it."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ['Path']


class Path:
    """A centre line over arc length ``s``; ``t`` is the offset to the left of it, in metres."""

    def __init__(
        self, rng: np.random.Generator, start: float, end: float, min_radius: float, grade: float
    ) -> None:
        self.s = np.arange(start, end + 1.0)
        n = len(self.s)

        def smooth(period: float) -> NDArray[np.float64]:
            knots = rng.uniform(-1, 1, int(n / period) + 4)
            return np.interp(np.arange(n) / period, np.arange(len(knots)), knots)

        straight = rng.random() < 0.35
        window = np.hanning(41) / np.hanning(41).sum()
        curvature = np.convolve(smooth(90.0), window, 'same') * (0.0 if straight else 1.0)
        slope = np.convolve(smooth(120.0), window, 'same') * grade
        self.heading = np.cumsum(curvature / min_radius)
        self.heading -= np.interp(0.0, self.s, self.heading)
        x, y, z = np.cumsum([np.cos(self.heading), np.sin(self.heading), slope], axis=1)
        self._xyz = np.stack(
            [
                x - np.interp(0.0, self.s, x),
                y - np.interp(0.0, self.s, y),
                z - np.interp(0.0, self.s, z),
            ],
            axis=1,
        )
        self._grade = slope

    def at(self, s: ArrayLike, t: ArrayLike = 0.0, up: ArrayLike = 0.0) -> NDArray[np.float64]:
        """(..., 3) world points at ``s``, ``t`` to the left and ``up`` above the road."""
        s, t, up = np.broadcast_arrays(
            np.asarray(s, np.float64), np.asarray(t, np.float64), np.asarray(up, np.float64)
        )
        centre = np.stack([np.interp(s, self.s, self._xyz[:, i]) for i in range(3)], axis=-1)
        angle = np.interp(s, self.s, self.heading)
        centre[..., 0] -= t * np.sin(angle)
        centre[..., 1] += t * np.cos(angle)
        centre[..., 2] += up
        return centre

    def point(self, s: float, t: float, up: float = 0.0) -> tuple[float, float, float]:
        """One world point as a tuple."""
        x, y, z = self.at(s, t, up).tolist()
        return (x, y, z)

    def yaw(self, s: float) -> float:
        """Heading in radians at ``s``."""
        return float(np.interp(s, self.s, self.heading))

    def grade(self, s: float) -> float:
        """Slope (rise over run) at ``s``."""
        return float(np.interp(s, self.s, self._grade))

    @property
    def lowest(self) -> float:
        """Height of the lowest point of the line."""
        return float(self._xyz[:, 2].min())
