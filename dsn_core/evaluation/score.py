"""Scores of one row on one set, by condition."""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsn_core.errors import UserError
from dsn_core.evaluation.calibration import Calibration
from dsn_core.evaluation.config import DepthProtocol, EvaluationConfig
from dsn_core.evaluation.depth import DepthErrors, depth_errors
from dsn_core.evaluation.labels import LabelScore
from dsn_core.evaluation.pictures import example_pictures
from dsn_core.evaluation.prediction import Prediction, Predictor
from dsn_core.evaluation.samples import EvaluationSample
from dsn_core.evaluation.temporal import View, corresponding, depth_change, label_agreement
from dsn_core.labels import CITYSCAPES, UNLABELLED

__all__ = ['score']


class _Frame(NamedTuple):
    """A sample with its prediction at the truth's size, and the view that both are of."""

    sample: EvaluationSample
    prediction: Prediction
    view: View | None


def score(
    predictor: Predictor,
    samples: Iterable[EvaluationSample],
    config: EvaluationConfig,
    tick: Callable[[], None],
) -> dict[str, dict[str, Any]]:
    """Figures by condition; JSON-able, None where there is nothing to measure.

    ``frames``; ``depth``: protocol → ``median_scaled`` and, where the row is metric, ``unscaled``:
    the seven errors, averaged over pictures; ``scale``: ``median`` over pictures of the median of
    prediction / truth, and ``spread``, the standard deviation of that ratio over its median;
    ``labels``: ``miou`` and ``iou`` by class over all pixels; ``calibration``: ``ece`` and
    ``bins``; ``temporal``: ``pairs`` of neighbouring frames, ``depth``, ``labels`` and
    ``true_labels`` (the truth's own agreement: the most that can be asked), averaged over pairs;
    ``pictures``: one example. ``tick`` is called after each picture.
    """
    conditions: dict[str, _Condition] = {}
    before: _Frame | None = None
    for sample in samples:
        prediction = predictor(sample).resized(*sample.image.shape[:2])
        frame = _Frame(sample, prediction, _view(sample, config.table_2))
        each = conditions.setdefault(sample.condition, _Condition(config, predictor.metric))
        each.add(frame)
        if before is not None and before.sample.sequence == sample.sequence:
            each.add_pair(before, frame)
        before = frame
        tick()
    return {name: each.figures() for name, each in conditions.items()}


def _view(sample: EvaluationSample, protocol: DepthProtocol) -> View | None:
    if sample.pose is None:
        return None
    depth = np.where(_counts(sample.depth, protocol), sample.depth, np.float32(0))
    return View(depth, sample.intrinsics, sample.pose)


def _counts(depth: NDArray[np.floating], protocol: DepthProtocol) -> NDArray[np.bool_]:
    far = np.isfinite(depth) & (depth > protocol.min_depth)
    return np.asarray(far & (depth < protocol.cap), dtype=np.bool_)


class _Condition:
    def __init__(self, config: EvaluationConfig, metric: bool) -> None:
        self._protocols = {'table_1': config.table_1, 'table_2': config.table_2}
        self._metric = metric
        scalings = {'median_scaled': True, **({'unscaled': False} if metric else {})}
        self._scalings = scalings
        self._depth: dict[tuple[str, str], list[DepthErrors]] = {
            (protocol, scaling): [] for protocol in self._protocols for scaling in scalings
        }
        self._ratios: list[float] = []
        self._labels = LabelScore(CITYSCAPES.names)
        self._calibration = Calibration()
        self._temporal: dict[str, list[float]] = {'depth': [], 'labels': [], 'true_labels': []}
        self._frames = self._pairs = 0
        self._pictures: dict[str, str] | None = None

    def add(self, frame: _Frame) -> None:
        """Count one picture."""
        self._frames += 1
        ratio = self._add_depth(frame)
        self._add_labels(frame)
        if self._pictures is None:
            factor = 1.0 if self._metric or ratio is None else 1 / ratio
            self._pictures = example_pictures(frame.sample, frame.prediction, factor)

    def add_pair(self, before: _Frame, now: _Frame) -> None:
        """Count two pictures that follow each other."""
        if before.view is None or now.view is None:
            return
        pairs = corresponding(before.view, now.view)
        if not pairs[0].size:
            return
        self._pairs += 1
        was, is_now = before.sample.labels, now.sample.labels
        # Two pixels of which nobody knows the label do not agree.
        known = (is_now.ravel()[pairs[0]] != UNLABELLED) & (was.ravel()[pairs[1]] != UNLABELLED)
        self._temporal['true_labels'].append(
            label_agreement(was, is_now, (pairs[0][known], pairs[1][known]))
        )
        old, new = before.prediction, now.prediction
        if old.depth is not None and new.depth is not None:
            self._temporal['depth'].append(
                depth_change(before.view, now.view, old.depth, new.depth, pairs)
            )
        if old.labels is not None and new.labels is not None:
            self._temporal['labels'].append(label_agreement(old.labels, new.labels, pairs))

    def figures(self) -> dict[str, Any]:
        """All figures, as ``score`` says."""
        return {
            'frames': self._frames,
            'depth': {
                protocol: {scaling: self._mean(protocol, scaling) for scaling in self._scalings}
                for protocol in self._protocols
            },
            'scale': self._scale(),
            'labels': self._label_figures(),
            'calibration': self._calibration_figures(),
            'temporal': {
                'pairs': self._pairs,
                **{name: _mean(values) for name, values in self._temporal.items()},
            },
            'pictures': self._pictures or {},
        }

    def _add_depth(self, frame: _Frame) -> float | None:
        """Count the depth errors; returns the median of prediction / truth."""
        guess, truth = frame.prediction.depth, frame.sample.depth
        if guess is None:
            return None
        for (protocol, scaling), errors in self._depth.items():
            rule = self._protocols[protocol]
            counts = _counts(truth, rule)
            if not counts.any():
                continue
            try:
                errors.append(
                    depth_errors(truth, guess, rule.cap, rule.min_depth, self._scalings[scaling])
                )
            except ValueError as error:
                raise UserError(f'{frame.sample.name}: {error}') from error
        counts = _counts(truth, self._protocols['table_2']) & ~np.isnan(guess)
        if not counts.any():
            return None
        ratio = float(np.median(guess[counts] / truth[counts].astype(np.float64)))
        if not 0 < ratio < math.inf:
            raise UserError(f'{frame.sample.name}: the median of its depth is not above zero')
        self._ratios.append(ratio)
        return ratio

    def _add_labels(self, frame: _Frame) -> None:
        guess, truth = frame.prediction.labels, frame.sample.labels
        if guess is None:
            return
        self._labels.add(truth, guess)
        if frame.prediction.confidence is not None:
            known = truth < len(CITYSCAPES)
            right = guess[known] == truth[known]
            self._calibration.add(frame.prediction.confidence[known], right)

    def _mean(self, protocol: str, scaling: str) -> dict[str, float] | None:
        errors = self._depth[protocol, scaling]
        return DepthErrors.mean(errors)._asdict() if errors else None

    def _scale(self) -> dict[str, float] | None:
        if not self._ratios:
            return None
        median = float(np.median(self._ratios))
        return {'median': median, 'spread': float(np.std(np.array(self._ratios) / median))}

    def _label_figures(self) -> dict[str, Any] | None:
        iou = self._labels.iou()
        return {'miou': self._labels.mean_iou(), 'iou': iou} if iou else None

    def _calibration_figures(self) -> dict[str, Any] | None:
        error = self._calibration.error()
        if math.isnan(error):
            return None
        return {'ece': error, 'bins': [b._asdict() for b in self._calibration.bins()]}


def _mean(values: list[float]) -> float | None:
    known = [v for v in values if not math.isnan(v)]
    return float(np.mean(known)) if known else None
