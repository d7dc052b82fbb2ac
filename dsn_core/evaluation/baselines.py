"""Depth without a picture: what any network must be better than."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.digest import digest_of
from dsn_core.errors import UserError
from dsn_core.evaluation.prediction import Prediction, Predictor
from dsn_core.evaluation.rows import Row
from dsn_core.evaluation.samples import EvaluationSample, EvaluationSet

__all__ = ['ConstantRow', 'MedianMapRow', 'TrainingDepth']

_SIZE = (160, 288)  # of the median map; it is smooth


class TrainingDepth:
    """True depth of training frames, spread evenly over ``sets``; read when first asked for.

    ``frames``: so many at most. ``work``: where sets that make their samples keep them.
    """

    def __init__(self, sets: Sequence[EvaluationSet], frames: int, work: Path) -> None:
        self._sets = tuple(sets)
        self._frames = frames
        self._work = work
        self._stack: NDArray[np.float32] | None = None

    def fingerprint(self) -> str:
        """The same for the same frames."""
        return digest_of([[s.fingerprint(self._work) for s in self._sets], self._frames, _SIZE])

    def constant(self) -> float:
        """Median over all measured pixels, metres."""
        stack = self._read()
        return float(np.median(stack[np.isfinite(stack)]))

    def median_map(self) -> NDArray[np.float32]:
        """(160, 288) median over the frames that measured a pixel, metres; +inf: none did."""
        ordered = np.sort(self._read(), axis=0)  # what is not measured comes last
        measured = np.isfinite(ordered).sum(axis=0)
        low = np.maximum(measured - 1, 0) // 2
        middle = [
            np.take_along_axis(ordered, place[None], axis=0)[0] for place in (low, measured // 2)
        ]
        median = (middle[0] + middle[1]) / 2
        return np.where(measured > 0, median, np.inf).astype(np.float32)

    def _read(self) -> NDArray[np.float32]:
        """(N, 160, 288) metres, +inf where not measured."""
        if self._stack is None:
            total = sum(s.count(self._work) for s in self._sets)
            taken = set(np.linspace(0, total - 1, min(total, self._frames)).astype(int).tolist())
            samples = (sample for each in self._sets for sample in each.samples(self._work))
            # The nearest pixel: depth must not be mixed over edges, nor with what is unmeasured.
            maps = [
                cv2.resize(sample.depth, _SIZE[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
                for i, sample in enumerate(samples)
                if i in taken
            ]
            stack = np.stack(maps).astype(np.float32) if maps else np.zeros((0, 1, 1), np.float32)
            self._stack = np.where(np.isfinite(stack) & (stack > 0), stack, np.float32(np.inf))
            if not np.isfinite(self._stack).any():
                raise UserError('training holds no measured depth: the baselines need some')
        return self._stack


class _Fixed:
    metric = True

    def __init__(self, depth: NDArray[np.float32]) -> None:
        self._depth = depth

    def __call__(self, sample: EvaluationSample) -> Prediction:
        return Prediction(self._depth)


@dataclass(frozen=True)
class ConstantRow(Row):
    """One depth everywhere: the median of the training depth."""

    training: TrainingDepth
    name: str = 'baseline: a constant'
    train: str = ''
    baseline = True

    def fingerprint(self) -> str:
        return digest_of(['constant', self.training.fingerprint()])

    def load(self) -> Predictor:
        return _Fixed(np.full((2, 2), self.training.constant(), dtype=np.float32))


@dataclass(frozen=True)
class MedianMapRow(Row):
    """The same depth map always: at each pixel the median of the training depth."""

    training: TrainingDepth
    name: str = 'baseline: the median map'
    train: str = ''
    baseline = True

    def fingerprint(self) -> str:
        return digest_of(['median map', self.training.fingerprint()])

    def load(self) -> Predictor:
        return _Fixed(self.training.median_map())
