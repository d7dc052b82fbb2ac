"""Pictures with what is true of them: what the rows of the tables are scored on."""

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dsn_core.choice import Choice
from dsn_core.data.drive_source import DrivesSource, drive_files
from dsn_core.data.drives import Drive
from dsn_core.data.simulation_source import SimulationSource
from dsn_core.data.source import FrameSource
from dsn_core.digest import content_digest
from dsn_core.errors import ConfigError, require

__all__ = ['DrivesSet', 'EvaluationSample', 'EvaluationSet']


@dataclass(frozen=True)
class EvaluationSample:
    """One picture, rectified, and what is true of it."""

    name: str
    """Where a folder of predictions has those for it: NAME.depth.npy and the like."""
    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    intrinsics: NDArray[np.float64]
    """(3, 3) pixels of ``image``."""
    depth: NDArray[np.float32]
    """(H, W) metres along the optical axis, 0 = not measured; all 0: no depth is known."""
    labels: NDArray[np.uint8]
    """(H, W) Cityscapes train ids, 255 = none; all 255: no label is known."""
    condition: str
    """The light: day, dusk, night, or a name of the data set's own such as day-clear."""
    sequence: str
    """Samples of one sequence that follow each other are neighbours in time."""
    pose: NDArray[np.float64] | None
    """(3, 4) camera to world, metres; None: not known."""


class EvaluationSet(Choice):
    """Samples of one data set; the members are frozen dataclasses, their fields configuration."""

    name: str
    tables: ClassVar[tuple[int, ...]] = (1, 2, 3)
    """The paper's tables that its rows appear in."""

    @abc.abstractmethod
    def samples(self, work: Path) -> Iterator[EvaluationSample]:
        """All samples, sequence by sequence in the order of time; the same ones every time.

        ``work`` is a folder (maybe not there yet) that a set which has to make its samples first
        may keep them in. Raises UserError naming what cannot be used, and the remedy.
        """

    @abc.abstractmethod
    def count(self, work: Path) -> int:
        """How many samples there are."""

    @abc.abstractmethod
    def fingerprint(self, work: Path) -> str:
        """The same for the same samples, wherever they lie; another one for any others."""

    @classmethod
    def parse(cls, text: str) -> dict[str, object]:
        """A path alone: the drives of the test split there."""
        if any(Path(text).glob('**/drive.json')):
            return {'kind': 'drives', 'source': {'kind': 'drives', 'path': text, 'split': 'test'}}
        raise ConfigError(
            f'is {text!r}, and there are no drives: give kind, one of {", ".join(cls.kinds)}'
        )


@dataclass(frozen=True)
class DrivesSet(EvaluationSet, kind='drives'):
    """Drives of dsn simulate, or drawn when they are needed: dense depth, labels, poses."""

    source: FrameSource
    """Which: of kind drives (a folder) or simulation. Set its split: test for a result."""
    name: str = 'drives'
    """What the tables call it."""

    def __post_init__(self) -> None:
        require(bool(self.name), 'name', 'a name', self.name)
        require(
            isinstance(self.source, (DrivesSource, SimulationSource)),
            'source.kind',
            'drives or simulation, which come with ground truth',
            self.source.kind,
        )

    def samples(self, work: Path) -> Iterator[EvaluationSample]:
        for drive in self.drives(work):
            poses = drive.poses()
            for index in range(drive.frames):
                frame = drive.read(index)
                yield EvaluationSample(
                    name=f'{drive.path.name}/{index:06d}',
                    image=frame.image,
                    intrinsics=drive.intrinsics,
                    depth=frame.depth,
                    labels=frame.labels,
                    condition=drive.condition,
                    sequence=f'{drive.path.name}/{drive.segments[index] if drive.segments else 0}',
                    pose=None if poses is None else poses[index],
                )

    def count(self, work: Path) -> int:
        return sum(drive.frames for drive in self.drives(work))

    def fingerprint(self, work: Path) -> str:
        return content_digest((drive.path.name, _files(drive)) for drive in self.drives(work))

    def drives(self, work: Path) -> Sequence[Drive]:
        """The drives; those of a simulation that ``work`` lacks are drawn first."""
        assert isinstance(self.source, (DrivesSource, SimulationSource))
        return self.source.drives(work)


def _files(drive: Drive) -> list[Path]:
    truth = [
        drive.path / kind / f'{index:06d}.png'
        for kind in ('depth', 'labels')
        for index in range(drive.frames)
    ]
    return [*drive_files([drive]), *(file for file in truth if file.is_file())]
