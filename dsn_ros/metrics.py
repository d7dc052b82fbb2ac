"""The figures of a run over a bag or over pictures: what metrics.json holds."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dsn_ros.any_engine import AnyEngine
from dsn_ros.pipeline import Perception
from dsn_ros.sanity import MEANING
from dsn_ros.scale import Scale
from dsn_ros.scale_filter import robust_spread

__all__ = ['FaultStatistics', 'Latencies', 'ScaleStatistics', 'run_metrics']

_PROBLEMS = 20  # so many are told one by one


class Latencies:
    """Collects milliseconds by stage."""

    def __init__(self) -> None:
        self._stages: dict[str, list[float]] = defaultdict(list)

    def add(self, latency_ms: Mapping[str, float]) -> None:
        """Count one frame's stages."""
        for stage, value in latency_ms.items():
            self._stages[stage].append(value)

    def summary(self) -> dict[str, dict[str, float]]:
        """Percentiles 50, 90 and 99, mean and maximum of every stage, milliseconds."""
        result = {}
        for stage, values in self._stages.items():
            p50, p90, p99 = np.percentile(values, [50, 90, 99])
            figures = {'p50': p50, 'p90': p90, 'p99': p99}
            figures |= {'mean': np.mean(values), 'max': np.max(values)}
            result[stage] = {name: round(float(value), 3) for name, value in figures.items()}
        return result


class ScaleStatistics:
    """Sums up scales that were measured frame by frame."""

    def __init__(self) -> None:
        self._factors: list[float] = []
        self._logs: list[float] = []
        self._reasons: Counter[str] = Counter()
        self._frames = 0

    def add(self, scale: Scale) -> None:
        """Count one frame's scale."""
        self._frames += 1
        if scale.metric:
            self._factors.append(scale.factor)
        if scale.measure is None:
            return
        if scale.measure.usable:
            self._logs.append(float(np.log(scale.measure.factor)))
        else:
            self._reasons[re.sub(r'\d+(\.\d+)?', 'N', scale.measure.reason)] += 1

    def problem(self) -> str | None:
        """Say of how many frames the depth is not metric, and why; None where all of it is."""
        unknown = self._frames - len(self._factors)
        if not unknown:
            return None
        why = f' (most often: {self._reasons.most_common(1)[0][0]})' if self._reasons else ''
        return f'depth of {unknown} of {self._frames} frames is relative, not metres{why}'

    def summary(self) -> dict[str, Any]:
        """Figures for metrics.json.

        ``median`` of the factors that depth was published with; ``spread`` of those that single
        frames gave, as a share; ``known`` and ``measured``: shares of frames with the one and the
        other; ``not_measured``: frames by reason (its numbers left out).
        """
        share = 1 / max(self._frames, 1)
        return {
            'median': round(float(np.median(self._factors)), 5) if self._factors else None,
            'spread': round(robust_spread(np.array(self._logs)), 4) if self._logs else None,
            'known': round(len(self._factors) * share, 4),
            'measured': round(len(self._logs) * share, 4),
            'not_measured': dict(self._reasons.most_common()),
        }


class FaultStatistics:
    """Counts the frames that gave out nothing because something spoke against them."""

    def __init__(self) -> None:
        self._frames = self._withheld = 0
        self._faults: Counter[str] = Counter()

    def add(self, seen: Perception) -> None:
        """Count one frame."""
        self._frames += 1
        self._withheld += bool(seen.faults)
        self._faults.update(seen.faults)

    def problems(self) -> list[str]:
        """A line for each fault that was found."""
        return [
            f'{count} of {self._frames} frames are withheld ({name}): {MEANING[name]}'
            for name, count in self._faults.most_common()
        ]

    def summary(self) -> dict[str, Any]:
        """Figures for metrics.json: frames ``withheld``, and with each of the ``faults``."""
        return {'withheld': self._withheld, 'faults': dict(self._faults.most_common())}


def run_metrics(
    source: str,
    engine: AnyEngine,
    frames_in: int,
    dropped: Mapping[str, int],
    seconds: float,
    latencies: Latencies,
    problems: Sequence[str],
    faults: FaultStatistics,
    last: Perception | None,
) -> dict[str, Any]:
    """Sum up a run: ``last`` is what was seen in its last frame, None if nothing was."""
    frames_out = frames_in - sum(dropped.values())
    told = [*faults.problems(), *problems]
    # Of a scale that is measured, its statistics tell.
    if last is not None and not last.scale.metric and last.scale.measure is None:
        # A relative model has no metres for a lens to scale.
        lens = 'the horizontal field of view with --fov, or '
        remedy = '' if engine.metadata.scale == 'relative' else lens
        told.append(
            f'depth is relative, not metres ({last.scale.source}): give {remedy}a scale with '
            '--scale'
        )
    if len(told) > _PROBLEMS:
        told = [*told[:_PROBLEMS], f'and {len(told) - _PROBLEMS} more']
    model = engine.metadata
    metrics: dict[str, Any] = {
        'bag': source,
        'frames_in': frames_in,
        'frames_out': frames_out,
        'dropped': dict(dropped),
        'rate_hz': round(frames_out / seconds, 2) if seconds > 0 else 0.0,
        'latency_ms': latencies.summary(),
        'sanity': faults.summary(),
        'engine': {'name': engine.name, 'device': engine.device, 'precision': engine.precision},
        'model': {
            'name': model.name,
            'height': model.height,
            'width': model.width,
            'scale': model.scale,
            'sha256': model.checkpoint_sha256,
        },
        'problems': told,
    }
    if last is not None:
        metrics['scale'] = {
            'metric': last.scale.metric,
            'factor': round(last.scale.factor, 5),
            'source': last.scale.source,
        }
        if last.scale.spread is not None:
            metrics['scale']['last_spread'] = round(last.scale.spread, 4)
    return metrics
