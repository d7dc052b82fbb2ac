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
    truth: dict[str, NDArray[Any]] = field(default_factory=dict)


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

    def add_depth(self, stamp_ns: int, depth: NDArray[np.float32]) -> None:
        """True depth (H, W) metres of the frame at ``stamp_ns``; 0 or not finite: not measured."""
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
        names = {'all', pair.condition} - {''}
        for row in (self._rows[name] for name in names):
            row.frames += 1
        depth, labels = pair.truth.get('depth'), pair.truth.get('labels')
        if depth is not None:
            errors = (
                depth_errors(depth, pair.perception.depth, self.cap, median_scaling=False),
                depth_errors(depth, pair.perception.depth, self.cap, median_scaling=True),
            )
            for row in (self._rows[name] for name in names):
                row.depth.append(errors[0])
                row.median_scaled.append(errors[1])
        if labels is not None:
            size = (labels.shape[1], labels.shape[0])
            seen: NDArray[Any] = pair.perception.labels
            if seen.shape != labels.shape:
                seen = cv2.resize(seen, size, interpolation=cv2.INTER_NEAREST_EXACT)
            for row in (self._rows[name] for name in names):
                row.labels.add(labels, seen)


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
