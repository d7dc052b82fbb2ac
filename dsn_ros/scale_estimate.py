"""What one frame says of the metric scale."""

import math
from dataclasses import dataclass

__all__ = ['Estimate']


@dataclass(frozen=True)
class Estimate:
    """``factor`` metres for one unit of the network's depth, or the ``reason`` why not to tell.

    ``sigma``: standard deviation of ln(factor), so a share of the factor. ``inliers``: how many
    samples (pixels, tracks) agree. ``reason`` is empty where the factor may be used; factor and
    sigma are NaN where there was nothing to make them of.
    """

    factor: float
    sigma: float
    inliers: int
    reason: str = ''

    @property
    def usable(self) -> bool:
        """Whether the factor passed every gate."""
        return not self.reason

    @classmethod
    def none(cls, reason: str, inliers: int = 0) -> 'Estimate':
        """No factor, and why."""
        return cls(math.nan, math.nan, inliers, reason)
