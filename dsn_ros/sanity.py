"""Whether a frame and what the network made of it can be believed at all.

A network answers to a black picture as confidently as to a street. What speaks against a frame is
named here, and the pipeline then gives out nothing instead: NaN, 255 and confidence 0.
docs/reliability.md has what was measured: every limit lies far from all good drives.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.labels import UNLABELLED
from dsn_ros.grey import as_grey
from dsn_ros.scale import Scale

__all__ = ['CHECKS', 'MEANING', 'Sanity', 'SanityOptions']

MEANING = {
    'black': 'the picture is black: no light reaches the sensor',
    'white': 'the picture is overexposed',
    'covered': 'the picture shows nothing: the lens is covered, fogged or far out of focus',
    'frozen': 'the picture stands still while its stamps move: restart the camera (if it is a '
    'simulated one without noise: take frozen out of sanity.checks)',
    'depth': 'the network gave the same depth everywhere, or numbers that are none',
    'labels': 'the network gave all pixels one class',
    'scale': 'the metric scale jumped',
}
CHECKS = tuple(MEANING)

_COLUMNS, _ROWS = 144, 80  # of the small picture that is looked at
_BLACK = 16  # grey value below which there is no light
_WHITE = 250  # grey value from which the sensor is full
_MOST_WHITE = 0.75  # share of the picture
_FLAT = 8  # grey values between neighbours: less in 99 % of the picture is no texture
_NOISE = 5  # how far the largest 1 % of such steps lie above their median where all is noise
_MOST_NOISE = 4  # steps of more than this in half of the picture are texture, not noise
_FEWEST = 5  # frames that must be the same before a picture counts as frozen
_ONE_DEPTH = 1.02  # 95th against 5th percentile
_ONE_CLASS = 0.995  # share of the pixels
_STEP = 8  # pixels between those of the answer that are looked at
_SETTLED = 2_000_000_000  # ns for which a new scale must hold before it is believed
_EXPIRED = 10_000_000_000  # ns after which no scale is held against an old one
_MIXED = 200_000_000  # ns by which frames may come out of order; farther back, time has jumped


@dataclass(frozen=True)
class SanityOptions:
    """What to look for, of ``CHECKS``.

    ``frozen_after``: seconds for which the picture must not have changed in a bit.
    ``scale_jump``: so many times larger or smaller than before, a metric scale has jumped.
    """

    checks: tuple[str, ...] = CHECKS
    frozen_after: float = 1.0
    scale_jump: float = 1.5

    def __post_init__(self) -> None:
        unknown = [each for each in self.checks if each not in CHECKS]
        if unknown:
            raise ValueError(f'sanity.checks has {unknown[0]!r}: choose from {", ".join(CHECKS)}')
        if not 0 < self.frozen_after < math.inf:
            raise ValueError(
                f'sanity.frozen_after must be above zero seconds, got {self.frozen_after}'
            )
        if not 1 < self.scale_jump < math.inf:
            raise ValueError(f'sanity.scale_jump must be above 1, got {self.scale_jump}')


class Sanity:
    """Follows one camera's frames in the order of time."""

    def __init__(self, options: SanityOptions | None = None) -> None:
        self.options = options or SanityOptions()
        self.forget()

    def forget(self) -> None:
        """Begin anew: time has jumped, or the frames before were another camera's."""
        self._last: NDArray[np.uint8] | None = None
        self._stamp = self._still_since = 0
        self._still = 0  # frames that were the same as the one before
        self.forget_scale()

    def forget_scale(self) -> None:
        """The scale that comes next is held against none before: it is made in another way."""
        self._factor: float | None = None
        self._factor_at = 0
        self._candidate: tuple[float, int] | None = None  # factor, stamp since when

    def look(
        self,
        image: NDArray[np.uint8],
        stamp_ns: int,
        depth: NDArray[np.float32],
        labels: NDArray[np.uint8],
        grey: NDArray[np.uint8] | None = None,
    ) -> tuple[str, ...]:
        """What speaks against a picture (H, W, 3) uint8 RGB and the network's answer to it.

        ``depth`` (H, W) in the network's units and ``labels`` (H, W) are as the network gave them.
        ``grey`` (H, W): the picture ``as_grey``, where that is there already. ``image`` is kept
        until the next frame. Returns names of ``CHECKS``.
        """
        grey = as_grey(image) if grey is None else grey
        found = [*_picture_faults(grey), *_answer_faults(depth, labels)]
        if self._frozen(image, stamp_ns):
            found.append('frozen')
        return tuple(each for each in self.options.checks if each in found)

    def jumped(self, scale: Scale, stamp_ns: int) -> bool:
        """Whether ``scale`` is so far from those before that it must not be believed yet."""
        if 'scale' not in self.options.checks:
            self.forget_scale()
            return False
        if not scale.metric:
            return False
        factor, now = scale.factor, stamp_ns
        if self._factor is None or not 0 <= now - self._factor_at + _MIXED <= _EXPIRED:
            self.forget_scale()
        elif self._differ(factor, self._factor):
            if self._candidate is None or self._differ(factor, self._candidate[0]):
                self._candidate = factor, now
            if now - self._candidate[1] < _SETTLED:
                self._factor_at = now
                return True
        self._factor, self._factor_at, self._candidate = factor, now, None
        return False

    def _differ(self, factor: float, other: float) -> bool:
        return abs(math.log(factor / other)) > math.log(self.options.scale_jump)

    def _frozen(self, image: NDArray[np.uint8], stamp_ns: int) -> bool:
        last, before = self._last, self._stamp
        self._last, self._stamp = image, stamp_ns
        if last is None or stamp_ns < before or not _same(image, last):
            self._still, self._still_since = 0, stamp_ns
            return False
        if stamp_ns > before:  # else a message that came twice: that says nothing
            self._still += 1
        long = stamp_ns - self._still_since >= self.options.frozen_after * 1e9
        return long and self._still + 1 >= _FEWEST


def _picture_faults(grey: NDArray[np.uint8]) -> Sequence[str]:
    size = (min(grey.shape[1], _COLUMNS), min(grey.shape[0], _ROWS))
    small = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    below = _cumulated(small)
    if _quantile(below, 0.99) < _BLACK:
        return ['black']
    if small.size - below[_WHITE - 1] >= _MOST_WHITE * small.size:
        return ['white']
    across = cv2.absdiff(small[:, 1:], small[:, :-1])
    down = cv2.absdiff(small[1:], small[:-1])
    below = _cumulated(across) + _cumulated(down)
    noise = min(_quantile(below, 0.5), _MOST_NOISE)
    return ['covered'] if _quantile(below, 0.99) < max(_FLAT, _NOISE * noise) else []


def _answer_faults(depth: NDArray[np.float32], labels: NDArray[np.uint8]) -> Sequence[str]:
    found = []
    some = np.sort(depth[::_STEP, ::_STEP], axis=None)  # what is no number comes last
    nearer, farther = (_percentile(some, share) for share in (0.05, 0.95))
    finite = math.isfinite(some[0]) and math.isfinite(some[-1])
    if not (finite and 0 < _ONE_DEPTH * nearer < farther):
        found.append('depth')
    few = labels[::_STEP, ::_STEP].ravel()
    classes = np.bincount(few, minlength=256)[:UNLABELLED]  # a network of depth alone labels none
    if classes.max() >= _ONE_CLASS * few.size:
        found.append('labels')
    return found


def _same(image: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    few = slice(None, None, 16)  # rows that tell most pictures apart
    return np.array_equal(image[few], other[few]) and np.array_equal(image, other)


def _percentile(ordered: NDArray[np.float32], share: float) -> float:
    """Of numbers in ``ordered``, the one that ``share`` lie below, as np.percentile has it."""
    at = share * (ordered.size - 1)
    low = int(at)
    first, second = (float(ordered[min(i, ordered.size - 1)]) for i in (low, low + 1))
    return first + (at - low) * (second - first)


def _cumulated(grey: NDArray[Any]) -> NDArray[np.intp]:
    """(256,): how many of ``grey`` uint8 are at most so much."""
    return np.cumsum(np.bincount(grey.ravel(), minlength=256))


def _quantile(below: NDArray[np.intp], share: float) -> int:
    """The value that ``share`` of those reach at most of whom ``below`` tells."""
    return int(np.searchsorted(below, share * below[-1]))
