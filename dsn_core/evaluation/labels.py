"""Intersection over union of label maps, summed over many pictures."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ['LabelScore']


class LabelScore:
    """Counts who was taken for whom; ``iou`` and ``mean_iou`` read it."""

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = tuple(class_names)
        n = len(self.class_names)
        self.confusion = np.zeros((n, n + 1), dtype=np.int64)  # [true, predicted]; last: none

    def add(self, ground_truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> None:
        """Count one picture, both (H, W) uint8 class ids.

        Pixels whose true id is no class (255) are left out; a predicted 255 is wrong.
        """
        if ground_truth.shape != prediction.shape:
            raise ValueError(
                f'label maps differ in size: {ground_truth.shape} and {prediction.shape}'
            )
        n = len(self.class_names)
        known = ground_truth < n
        truth = ground_truth[known].astype(np.int64)
        guess = np.minimum(prediction[known].astype(np.int64), n)
        self.confusion += np.bincount(truth * (n + 1) + guess, minlength=n * (n + 1)).reshape(
            n, n + 1
        )

    def iou(self) -> dict[str, float]:
        """Intersection over union of every class that occurs in the truth (0 to 1)."""
        n = len(self.class_names)
        hits = np.diagonal(self.confusion)
        true = self.confusion.sum(axis=1)
        union = true + self.confusion[:, :n].sum(axis=0) - hits
        return {
            name: float(hits[i] / union[i])
            for i, name in enumerate(self.class_names)
            if true[i] > 0
        }

    def mean_iou(self) -> float:
        """Mean over the classes that occur in the truth; NaN if nothing was counted."""
        values = list(self.iou().values())
        return float(np.mean(values)) if values else float('nan')
