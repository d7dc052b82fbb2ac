"""Fits what ``dsn_ros.lighting`` decides by: ``python3 -m dsn_ros.lighting_fit DRIVES...``.

On the training towns of simulated drives (``dsn simulate``); prints the model to put into the
code, and how often it is right in towns that it was not fitted on.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsn_core.data.drives import find_drives
from dsn_ros.lighting import CONDITIONS, FEATURES, LightingModel, lighting_features

__all__ = ['Samples', 'confusion', 'fit', 'read_samples']

_GAMMA = 2.2
_STOPS = 0.5  # standard deviation of the exposures that pictures are shown at, in f-stops
_EXPOSURES = 3
_PRIOR = (2.0, 1.0, 2.0)  # dusk is short: a picture that may be either is rather day or night
_RIDGE = 1e-3
_STEPS = 30


class Samples(NamedTuple):
    """Pictures' features (N, 5), and which of CONDITIONS each was taken at (N,)."""

    features: NDArray[np.float64]
    truth: NDArray[np.int64]


def read_samples(
    folders: Sequence[Path], split: str, rng: np.random.Generator | None = None
) -> Samples:
    """All frames of a split's drives; with ``rng`` at random exposures besides their own."""
    features, truth = [], []
    for drive in find_drives(folders, split):
        for index in range(drive.frames):
            image = drive.image(index)
            shown = [image]
            if rng is not None:
                shown += [_exposed(image, stops) for stops in rng.normal(0, _STOPS, _EXPOSURES)]
            features += [lighting_features(each) for each in shown]
            truth += [CONDITIONS.index(drive.condition)] * len(shown)
    return Samples(np.array(features), np.array(truth, dtype=np.int64))


def _exposed(image: NDArray[np.uint8], stops: float) -> NDArray[np.uint8]:
    levels = np.clip(np.arange(256) * 2.0 ** (stops / _GAMMA) + 0.5, 0, 255)
    return np.take(levels.astype(np.uint8), image)


def fit(samples: Samples) -> LightingModel:
    """Fit by iteratively reweighted least squares, a binary question for each of the two limits.

    Every condition counts by ``_PRIOR``, however many pictures there are of it.
    """
    features, truth = samples
    mean, spread = features.mean(axis=0), features.std(axis=0)
    standard = (features - mean) / spread
    counts = np.bincount(truth, minlength=len(CONDITIONS))
    weight = np.tile((np.array(_PRIOR) / counts)[truth], 2)
    weight /= weight.sum()
    answers = np.concatenate([truth >= 1, truth >= 2]).astype(np.float64)
    asked = np.repeat(np.eye(2), len(truth), axis=0)
    x = np.hstack([np.vstack([standard, standard]), -asked])
    ridge = _RIDGE * np.diag([1.0] * len(FEATURES) + [0.0, 0.0])
    theta = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ theta, -50, 50)))
        slope = x.T @ (weight * (p - answers)) + ridge @ theta
        bend = (x * (weight * p * (1 - p))[:, None]).T @ x + ridge
        theta = theta - np.linalg.solve(bend, slope)
    weights = theta[: len(FEATURES)] / spread
    limits = theta[len(FEATURES) :] + weights @ mean
    a, b, c, d, e = (float(each) for each in weights.round(3))
    day, dusk = (float(each) for each in limits.round(3))
    return LightingModel((a, b, c, d, e), (day, dusk))


def confusion(model: LightingModel, samples: Samples) -> NDArray[np.int64]:
    """(3, 3) pictures by what they are (rows) and what the model says (columns)."""
    darker = model.darker(samples.features)
    shares = np.stack([1 - darker[:, 0], darker[:, 0] - darker[:, 1], darker[:, 1]], axis=1)
    table = np.zeros((len(CONDITIONS), len(CONDITIONS)), dtype=np.int64)
    np.add.at(table, (samples.truth, shares.argmax(axis=1)), 1)
    return table


def main() -> None:
    """Fit on the training towns below the folders that the command names, and print."""
    folders = [Path(each) for each in sys.argv[1:]]
    model = fit(read_samples(folders, 'train', np.random.default_rng(0)))
    sys.stdout.write(f'MODEL = {model}\n')
    for split in ('train', 'validation', 'test'):
        table = confusion(model, read_samples(folders, split))
        sys.stdout.write(
            f'{split}: rows are {", ".join(CONDITIONS)}, columns what is seen\n{table}\n'
        )


if __name__ == '__main__':
    main()
