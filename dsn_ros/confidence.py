"""Confidence as it is published: calibrated for the light there is, lower where there is none."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_ros.grey import as_grey

__all__ = [
    'UNLIT_FACTOR',
    'calibrated',
    'dimmed',
    'dimmed_in_the_dark',
    'light_share',
    'lookup_tables',
]

UNLIT_FACTOR = 0.5
"""What confidence is multiplied by where there is no light: how much rarer depth is right there
(docs/lighting.md)."""

_BLOCK = 8  # pixels of a side over which brightness and texture are measured
_DARK = 32.0  # grey values that may be unlit, and that tell the noise
_FEWEST_DARK = 0.005  # share of dark blocks below which there is nothing to tell the noise by
_QUIETEST = 25  # percentile of the dark blocks' spread that is noise alone
_LEAST_NOISE = 1.5  # grey values: below it is JPEG's doing
_BRIGHTNESS = (1.6, 2.4)  # mean grey in units of the noise: unlit up to, lit from
_TEXTURE = (1.6, 2.4)  # spread of grey in units of the noise: bare up to, textured from


def lookup_tables(tables: Mapping[str, tuple[float, ...]]) -> dict[str, NDArray[np.uint8]]:
    """By condition, what a confidence of 0 to 255 is published as: (256,) uint8.

    ``tables`` are ``ModelMetadata.confidence``: shares of right labels at even steps of 0 to 1.
    """
    found = {}
    for condition, shares in tables.items():
        steps = np.linspace(0, 255, len(shares))
        level = np.interp(np.arange(256), steps, np.array(shares) * 255)
        found[condition] = np.rint(level).astype(np.uint8)
    return found


def calibrated(
    confidence: NDArray[np.uint8], condition: str, tables: Mapping[str, NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    """The share of labels (x 255) that are right at this ``confidence`` and in this light.

    As it is where ``tables`` (see ``lookup_tables``) say nothing of ``condition``.
    """
    table = tables.get(condition)
    if table is None:
        return confidence
    return cv2.LUT(np.ascontiguousarray(confidence), table).astype(np.uint8, copy=False)


def light_share(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How far each pixel of a picture, RGB or ``as_grey``, is lit: (H, W) float32, 0 to 1.

    0 where the surroundings are neither brighter nor more varied than the camera's noise, which is
    told by the evenest of the dark surroundings.
    """
    lit = _light_share(as_grey(image))
    return np.ones(image.shape[:2], dtype=np.float32) if lit is None else lit


def dimmed_in_the_dark(
    confidence: NDArray[np.uint8], image: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """``confidence`` (H, W) ``dimmed`` by the ``light_share`` of its picture, RGB or grey."""
    lit = _light_share(as_grey(image))
    return confidence if lit is None else dimmed(confidence, lit)


def _light_share(picture: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """``light_share`` of a grey picture (H, W); None where all of it is 1."""
    height, width = picture.shape
    grey = picture.astype(np.float32)
    blocks = (max(width // _BLOCK, 1), max(height // _BLOCK, 1))
    mean = cv2.resize(grey, blocks, interpolation=cv2.INTER_AREA)
    dark = mean < _DARK
    if np.count_nonzero(dark) < _FEWEST_DARK * dark.size:
        return None
    square = cv2.resize(grey * grey, blocks, interpolation=cv2.INTER_AREA)
    spread = np.sqrt(np.maximum(square - mean * mean, 0))
    noise = max(float(np.percentile(spread[dark], _QUIETEST)), _LEAST_NOISE)
    seen = np.maximum(_ramp(mean / noise, _BRIGHTNESS), _ramp(spread / noise, _TEXTURE))
    seen[~dark] = 1
    lit = cv2.resize(seen, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(lit, dtype=np.float32)


def dimmed(confidence: NDArray[np.uint8], lit: NDArray[np.float32]) -> NDArray[np.uint8]:
    """``confidence`` (H, W), down to ``UNLIT_FACTOR`` of it where ``lit`` (H, W) is 0."""
    level = np.float32(1 - UNLIT_FACTOR) * lit
    level += np.float32(UNLIT_FACTOR)
    level *= confidence
    # A half is rounded down: without light even full confidence falls below one half.
    level += np.float32(0.49)
    return level.astype(np.uint8)


def _ramp(value: NDArray[Any], ends: tuple[float, float]) -> NDArray[np.float32]:
    start, end = ends
    return np.asarray(np.clip((value - start) / (end - start), 0, 1), dtype=np.float32)
