"""From how often labels are right at each confidence, a confidence that can be believed."""

import math

import numpy as np
from numpy.typing import NDArray

from dsn_core.evaluation.calibration import BINS

__all__ = ['STEPS', 'Reliability']

STEPS = 17  # of a table: confidences 0, 1/16, ... 1
_LEVELS = np.arange(256) / 255
_DOUBT = 0.0005  # share of all pixels that each step of a table is told to be right already


class Reliability:
    """Counts pixels and right labels by confidence (0 to 255), in any order."""

    def __init__(self) -> None:
        self.pixels = np.zeros(256)
        self.right = np.zeros(256)

    def add(self, confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> None:
        """Count pixels: ``confidence`` 0 to 1 and whether the label is right, of one shape."""
        if confidence.shape != right.shape:
            raise ValueError(
                f'confidence and right differ in size: {confidence.shape} and {right.shape}'
            )
        level = np.rint(np.asarray(confidence, dtype=np.float64).ravel() * 255).astype(np.int64)
        self.pixels += np.bincount(level, minlength=256)
        self.right += np.bincount(level[right.ravel()], minlength=256)

    def merge(self, other: 'Reliability', weight: float = 1.0) -> None:
        """Count what ``other`` counted too, each of its pixels as ``weight`` pixels."""
        self.pixels += weight * other.pixels
        self.right += weight * other.right

    def table(self) -> tuple[float, ...]:
        """Share of right labels at confidences in ``STEPS`` even steps of 0 to 1; never falls.

        Isotonic regression (pool adjacent violators) on the pixels around each step. Where there
        are few, confidence stays about what it is.
        """
        step = np.rint(_LEVELS * (STEPS - 1)).astype(np.int64)
        pixels = np.bincount(step, weights=self.pixels, minlength=STEPS)
        right = np.bincount(step, weights=self.right, minlength=STEPS)
        said = np.bincount(step, weights=self.pixels * _LEVELS, minlength=STEPS)
        even = np.linspace(0, 1, STEPS)
        doubt = max(_DOUBT * pixels.sum(), 1.0)
        weight = pixels + doubt
        share = _never_falling((right + doubt * even) / weight, weight)
        # The pixels around a step lean to one side of it: most of those about 1 are below.
        at = (said + doubt * even) / weight
        told = np.interp(even, at, share)
        return tuple(float(each) for each in told.round(4))

    def error(self, table: tuple[float, ...] | None = None) -> float:
        """Expected calibration error (see ``Calibration``) as it is or after ``table``.

        NaN if there is no pixel.
        """
        if not self.pixels.any():
            return math.nan
        level = _LEVELS
        if table is not None:
            level = np.rint(np.interp(_LEVELS, np.linspace(0, 1, len(table)), table) * 255) / 255
        place = np.clip(np.ceil(level * BINS - 1e-6).astype(np.int64) - 1, 0, BINS - 1)
        gaps = np.bincount(place, weights=self.pixels * level - self.right, minlength=BINS)
        return float(np.abs(gaps).sum() / self.pixels.sum())


def _never_falling(
    values: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The never falling sequence nearest to ``values`` in the sense of weighted least squares."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, length
    for value, weight in zip(values, weights, strict=True):
        mean, total, length = float(value), float(weight), 1
        while blocks and blocks[-1][0] > mean:
            before, heavy, longer = blocks.pop()
            mean = (mean * total + before * heavy) / (total + heavy)
            total, length = total + heavy, length + longer
        blocks.append((mean, total, length))
    return np.concatenate([np.full(length, mean) for mean, _, length in blocks])
