"""The scale over time: a median over a window, how far frames disagree, and for how long it holds.

A camera's scale changes slowly, a frame's measure of it is noisy and now and then wrong.
"""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsn_ros.scale_estimate import Estimate

__all__ = ['FilteredScale', 'ScaleFilter', 'robust_spread']

_GROWTH = 0.02  # of the factor, by which a held one gets less certain every second
_MIXED = 200_000_000  # ns by which frames may come out of order; farther back, time has jumped
_MAD_TO_SIGMA = 1.4826  # of a normal distribution


@dataclass(frozen=True)
class FilteredScale:
    """``factor`` metres a unit; ``spread``: standard deviation of ln(factor), a share of it.

    ``frames`` measures speak for it, the newest of them ``age`` seconds old.
    """

    factor: float
    spread: float
    frames: int
    age: float


class ScaleFilter:
    """Median of the measures of the last ``window`` seconds; the last one holds for ``hold``.

    Fewer than ``min_frames`` measures make no median.
    """

    def __init__(self, window: float = 5.0, hold: float = 10.0, min_frames: int = 1) -> None:
        self.window = window
        self.hold = hold
        self.min_frames = min_frames
        self._measures: deque[tuple[int, float, float]] = deque()  # stamp, ln(factor), sigma
        self._last: tuple[int, FilteredScale] | None = None
        self._newest: int | None = None

    def add(self, stamp_ns: int, estimate: Estimate) -> FilteredScale | None:
        """Take a frame's measure, usable or not; the scale at its time, None: not known.

        A stamp from before the last one (a bag that loops) begins anew.
        """
        if self._newest is not None and stamp_ns < self._newest - _MIXED:
            self.forget()
        self._newest = now = max(stamp_ns, self._newest or stamp_ns)
        if estimate.usable:
            self._measures.append((stamp_ns, math.log(estimate.factor), estimate.sigma))
        while self._measures and now - self._measures[0][0] > self.window * 1e9:
            self._measures.popleft()
        if estimate.usable and len(self._measures) >= self.min_frames:
            self._last = (now, self._median())
        return self._held(now)

    def forget(self) -> None:
        """Begin anew."""
        self._measures.clear()
        self._last = self._newest = None

    def _median(self) -> FilteredScale:
        logs = np.array([each[1] for each in self._measures])
        sigma = float(np.median([each[2] for each in self._measures]))
        spread = math.hypot(robust_spread(logs), sigma / math.sqrt(len(logs)))
        return FilteredScale(math.exp(float(np.median(logs))), spread, len(logs), 0.0)

    def _held(self, now: int) -> FilteredScale | None:
        if self._last is None:
            return None
        since, scale = self._last
        age = (now - since) * 1e-9
        if age > self.hold:
            return None
        spread = math.hypot(scale.spread, _GROWTH * age)
        return FilteredScale(scale.factor, spread, scale.frames, age)


def robust_spread(values: NDArray[np.float64]) -> float:
    """Standard deviation of the well-behaved part of ``values`` (N,): median absolute deviation.

    Scaled to be that of a normal distribution.
    """
    return float(_MAD_TO_SIGMA * np.median(np.abs(values - np.median(values))))
