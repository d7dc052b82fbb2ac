"""Depth and labels held against the ground truth that a bag carries, by condition."""

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.evaluation import DepthErrors, LabelScore, depth_errors
from dsn_ros.pipeline import Perception

__all__ = ['Comparison']

_WAITING = 100  # frames that may wait for their ground truth, or the other way round


@dataclass
class _Pair:
    """What is known of one stamp so far."""

    perception: Perception | None = None
    condition: str = ''
    truth: dict[str, NDArray[Any] | None] = field(default_factory=dict)


@dataclass
class _Row:
    frames: int
    depth: list[DepthErrors]
    median_scaled: list[DepthErrors]
    labels: LabelScore


class Comparison:
    """Matches perceptions with ground truth by stamp and sums up the errors.

    ``expected``: the kinds of truth to wait for, of 'depth' and 'labels'.
    """

    def __init__(
        self, class_names: Sequence[str], expected: Sequence[str], cap: float = 80.0
    ) -> None:
        self.class_names = tuple(class_names)
        self.expected = frozenset(expected)
        self.cap = cap
        self._pairs: OrderedDict[int, _Pair] = OrderedDict()
        self._rows: dict[str, _Row] = defaultdict(
            lambda: _Row(0, [], [], LabelScore(self.class_names))
        )

    @property
    def waiting(self) -> bool:
        """Whether something perceived still waits for its truth."""
        return any(pair.perception is not None for pair in self._pairs.values())

    def add_depth(self, stamp_ns: int, depth: NDArray[np.float32] | None) -> None:
        """True depth (H, W) metres of the frame at ``stamp_ns``; 0 or not finite: not measured.

        None: there is none for this frame, which then does not wait for it.
        """
        self._pair(stamp_ns).truth['depth'] = depth
        self._score(stamp_ns)

    def add_labels(self, stamp_ns: int, labels: NDArray[np.uint8]) -> None:
        """True labels (H, W) uint8 of the frame at ``stamp_ns``; 255: unlabelled."""
        self._pair(stamp_ns).truth['labels'] = labels
        self._score(stamp_ns)

    def add(self, perception: Perception, condition: str) -> None:
        """What was perceived, and in what condition ('day', 'night', ... or '')."""
        pair = self._pair(perception.stamp_ns)
        pair.perception, pair.condition = perception, condition
        self._score(perception.stamp_ns)

    def result(self) -> dict[str, Any]:
        """Figures by condition, and of all: ``depth``, ``depth_median_scaled``, ``labels``."""
        rows = dict(self._rows)
        return {name: _figures(row) for name, row in sorted(rows.items()) if row.frames}

    def _pair(self, stamp_ns: int) -> _Pair:
        pair = self._pairs.setdefault(stamp_ns, _Pair())
        while len(self._pairs) > _WAITING:
            self._pairs.popitem(last=False)
        return pair

    def _score(self, stamp_ns: int) -> None:
        pair = self._pairs[stamp_ns]
        if pair.perception is None or not self.expected <= pair.truth.keys():
            return
        del self._pairs[stamp_ns]
        depth, labels = pair.truth.get('depth'), pair.truth.get('labels')
        errors = None if depth is None else _both_errors(depth, pair.perception.depth, self.cap)
        if errors is None and labels is None:
            return
        for row in (self._rows[name] for name in {'all', pair.condition} - {''}):
            row.frames += 1
            if errors is not None:
                row.depth.append(errors[0])
                row.median_scaled.append(errors[1])
            if labels is not None:
                row.labels.add(labels, _resized(pair.perception.labels, labels.shape))


def _both_errors(
    truth: NDArray[Any], depth: NDArray[np.float32], cap: float
) -> tuple[DepthErrors, DepthErrors] | None:
    """Errors as they are and median-scaled; None where no pixel can be compared."""
    try:
        plain = depth_errors(truth, depth, cap, median_scaling=False)
    except ValueError:  # a picture without a single measured pixel in range
        return None
    return plain, depth_errors(truth, depth, cap, median_scaling=True)


def _resized(labels: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if labels.shape == shape:
        return labels
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT))


def _figures(row: _Row) -> dict[str, Any]:
    figures: dict[str, Any] = {'frames': row.frames}
    for name, errors in (('depth', row.depth), ('depth_median_scaled', row.median_scaled)):
        if errors:
            means = DepthErrors.mean(errors)._asdict()
            figures[name] = {field: round(value, 4) for field, value in means.items()}
    iou = row.labels.iou()
    if iou:
        figures['labels'] = {
            'miou': round(row.labels.mean_iou(), 4),
            'iou': {name: round(value, 4) for name, value in iou.items()},
        }
    return figures
