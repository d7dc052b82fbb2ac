"""Contenders take turns in one run, round by round, so that all of them have the same weather.

A machine gets warm, and others use it: two figures taken one after the other say little of each
other. Here each round has every contender once, in another order, and is compared within itself.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dsn_ros.engines.base import one_line

__all__ = ['Contender', 'Lap', 'Progress', 'Race', 'Spread', 'paired_ratios', 'spread']

Progress = Callable[[int, int], None]
"""Called with (rounds done, rounds in all)."""

_SETTLE = 0.02  # seconds in which the threads of who went before stop waiting for more work
_MOST_RUNS = 1000


class Spread(NamedTuple):
    """A median with the quartiles below and above it."""

    median: float
    low: float
    high: float


class Lap(NamedTuple):
    """Seconds of one run, the mean over a turn's: by the wall, and of all threads together."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Contender:
    """Something whose time is measured: every call of ``run`` does its work once."""

    name: str
    run: Callable[[], object]


class Race:
    """Measures ``contenders`` in turns, once.

    A turn lasts ``turn`` seconds or one run, whichever is longer. ``failed``: who dropped out, and
    why.
    """

    def __init__(self, contenders: Sequence[Contender], turn: float = 0.1) -> None:
        self._names = [each.name for each in contenders]
        if len(set(self._names)) != len(self._names):
            raise ValueError(f'contenders must have names of their own, got {self._names}')
        self.failed: dict[str, str] = {}
        self._running = list(contenders)
        self._turn = turn
        self._rounds: list[dict[str, Lap]] = []

    def run(self, rounds: int, show: Progress | None = None) -> None:
        """Let everybody warm up, then run ``rounds``; stopped, the whole rounds are kept."""
        try:
            for contender in list(self._running):
                self._try(contender, contender.run)
            for number in range(rounds):
                if show is not None:
                    show(number, rounds)
                self._rounds.append(self._round(number))
            if show is not None:
                show(rounds, rounds)
        finally:
            self._running.clear()  # and what they hold

    def measured(self) -> list[str]:
        """Who has laps, in the order of the start."""
        return [name for name in self._names if self.laps(name)]

    def laps(self, name: str) -> list[Lap]:
        """One lap for each whole round; none of those who dropped out."""
        return [] if name in self.failed else [laps[name] for laps in self._rounds]

    def walls(self, name: str) -> list[float]:
        """Seconds of each whole round."""
        return [lap.wall for lap in self.laps(name)]

    def _round(self, number: int) -> dict[str, Lap]:
        laps: dict[str, Lap] = {}
        for contender in order(self._running, number):
            time.sleep(_SETTLE)

            def turn(contender: Contender = contender) -> None:
                laps[contender.name] = _timed(contender.run, self._turn)

            self._try(contender, turn)
        return laps

    def _try(self, contender: Contender, action: Callable[[], object]) -> None:
        """Whoever fails is out; the others go on."""
        try:
            action()
        except Exception as error:  # every library has its own
            self._running.remove(contender)
            self.failed[contender.name] = one_line(error)


def order(contenders: Sequence[Contender], number: int) -> list[Contender]:
    """The order of round ``number``: each begins in its turn, every other round goes backwards.

    So nobody always runs in the warmth, or the dirt, of the same one before it.
    """
    count = len(contenders)
    step = 1 if number % 2 == 0 else -1
    return [contenders[(number + step * i) % count] for i in range(count)]


def _timed(run: Callable[[], object], at_least: float) -> Lap:
    wall, cpu = time.perf_counter(), time.process_time()
    runs, passed = 0, 0.0
    while runs == 0 or (passed < at_least and runs < _MOST_RUNS):
        run()
        runs += 1
        passed = time.perf_counter() - wall
    return Lap(passed / runs, (time.process_time() - cpu) / runs)


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles; raises ValueError where there are no values."""
    if not len(values):
        raise ValueError('a median needs at least one value')
    low, median, high = np.percentile(np.asarray(values, dtype=np.float64), [25, 50, 75])
    return Spread(float(median), float(low), float(high))


def paired_ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """``ours`` over ``theirs``, round by round; raises ValueError where rounds are missing."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]
