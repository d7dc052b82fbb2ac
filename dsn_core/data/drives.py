"""Frames of recorded or simulated drives with their ground truth, as ``dsn simulate`` writes them.

A drive is a folder: ``drive.json``, ``image/NNNNNN.jpg``, ``depth/NNNNNN.png`` (uint16, metres x
256, 0 = sky or not measured) and ``labels/NNNNNN.png`` (uint8 class ids); ``poses.txt``, where
there is one, holds a camera-to-world matrix a frame (3 x 4, row by row, metres).
``instances/NNNNNN.png``, where there are any (uint16), tell things of one class apart.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.data.picture_file import read_picture
from dsn_core.errors import UserError

__all__ = ['DEPTH_UNITS', 'Drive', 'DriveError', 'DriveFrame', 'find_drives', 'read_poses']

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
    cx: float
    cy: float
    frames: int
    fps: float
    segments: tuple[int, ...]
    """Number of each frame's street; the drive jumps to another one. None: one street."""

    @classmethod
    def open(cls, path: Path) -> 'Drive':
        """Read a drive's description; raises DriveError naming the file and the field."""
        file = path / 'drive.json'
        try:
            data = json.loads(file.read_text())
            camera = data['intrinsics']
            width, height = int(camera['width']), int(camera['height'])
            frames = len(list((path / 'image').glob('*.jpg')))
            fps = float(data.get('fps', 10.0))
            if not fps > 0:
                raise ValueError(f'fps is {fps}')
            segments = tuple(int(s) for s in data.get('segments', ()))
            if segments and len(segments) < frames:
                raise ValueError(f'{len(segments)} segments for {frames} frames')
            return cls(
                path=path,
                condition=str(data['condition']),
                split=str(data['split']),
                width=width,
                height=height,
                fx=float(camera['fx']),
                fy=float(camera['fy']),
                cx=float(camera.get('cx', (width - 1) / 2)),
                cy=float(camera.get('cy', (height - 1) / 2)),
                frames=frames,
                fps=fps,
                segments=segments,
            )
        except FileNotFoundError as error:
            raise DriveError(f'{path} is no drive: it has no drive.json') from error
        except (KeyError, TypeError, ValueError) as error:
            raise DriveError(f'{file}: {error!r}') from error

    def read(self, index: int) -> DriveFrame:
        """Frame ``index``; raises DriveError naming the file that cannot be read."""
        stem = f'{index:06d}'
        depth = self._read(self.path / 'depth' / f'{stem}.png', cv2.IMREAD_UNCHANGED)
        labels = self._read(self.path / 'labels' / f'{stem}.png', cv2.IMREAD_UNCHANGED)
        return DriveFrame(
            self.image(index),
            depth.astype(np.float32) / np.float32(DEPTH_UNITS),
            labels.astype(np.uint8, copy=False),
        )

    def image(self, index: int) -> NDArray[np.uint8]:
        """The picture (H, W, 3) RGB alone; raises DriveError naming the file."""
        image = self._read(self.image_file(index), cv2.IMREAD_COLOR)
        return np.ascontiguousarray(image[..., ::-1]).astype(np.uint8, copy=False)

    def image_file(self, index: int) -> Path:
        """Where the picture of frame ``index`` is."""
        return self.path / 'image' / f'{index:06d}.jpg'

    def instances(self, index: int) -> NDArray[np.uint16]:
        """Ids (H, W) of frame ``index``: class * 1000 + number of things, the class of the rest.

        A thing keeps its number as long as the street (``segments``) does. Raises DriveError
        naming the file that is missing, as in drives drawn before there were instances.
        """
        path = self.path / 'instances' / f'{index:06d}.png'
        return self._read(path, cv2.IMREAD_UNCHANGED).astype(np.uint16, copy=False)

    @property
    def poses_file(self) -> Path:
        """Where the poses are, if the drive has any."""
        return self.path / 'poses.txt'

    def poses(self) -> NDArray[np.float64] | None:
        """(frames, 3, 4) camera to world, metres; None if the drive has none.

        Raises DriveError naming the file if it is damaged.
        """
        if not self.poses_file.is_file():
            return None
        return read_poses(self.poses_file, self.frames)

    @property
    def intrinsics(self) -> NDArray[np.float64]:
        """K (3, 3), pixels."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])

    def _read(self, path: Path, flags: int) -> NDArray[Any]:
        try:
            picture = read_picture(path, flags)
        except UserError as error:
            raise DriveError(str(error)) from error
        if picture.shape[:2] != (self.height, self.width):
            raise DriveError(
                f'{path} is {picture.shape[1]}x{picture.shape[0]}, but drive.json says '
                f'{self.width}x{self.height}: copy it again'
            )
        return picture


def read_poses(file: Path, frames: int | None = None) -> NDArray[np.float64]:
    """Poses (N, 3, 4) in a text file of 12 numbers a row, as KITTI's odometry has them.

    Raises DriveError naming the file that is missing, damaged or not of N = ``frames`` rows.
    """
    try:
        rows = np.loadtxt(file, dtype=np.float64, ndmin=2)
    except (OSError, ValueError) as error:
        raise DriveError(f'poses {file} cannot be read: {error}') from error
    if rows.shape[1] != 12 or not np.isfinite(rows).all():
        raise DriveError(f'{file} must hold 12 numbers a row, camera to world (3 x 4), metres')
    if frames is not None and len(rows) != frames:
        raise DriveError(f'{file} has {len(rows)} rows for {frames} frames: it must have as many')
    return rows.reshape(-1, 3, 4)


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
