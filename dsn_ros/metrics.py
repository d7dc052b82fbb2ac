"""The figures of a run over a bag or over pictures: what metrics.json holds."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dsn_ros.engines import Engine
from dsn_ros.pipeline import Perception

__all__ = ['Latencies', 'run_metrics']

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


def run_metrics(
    source: str,
    engine: Engine,
    frames_in: int,
    dropped: Mapping[str, int],
    seconds: float,
    latencies: Latencies,
    problems: Sequence[str],
    last: Perception | None,
) -> dict[str, Any]:
    """Sum up a run: ``last`` is what was seen in its last frame, None if nothing was."""
    frames_out = frames_in - sum(dropped.values())
    told = list(problems)
    if last is not None and not last.scale.metric:
        # A relative model has no metres for a lens to scale.
        lens = 'the horizontal field of view with --fov, or '
        remedy = '' if engine.metadata.scale == 'relative' else lens
        told.append(
            f'depth is relative, not metres ({last.scale.source}): give {remedy}a fixed scale '
            'with --scale'
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
    return metrics
