"""What a row of the tables answers for one picture, brought to the size of the truth."""

from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.evaluation.samples import EvaluationSample

__all__ = ['Prediction', 'Predictor', 'resize_depth']


@dataclass(frozen=True)
class Prediction:
    """The answer for one picture, at any size; None: not asked of this row."""

    depth: NDArray[np.floating] | None = None
    """(h, w) along the optical axis, metres where the row is metric; +inf = sky, NaN = unknown."""
    labels: NDArray[np.uint8] | None = None
    """(h, w) Cityscapes train ids, 255 = none."""
    confidence: NDArray[np.floating] | None = None
    """(h, w) probability of that label, 0 to 1."""

    def resized(self, height: int, width: int) -> 'Prediction':
        """At the size of the truth: depth bilinearly as inverse depth, the others the nearest."""
        return Prediction(
            None if self.depth is None else resize_depth(self.depth, height, width),
            None if self.labels is None else _nearest(self.labels, height, width),
            None if self.confidence is None else _nearest(self.confidence, height, width),
        )


class Predictor(Protocol):
    """A row of the tables, loaded."""

    metric: bool
    """Whether its depth is in metres, and is scored without median scaling too."""

    def __call__(self, sample: EvaluationSample) -> Prediction:
        """Its answer; raises UserError naming what is missing or cannot be used."""


def resize_depth(depth: NDArray[np.floating], height: int, width: int) -> NDArray[np.floating]:
    """Depth (h, w) as (height, width), bilinear in 1 / depth as [17] does; +inf is 1 / 0."""
    if depth.shape == (height, width):
        return depth
    with np.errstate(divide='ignore'):
        inverse = np.float64(1) / np.asarray(depth, dtype=np.float64)
        resized = cv2.resize(inverse, (width, height), interpolation=cv2.INTER_LINEAR)
        back: NDArray[np.floating] = np.float64(1) / resized
    return back


def _nearest(each: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    if each.shape == (height, width):
        return each
    return cv2.resize(each, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
