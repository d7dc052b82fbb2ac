"""Frames of drives that are there already."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dsn_core.data.damaged import Damaged
from dsn_core.data.drives import Drive, DriveError, find_drives
from dsn_core.data.sequencer import Sequencer
from dsn_core.data.source import FrameSource, SourceFrame
from dsn_core.errors import require
from dsn_core.simulation.options import CONDITIONS

__all__ = ['DrivesSource', 'drive_files', 'drive_frames']

SPLITS = ('train', 'validation', 'test')


@dataclass(frozen=True)
class DrivesSource(FrameSource, kind='drives'):
    """Folders as ``dsn simulate`` writes them."""

    path: Path
    """A folder of drives, or one drive."""
    condition: str = ''
    """Which of them: day, dusk or night; nothing: all."""
    split: str = 'train'
    """Which of them: train, validation or test; nothing: all."""
    limit: int = 0
    """So many drives at most, in the order of their names; 0: all."""

    def __post_init__(self) -> None:
        known = ('', *CONDITIONS)
        require(
            self.condition in known, 'condition', 'day, dusk, night or nothing', self.condition
        )
        known = ('', *SPLITS)
        require(self.split in known, 'split', 'train, validation, test or nothing', self.split)
        require(self.limit >= 0, 'limit', 'zero or more', self.limit)

    def drives(self, work: Path) -> list[Drive]:
        """The drives, which come with ground truth; ``work`` is not needed.

        Raises DriveError where there is none, naming the folder and what it is.
        """
        del work
        return self._drives()

    def files(self) -> Sequence[Path]:
        return drive_files(self._drives())

    def frames(self, work: Path) -> Iterator[SourceFrame]:
        yield from drive_frames(self.drives(work))

    def count(self) -> int:
        return sum(drive.frames for drive in self._drives())

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A drive, or a folder of drives."""
        return _is_drive(path) or any(path.glob('*/drive.json'))

    def _drives(self) -> list[Drive]:
        split, condition = self.split or None, self.condition or None
        if not _is_drive(self.path):
            drives = find_drives([self.path], split, condition)
            return drives[: self.limit or None]
        drive = Drive.open(self.path)
        if split not in (None, drive.split) or condition not in (None, drive.condition):
            raise DriveError(
                f'{self.path} is a {drive.split} drive by {drive.condition}: '
                f'set split={drive.split} and condition={drive.condition} to take it'
            )
        return [drive]


def drive_files(drives: Sequence[Drive]) -> list[Path]:
    """The files that decide what ``drive_frames`` yields."""
    files = []
    for drive in drives:
        files.append(drive.path / 'drive.json')
        if drive.poses_file.is_file():
            files.append(drive.poses_file)
        files.extend(drive.image_file(index) for index in range(drive.frames))
    return files


def drive_frames(drives: Sequence[Drive]) -> Iterator[SourceFrame]:
    """All frames of ``drives`` that can be read; each segment is a sequence.

    Raises UserError naming the drive of which too many cannot be.
    """
    for drive in drives:
        poses = drive.poses()
        sequencer = Sequencer(drive.path.name)
        damaged = Damaged(drive.path, drive.frames)
        for index in range(drive.frames):
            image = damaged.picture(drive.image_file(index), partial(drive.image, index))
            if image is None:
                sequencer.cut()
                continue
            time = index / drive.fps
            position = None if poses is None else poses[index, :, 3]
            segment = drive.segments[index] if drive.segments else 0
            place = sequencer.place(time, position, segment)
            yield SourceFrame(image, drive.intrinsics, place.sequence, time, place.travelled)
        damaged.tell()


def _is_drive(path: Path) -> bool:
    return (path / 'drive.json').is_file()
