"""Where the frames of one camera come from: a bag, a folder, a data set, a simulated street."""

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsn_core.choice import Choice
from dsn_core.errors import ConfigError

__all__ = ['FrameSource', 'SourceFrame']


@dataclass(frozen=True)
class SourceFrame:
    """One picture of a source, rectified."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB, of any size, without lens distortion."""
    intrinsics: NDArray[np.float64]
    """(3, 3) pixels of ``image``; pixel (0, 0) is the centre of the first pixel."""
    sequence: str
    """Frames of one sequence that follow each other are neighbours in time; a cut, a dropout or a
    jump begins a new one."""
    time: float
    """Seconds, rising within a sequence."""
    travelled: float = float('nan')
    """Metres along the camera's way since its sequence began, or nan: not known."""


class FrameSource(Choice):
    """Frames of one camera; the members are frozen dataclasses, their fields the configuration."""

    @abc.abstractmethod
    def files(self) -> Sequence[Path]:
        """All files whose content decides what ``frames`` yields; none if the fields alone do.

        Raises UserError naming what is missing, where it was looked for, and the remedy.
        """

    @abc.abstractmethod
    def frames(self, work: Path) -> Iterator[SourceFrame]:
        """All frames, sequence by sequence, in the order of time; the same ones every time.

        ``work`` is a folder (maybe not there yet) that a source which has to make its frames
        first may keep them in; it is kept as long as the frames are. Raises UserError naming what
        cannot be used, and the remedy.
        """

    @abc.abstractmethod
    def count(self) -> int:
        """About how many frames there are, for showing progress; 0 if nobody knows."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether ``path`` is plainly of this kind; must be quick and must not raise."""
        return False

    @classmethod
    def parse(cls, text: str) -> dict[str, object]:
        """A path alone: the kind that recognises it."""
        for kind, member in FrameSource.kinds.items():
            assert issubclass(member, FrameSource)
            if member.recognises(Path(text)):
                return {'kind': kind, 'path': text}
        if not Path(text).exists():
            raise ConfigError(f'is {text!r}, which is not there: check the path')
        raise ConfigError(
            f'is {text!r}, and that is no bag, no folder of drives or pictures and no known data '
            f'set: give kind and path, kind being one of {", ".join(FrameSource.kinds)}'
        )
