"""Latency figures: percentiles by stage, over as many frames as come."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

__all__ = ['Latencies']


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
