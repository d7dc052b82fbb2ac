"""Frames of recorded or simulated drives with their ground truth, as ``dsn simulate`` writes them.

A drive is a folder: ``drive.json``, ``image/NNNNNN.jpg``, ``depth/NNNNNN.png`` (uint16, metres x
256, 0 = sky or not measured) and ``labels/NNNNNN.png`` (uint8 class ids).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.errors import UserError

__all__ = ['DEPTH_UNITS', 'Drive', 'DriveError', 'DriveFrame', 'find_drives']

DEPTH_UNITS = 256.0  # stored value per metre


class DriveError(UserError):
    """A drive that is missing or cannot be read; the text names the file and the remedy."""


class DriveFrame(NamedTuple):
    """One frame: the picture and what is true of it."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB
    depth: NDArray[np.float32]  # (H, W) metres along the optical axis, 0 = sky or not measured
    labels: NDArray[np.uint8]  # (H, W) class ids, 255 = unlabelled


@dataclass(frozen=True)
class Drive:
    """One drive's folder and what ``drive.json`` says of it; focal lengths in pixels."""

    path: Path
    condition: str
    split: str
    width: int
    height: int
    fx: float
    fy: float
    frames: int

    @classmethod
    def open(cls, path: Path) -> 'Drive':
        """Read a drive's description; raises DriveError naming the file and the field."""
        file = path / 'drive.json'
        try:
            data = json.loads(file.read_text())
            camera = data['intrinsics']
            return cls(
                path=path,
                condition=str(data['condition']),
                split=str(data['split']),
                width=int(camera['width']),
                height=int(camera['height']),
                fx=float(camera['fx']),
                fy=float(camera['fy']),
                frames=len(list((path / 'image').glob('*.jpg'))),
            )
        except FileNotFoundError as error:
            raise DriveError(f'{path} is no drive: it has no drive.json') from error
        except (KeyError, TypeError, ValueError) as error:
            raise DriveError(f'{file}: {error!r}') from error

    def read(self, index: int) -> DriveFrame:
        """Frame ``index``; raises DriveError naming the file that cannot be read."""
        stem = f'{index:06d}'
        image = _read(self.path / 'image' / f'{stem}.jpg', cv2.IMREAD_COLOR)
        depth = _read(self.path / 'depth' / f'{stem}.png', cv2.IMREAD_UNCHANGED)
        labels = _read(self.path / 'labels' / f'{stem}.png', cv2.IMREAD_UNCHANGED)
        return DriveFrame(
            np.ascontiguousarray(image[..., ::-1]),
            depth.astype(np.float32) / np.float32(DEPTH_UNITS),
            labels.astype(np.uint8, copy=False),
        )


def _read(path: Path, flags: int) -> NDArray[np.generic]:
    picture = cv2.imread(str(path), flags)
    if picture is None:
        raise DriveError(f'{path} is missing or no picture')
    return picture


def find_drives(
    folders: Sequence[Path], split: str | None = None, condition: str | None = None
) -> list[Drive]:
    """All drives directly below ``folders``, in the order of their names.

    Raises DriveError where there is none, naming the folders and how to make some.
    """
    drives = [
        Drive.open(file.parent)
        for folder in folders
        for file in sorted(Path(folder).glob('*/drive.json'))
    ]
    chosen = [
        d
        for d in drives
        if (split is None or d.split == split)
        and (condition is None or d.condition == condition)
        and d.frames > 0
    ]
    if not chosen:
        where = ', '.join(map(str, folders))
        what = ' '.join(filter(None, (split, condition)))
        raise DriveError(f'no {what} drives below {where}: make some with dsn simulate')
    return chosen
