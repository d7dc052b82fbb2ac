"""Day, dusk or night, from the picture alone, and slow to change its mind.

A camera's auto exposure makes night brighter and noon darker, so that brightness alone says
little: beside it count how dark the sky is against the ground and how much is black.
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_ros.grey import as_grey

__all__ = [
    'CONDITIONS',
    'FEATURES',
    'Light',
    'Lighting',
    'LightingModel',
    'LightingState',
    'lighting_features',
]

Light = Literal['day', 'dusk', 'night']
CONDITIONS: tuple[Light, Light, Light] = ('day', 'dusk', 'night')
FEATURES = ('lower decile', 'median', 'sky', 'black share', 'sky against ground')

_HEIGHT, _WIDTH = 64, 114
_SKY_ROWS = _HEIGHT // 3
_BLACK = 32  # grey value below which a pixel counts as black
_FLOOR = 0.03  # keeps ratios of two black halves finite: the grey of a sensor's noise
_MIXED = 200_000_000  # ns by which frames may come out of order; farther back, time has jumped


@dataclass(frozen=True)
class LightingModel:
    """Proportional odds: P(darker than ``CONDITIONS[k]``) = σ(weights · features - limits[k])."""

    weights: tuple[float, float, float, float, float]
    limits: tuple[float, float]

    def darker(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Features (..., 5) → (..., 2): probability of dusk or night, and of night."""
        score = features @ np.array(self.weights)
        odds = np.clip(score[..., None] - np.array(self.limits), -50, 50)
        return np.asarray(1 / (1 + np.exp(-odds)))


# python3 -m dsn_ros.lighting_fit DRIVES, of the drives that docs/lighting.md names
MODEL = LightingModel((-6.721, -14.291, -3.552, 1.540, -1.702), (-8.246, -3.707))


@dataclass(frozen=True)
class LightingState:
    """``condition`` holds now; ``darkness`` of this frame alone: 0 day, 0.5 dusk, 1 night.

    ``seen``: what this frame alone looks like; another one than ``condition`` until it has held.
    """

    condition: Light
    darkness: float
    seen: Light


class Lighting:
    """Follows one camera's frames in the order of time.

    ``hold``: seconds (0 or more) for which no frame may look like the condition there is, before
    another takes its place: the one that most frames looked like meanwhile. 0: each frame by
    itself, for pictures that don't follow each other.
    """

    def __init__(self, hold: float = 2.0, model: LightingModel = MODEL) -> None:
        if not 0 <= hold < math.inf:
            raise ValueError(f'lighting.hold must be zero or more seconds, got {hold}')
        self.hold = hold
        self._model = model
        self._condition: Light | None = None
        self._newest = 0
        self._since = 0  # stamp of the first frame of those in _others
        self._others: Counter[Light] = Counter()

    def forget(self) -> None:
        """Begin anew: the next frame decides by itself."""
        self._condition = None
        self._others.clear()

    def update(self, image: NDArray[np.uint8], stamp_ns: int) -> LightingState:
        """Look at a picture of any size, (H, W, 3) RGB or (H, W) grey, exposed at ``stamp_ns``.

        The first one decides at once, and so does one from before the last one (a bag that loops).
        """
        darker = self._model.darker(lighting_features(image))
        shares = np.array([1 - darker[0], darker[0] - darker[1], darker[1]])
        seen = CONDITIONS[int(shares.argmax())]
        return LightingState(self._follow(seen, stamp_ns), float(darker.mean()), seen)

    def _follow(self, seen: Light, stamp_ns: int) -> Light:
        if self._condition is None or stamp_ns < self._newest - _MIXED or self.hold == 0:
            self._condition, self._newest = seen, stamp_ns
            self._others.clear()
            return seen
        self._newest = max(self._newest, stamp_ns)
        if seen == self._condition:
            self._others.clear()
            return seen
        if not self._others:
            self._since = self._newest
        self._others[seen] += 1
        if self._newest - self._since >= self.hold * 1e9:
            self._condition = self._others.most_common(1)[0][0]
            self._others.clear()
        return self._condition


def lighting_features(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Picture, RGB or ``as_grey``, → ``FEATURES`` (5,) of its grey at 64 x 114, 0 to 1.

    The lower decile and the median of all; the upper quartile of the upper third (the sky, between
    whatever stands before it); the share of black; ln of the median of the upper third against
    that of the rest.
    """
    small = cv2.resize(as_grey(image), (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
    upper = np.cumsum(np.bincount(small[:_SKY_ROWS].ravel(), minlength=256))
    lower = np.cumsum(np.bincount(small[_SKY_ROWS:].ravel(), minlength=256))
    both = upper + lower
    ratio = (_quantile(upper, 0.5) + _FLOOR) / (_quantile(lower, 0.5) + _FLOOR)
    return np.array(
        [
            _quantile(both, 0.1),
            _quantile(both, 0.5),
            _quantile(upper, 0.75),
            both[_BLACK - 1] / both[-1],
            math.log(ratio),
        ]
    )


def _quantile(below: NDArray[np.intp], share: float) -> float:
    """The grey value (0 to 1) that ``share`` of the pixels reach at most; ``below`` cumulates."""
    return float(np.searchsorted(below, share * below[-1])) / 255
