"""Frames of a simulated street, drawn when they are first needed."""

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dsn_core.data.drive_source import SPLITS, drive_frames
from dsn_core.data.drives import Drive
from dsn_core.data.source import FrameSource, SourceFrame
from dsn_core.errors import ConfigError, require
from dsn_core.simulation import (
    CONDITIONS,
    FORMAT_VERSION,
    SimulationError,
    SimulationOptions,
    drive_name,
    simulate,
    split_of,
)

__all__ = ['SimulationSource']

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SimulationSource(FrameSource, kind='simulation'):
    """Drives through simulated towns; needs MuJoCo until they are drawn."""

    towns: int
    """How many towns, one drive each (and condition)."""
    first_seed: int = 0
    """The first town that may be taken; the next ones of the split follow."""
    split: str = 'train'
    """Which towns: train (seeds that end in 0 to 7), validation (8) or test (9)."""
    condition: str = 'day'
    """day, dusk or night; nothing: each town in all three."""
    frames_per_drive: int = 24
    """Frames of a drive."""
    fps: float = 10.0
    """Frames per simulated second."""
    height: int = 320
    """Rows of the pictures, pixels."""
    width: int = 576
    """Columns of the pictures, pixels."""
    narrow: float = 0.0
    """Share of the streets that are narrow, 0 to 1."""
    workers: int = 1
    """Processes that draw."""

    def __post_init__(self) -> None:
        require(self.towns >= 1, 'towns', 'one or more', self.towns)
        require(self.first_seed >= 0, 'first_seed', 'zero or more', self.first_seed)
        require(self.split in SPLITS, 'split', 'train, validation or test', self.split)
        known = ('', *CONDITIONS)
        require(
            self.condition in known, 'condition', 'day, dusk, night or nothing', self.condition
        )
        require(
            self.frames_per_drive >= 1, 'frames_per_drive', 'one or more', self.frames_per_drive
        )
        require(self.workers >= 1, 'workers', 'one or more', self.workers)
        try:
            self._options()
        except SimulationError as error:
            raise ConfigError(str(error).removeprefix('simulation option ')) from error

    def seeds(self) -> list[int]:
        """The towns: the first of the split from ``first_seed`` on."""
        fitting = (s for s in itertools.count(self.first_seed) if split_of(s) == self.split)
        return list(itertools.islice(fitting, self.towns))

    def drives(self, work: Path) -> list[Drive]:
        """The drives, which come with ground truth; those that ``work`` lacks are drawn first.

        Raises SimulationError where MuJoCo is missing or cannot draw.
        """
        # What decides the pictures besides seed and condition is in the folder's name.
        size = f'{self.width}x{self.height}'
        narrow = f'_narrow{self.narrow:g}' if self.narrow else ''
        name = f'{size}_{self.fps:g}fps_{self.frames_per_drive}{narrow}_v{FORMAT_VERSION}'
        folder = work / name
        conditions = [self.condition] if self.condition else list(CONDITIONS)
        names = [drive_name(s, c) for s in self.seeds() for c in conditions]
        missing = [n for n in names if not (folder / n / 'drive.json').is_file()]
        if missing:
            _logger.info('drawing %d of %d drives into %s', len(missing), len(names), folder)
            simulate(
                folder,
                self.seeds(),
                conditions,
                self.frames_per_drive,
                self._options(),
                self.workers,
                lambda done, of: _logger.info('%d of %d drives are drawn', done, of),
            )
        return [Drive.open(folder / name) for name in names]

    def files(self) -> Sequence[Path]:
        """None: the fields say it all."""
        return ()

    def frames(self, work: Path) -> Iterator[SourceFrame]:
        yield from drive_frames(self.drives(work))

    def count(self) -> int:
        return self.towns * (1 if self.condition else len(CONDITIONS)) * self.frames_per_drive

    def _options(self) -> SimulationOptions:
        return SimulationOptions(
            height=self.height, width=self.width, fps=self.fps, narrow=self.narrow
        )
