"""What a teacher is: pictures in, pseudo-labels out. Nothing here needs torch."""

import abc
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dsn_core.choice import Choice

__all__ = ['DepthTeacher', 'LabelTeacher', 'Labeller', 'Labels', 'Ranger']


class Labels(NamedTuple):
    """Pseudo-labels of N pictures."""

    ids: NDArray[np.uint8]  # (N, H, W) Cityscapes train ids, 255 = unlabelled
    confidence: NDArray[np.uint8]  # (N, H, W) the teacher's probability of that class x 255


class Labeller(Protocol):
    """A segmentation teacher, loaded."""

    def __call__(self, images: NDArray[np.uint8], names: Sequence[str]) -> Labels:
        """Pictures (N, H, W, 3) RGB → their labels.

        ``names`` are the frames' names in the run folder, 'day/000012', for a teacher whose
        answers are files. Raises UserError naming the frame and the remedy.
        """


class LabelTeacher(Choice):
    """A segmentation teacher; the members are frozen dataclasses, their fields the config."""

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """Text that is another whenever the labels could be: the digest of weights or files."""

    @abc.abstractmethod
    def load(self, device: str) -> Labeller:
        """Load it; ``device`` as torch names them. Raises UserError naming file and remedy."""


class Ranger(Protocol):
    """A depth teacher, loaded."""

    def __call__(self, images: NDArray[np.uint8], names: Sequence[str]) -> NDArray[np.float32]:
        """Pictures (N, H, W, 3) RGB → inverse depth (N, H, W), finite, >= 0, in any unit.

        Its zero may lie anywhere if ``DepthTeacher.affine`` (relative disparity, then); else 0 is
        infinitely far. ``names`` as for ``Labeller``.
        """


class DepthTeacher(Choice):
    """A depth teacher by day; the members are frozen dataclasses, their fields the config."""

    affine: bool
    """Whether its inverse depth is known up to scale AND shift only (foundation models)."""

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """Text that is another whenever the depth could be: the digest of weights or files."""

    @abc.abstractmethod
    def load(self, device: str) -> Ranger:
        """Load it; ``device`` as torch names them. Raises UserError naming file and remedy."""
