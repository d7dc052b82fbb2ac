"""Depth errors as the field reports them (Eigen et al. 2014; the paper's Tables 1, 2 and 5)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ['DepthErrors', 'depth_errors']


class DepthErrors(NamedTuple):
    """Errors over one picture: relative ones, metres, and shares of pixels within a ratio."""

    abs_rel: float
    sq_rel: float
    rmse: float
    rmse_log: float
    a1: float
    a2: float
    a3: float

    @classmethod
    def mean(cls, errors: Sequence['DepthErrors']) -> 'DepthErrors':
        """Each figure's mean over pictures, as the field reports it."""
        return cls(*(float(value) for value in np.mean(np.array(errors), axis=0)))


def depth_errors(
    ground_truth: NDArray[np.floating],
    prediction: NDArray[np.floating],
    cap: float = 80.0,
    min_depth: float = 1e-3,
    median_scaling: bool = True,
) -> DepthErrors:
    """Compare a predicted depth map with a measured one of the same scene.

    ``ground_truth`` (H, W) metres: pixels that are not finite or not between ``min_depth`` and
    ``cap`` are not measured and left out. ``prediction`` (h, w), any size: resized to (H, W)
    linearly, multiplied by the ratio of medians if ``median_scaling`` (monocular networks are
    trained up to scale), then clamped to [min_depth, cap]. A predicted +inf (sky) counts as the
    cap; NaN predictions are left out.

    Raises ValueError where no pixel is left to compare.
    """
    truth = np.asarray(ground_truth, dtype=np.float64)
    guess: NDArray[Any] = np.asarray(prediction, dtype=np.float64)
    if truth.ndim != 2 or guess.ndim != 2:
        raise ValueError(f'depth maps must be (H, W), got {truth.shape} and {guess.shape}')
    if guess.shape != truth.shape:
        # Linear interpolation would smear the infinite sky over its border.
        guess = np.where(np.isposinf(guess), cap, guess)
        size = (truth.shape[1], truth.shape[0])
        guess = cv2.resize(guess, size, interpolation=cv2.INTER_LINEAR)
    valid = np.isfinite(truth) & (truth > min_depth) & (truth < cap) & ~np.isnan(guess)
    if not valid.any():
        raise ValueError('no pixel has both a measured depth within the range and a prediction')
    truth, guess = truth[valid], guess[valid]
    if median_scaling:
        guess = guess * (np.median(truth) / np.median(guess))
    guess = np.clip(guess, min_depth, cap)
    ratio = np.maximum(truth / guess, guess / truth)
    return DepthErrors(
        abs_rel=float(np.mean(np.abs(truth - guess) / truth)),
        sq_rel=float(np.mean((truth - guess) ** 2 / truth)),
        rmse=float(np.sqrt(np.mean((truth - guess) ** 2))),
        rmse_log=float(np.sqrt(np.mean((np.log(truth) - np.log(guess)) ** 2))),
        a1=float(np.mean(ratio < 1.25)),
        a2=float(np.mean(ratio < 1.25**2)),
        a3=float(np.mean(ratio < 1.25**3)),
    )
