"""One process from its start to its first output and on: python -m dsn_ros.bench.probe JSON.

What the node does without ROS's graph. Prints a line of JSON when the first frame is out, and one
with the peak of memory after ``frames`` more.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ['Probe']


@dataclass(frozen=True)
class Probe:
    """What to run: a deploy graph, an engine as ``load_engine`` takes it, the camera's size."""

    model: str
    engine: str
    precision: str
    threads: int | None
    height: int
    width: int
    frames: int

    def to_json(self) -> str:
        """As the program's argument."""
        return json.dumps(asdict(self))


def _main(text: str) -> None:
    start = time.perf_counter()
    probe = Probe(**json.loads(text))
    from dsn_ros.bench.journey import CASES, Journey
    from dsn_ros.bench.machine import peak_mb
    from dsn_ros.bench.worlds import world
    from dsn_ros.engines import load_engine
    from dsn_ros.watched_engine import WatchedEngine

    imported = time.perf_counter()
    engine = WatchedEngine(
        lambda: load_engine(Path(probe.model), probe.engine, probe.precision, probe.threads)
    )
    loaded = time.perf_counter()
    journey = Journey(engine, CASES[0], (probe.height, probe.width), world())
    journey()
    first = time.perf_counter()
    _tell({'import': imported - start, 'load': loaded - imported, 'first frame': first - loaded})
    for _ in range(probe.frames):
        journey()
    _tell({'peak_mb': peak_mb()})
    journey.close()
    engine.close()


def _tell(figures: dict[str, float | None]) -> None:
    sys.stdout.write(json.dumps(figures) + '\n')
    sys.stdout.flush()


if __name__ == '__main__':
    _main(sys.argv[1])
