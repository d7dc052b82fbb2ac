"""How far a network's confidence can be believed: expected calibration error."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ['BINS', 'Calibration', 'CalibrationBin']

BINS = 15


class CalibrationBin(NamedTuple):
    """Pixels whose confidence lies within one fifteenth of 0 to 1."""

    pixels: int
    confidence: float
    """Mean of these pixels, 0 to 1."""
    accuracy: float
    """Share of these pixels whose label is right, 0 to 1."""


class Calibration:
    """Sums up pixels by confidence in 15 bins of equal width (Guo et al. 2017), in any order.

    A bin holds its upper end and not its lower one, but for the first, which holds 0.
    """

    def __init__(self) -> None:
        self._pixels = np.zeros(BINS, dtype=np.int64)
        self._right = np.zeros(BINS, dtype=np.int64)
        self._confidence = np.zeros(BINS, dtype=np.float64)

    def add(self, confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> None:
        """Count pixels: ``confidence`` 0 to 1 and whether the label is right, of one shape."""
        if confidence.shape != right.shape:
            raise ValueError(
                f'confidence and right differ in size: {confidence.shape} and {right.shape}'
            )
        sure = np.asarray(confidence, dtype=np.float64).ravel()
        # 17 / 255 x 15 is a hair above 1 in floating point, and yet the end of the first bin.
        place = np.clip(np.ceil(sure * BINS - 1e-6).astype(np.int64) - 1, 0, BINS - 1)
        self._pixels += np.bincount(place, minlength=BINS)
        self._right += np.bincount(place[right.ravel()], minlength=BINS)
        self._confidence += np.bincount(place, weights=sure, minlength=BINS)

    def bins(self) -> list[CalibrationBin]:
        """The reliability diagram; where there is no pixel both means are 0."""
        n = np.maximum(self._pixels, 1)
        return [
            CalibrationBin(int(p), float(c), float(a))
            for p, c, a in zip(self._pixels, self._confidence / n, self._right / n, strict=True)
        ]

    def error(self) -> float:
        """Mean over pixels of |confidence - accuracy| of their bin; NaN if there is no pixel."""
        total = int(self._pixels.sum())
        if total == 0:
            return float('nan')
        return float(np.abs(self._confidence - self._right).sum() / total)
