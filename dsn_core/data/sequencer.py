"""Cuts the frames of a recording into sequences, and measures the way within each."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ['Place', 'Sequencer', 'Track']

MAX_SPEED = 100.0  # m/s: what moves faster has not moved, its odometry has been reset
MIN_RESET = 1.0  # metres; less is noise between close stamps


class Place(NamedTuple):
    """Where a frame belongs."""

    sequence: str
    travelled: float  # metres since the sequence began, nan: not known


class Sequencer:
    """Tells the sequence of each frame of one recording, as they come.

    ``name`` begins the names of the sequences; frames more than ``max_gap`` seconds apart are in
    different ones.
    """

    def __init__(self, name: str, max_gap: float = float('inf')) -> None:
        self._name, self._max_gap = name, max_gap
        self._number = -1
        self._time = float('inf')
        self._breaks = 0
        self._cut = True
        self._position: NDArray[np.float64] | None = None
        self._travelled = 0.0

    def cut(self) -> None:
        """Let the next frame begin a new sequence."""
        self._cut = True

    def place(
        self, time: float, position: NDArray[np.float64] | None = None, breaks: int = 0
    ) -> Place:
        """Take the next frame, seen at ``time`` (seconds).

        ``position`` (any number of axes, metres; nan or None: not known) is the camera's; the way
        is measured from frame to frame. A new sequence begins after ``cut``, where ``time`` does
        not rise or leaps, and where ``breaks`` is another number than before.
        """
        step = time - self._time
        if self._cut or not 0 < step <= self._max_gap or breaks != self._breaks:
            self._number += 1
            self._position, self._travelled = None, 0.0
            self._cut = False
        self._time, self._breaks = time, breaks
        sequence = f'{self._name}.{self._number}'
        if position is None or not np.isfinite(position).all():
            return Place(sequence, float('nan'))
        if self._position is not None:
            self._travelled += float(np.linalg.norm(position - self._position))
        self._position = position
        return Place(sequence, self._travelled)


class Track:
    """Where something was, by time: positions with straight lines between them.

    ``times`` (N,) seconds, rising; ``positions`` (N, axes) metres; ``broken`` (N - 1,): between
    which of them nothing is known. N is at least 1.
    """

    def __init__(
        self,
        times: NDArray[np.float64],
        positions: NDArray[np.float64],
        broken: NDArray[np.bool_],
    ) -> None:
        self._times, self._positions, self._broken = times, positions, broken
        self._broken_before = np.concatenate([[0], np.cumsum(broken)])

    @classmethod
    def through(cls, times: ArrayLike, positions: ArrayLike, max_gap: float) -> 'Track':
        """The track through ``positions`` (N, axes) at ``times`` (N,), in any order.

        It is broken where two are more than ``max_gap`` seconds apart, or too far for their time:
        there the odometry was reset.
        """
        rising, order = np.unique(np.asarray(times, dtype=np.float64), return_index=True)
        ordered = np.asarray(positions, dtype=np.float64)[order]
        spans = np.diff(rising)
        steps = np.linalg.norm(np.diff(ordered, axis=0), axis=1)
        reset = steps > np.maximum(MAX_SPEED * spans, MIN_RESET)
        return cls(rising, ordered, (spans > max_gap) | reset)

    @classmethod
    def of_steps(cls, steps: ArrayLike) -> 'Track':
        """The way along ``steps`` (N, 3): from and until when (seconds), and metres.

        Its one axis runs along the way; it is broken where one step doesn't begin as another
        ends. Which of the two times is the later does not matter.
        """
        table = np.array(steps, dtype=np.float64)
        table[:, :2].sort(axis=1)
        times, way, broken = [table[:, 0].min()], [0.0], []
        for start, end, length in table[np.argsort(table[:, 0], kind='stable')]:
            if start < times[-1] or end <= start:  # overlaps the step before, or is none
                continue
            if start > times[-1]:
                times.append(start)
                way.append(way[-1])
                broken.append(True)
            times.append(end)
            way.append(way[-1] + length)
            broken.append(False)
        return cls(np.array(times), np.array(way)[:, None], np.array(broken, dtype=np.bool_))

    def at(self, time: float) -> NDArray[np.float64] | None:
        """Position (axes,) at ``time``; None where it is not known."""
        after = int(np.searchsorted(self._times, time))
        if after < len(self._times) and self._times[after] == time:
            return np.asarray(self._positions[after])
        if after in (0, len(self._times)) or self._broken[after - 1]:
            return None
        first, second = self._times[after - 1], self._times[after]
        share = (time - first) / (second - first)
        return np.asarray(
            (1 - share) * self._positions[after - 1] + share * self._positions[after]
        )

    def breaks(self, time: float) -> int:
        """How often the track broke off before ``time``: another number, another piece of it."""
        begun = int(np.searchsorted(self._times[:-1], time))
        return int(self._broken_before[begun])
