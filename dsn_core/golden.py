"""The golden frame: one drawn picture whose answer travels inside every deploy graph.

An engine that computes other numbers than the network that was exported (a broken kernel, a
wrong layout, a bad quantisation, a swapped output) is found at load, before a robot moves by it.
The picture is computed from its size alone, in integers, so that every machine draws the same.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ['CONFIDENT', 'GoldenComparison', 'GoldenFigures', 'golden_frame']

STRIDE = 16  # the figures keep one point of every 16 x 16 pixels
CONFIDENT = 128  # labels are held only where the exporting network was this sure (of 255)

# (largest median relative depth error, smallest share of agreeing labels) by numeric precision.
_LIMITS = {
    'fp32': (2e-3, 0.99),
    'fp16': (2e-2, 0.97),
    'bf16': (5e-2, 0.95),  # the shipped network: 1.5 % at its own size, up to 2.8 % at others
    'int8': (8e-2, 0.90),
}


def golden_frame(height: int, width: int) -> NDArray[np.uint8]:
    """Draw the golden frame: (height, width, 3) uint8 RGB, a crude street with texture.

    Sky over a road that narrows to the horizon, boxes to both sides, one box on the road, and an
    integer hash as texture, so that every layer of a network has something to answer to.
    """
    v, u = np.mgrid[0:height, 0:width].astype(np.int64)
    horizon, centre = height * 45 // 100, width // 2
    image = np.empty((height, width, 3), dtype=np.int64)
    image[:] = np.stack([120 + 60 * v // height, 150 + 40 * v // height, 200 + 0 * v], axis=-1)
    ground = v >= horizon
    image[ground] = (96, 120, 72)
    road = ground & (abs(u - centre) * (height - horizon) < (v - horizon + 4) * width * 55 // 100)
    image[road] = (88, 88, 92)
    dashes = road & (abs(u - centre) * 60 < (v - horizon + 8)) & ((v // 12) % 2 == 0)
    image[dashes] = (210, 210, 205)
    for left, right, top, colour in (
        (0, 22, 8, (150, 110, 90)),
        (24, 33, 25, (70, 90, 60)),
        (70, 80, 22, (176, 168, 150)),
        (82, 100, 4, (120, 124, 136)),
    ):
        box = (u * 100 >= left * width) & (u * 100 < right * width)
        box &= (v * 100 >= top * height) & (v * 100 < 56 * height)
        image[box] = colour
    car = (u * 100 >= 52 * width) & (u * 100 < 62 * width)
    car &= (v * 100 >= 47 * height) & (v * 100 < 61 * height)
    image[car] = (140, 30, 36)
    # A multiplicative hash of the coordinates; the modulus keeps it within int64 everywhere.
    noise = ((u * 73856093) ^ (v * 19349663)) % 8191 % 29 - 14
    drawn: NDArray[np.uint8] = np.clip(image + noise[..., None], 0, 255).astype(np.uint8)
    return drawn


@dataclass(frozen=True)
class GoldenComparison:
    """How far an engine's answer on the golden frame is from the exporting network's."""

    depth_error: float  # median of |depth - expected| / expected
    label_agreement: float  # share of the confident points with the expected label

    def failure(self, precision: str) -> str | None:
        """One line that says what is out of bounds for ``precision``, or None if all is well."""
        max_error, min_agreement = _LIMITS[precision]
        if not self.depth_error <= max_error:  # also true for NaN
            return f'depth differs by {self.depth_error:.2%} (limit {max_error:.2%})'
        if not self.label_agreement >= min_agreement:
            return f'only {self.label_agreement:.1%} of labels agree (limit {min_agreement:.1%})'
        return None


@dataclass(frozen=True)
class GoldenFigures:
    """The exporting network's answer on the golden frame, one point of every 16 x 16 pixels.

    ``depth`` float32 in the network's units, ``labels`` and ``confidence`` uint8, all (h, w).
    """

    depth: NDArray[np.float32]
    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]

    @classmethod
    def of(
        cls,
        depth: NDArray[np.float32],
        labels: NDArray[np.uint8],
        confidence: NDArray[np.uint8],
    ) -> 'GoldenFigures':
        """Keep the figures of a full-size answer, each (H, W)."""
        pick = slice(STRIDE // 2, None, STRIDE)
        return cls(depth[pick, pick], labels[pick, pick], confidence[pick, pick])

    @property
    def confident_share(self) -> float:
        """Share of the points whose labels an engine is held to."""
        return float(np.mean(self.confidence >= CONFIDENT))

    def compare(self, depth: NDArray[np.float32], labels: NDArray[np.uint8]) -> GoldenComparison:
        """Hold a full-size answer (H, W) against these figures; NaN counts as wrong."""
        pick = slice(STRIDE // 2, None, STRIDE)
        got_depth, got_labels = depth[pick, pick], labels[pick, pick]
        if got_depth.shape != self.depth.shape or got_labels.shape != self.labels.shape:
            return GoldenComparison(float('inf'), 0.0)
        error = float(np.median(np.abs(got_depth - self.depth) / self.depth))
        sure = self.confidence >= CONFIDENT
        agreement = float(np.mean(got_labels[sure] == self.labels[sure])) if sure.any() else 1.0
        return GoldenComparison(error, agreement)

    def to_json(self) -> dict[str, Any]:
        """As plain lists, depth with five significant digits."""
        return {
            'depth': [[float(f'{x:.5g}') for x in row] for row in self.depth.tolist()],
            'labels': self.labels.tolist(),
            'confidence': self.confidence.tolist(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> 'GoldenFigures':
        """Read what ``to_json`` wrote; raises ValueError naming the field that is wrong."""
        try:
            depth = np.asarray(data['depth'], dtype=np.float32)
            labels = np.asarray(data['labels'], dtype=np.uint8)
            confidence = np.asarray(data['confidence'], dtype=np.uint8)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f'golden: {error}') from error
        if depth.ndim != 2 or not depth.shape == labels.shape == confidence.shape:
            raise ValueError('golden: depth, labels and confidence must be grids of one size')
        if not (np.isfinite(depth).all() and (depth > 0).all()):
            raise ValueError('golden: depth must be finite and above zero')
        return cls(depth, labels, confidence)
