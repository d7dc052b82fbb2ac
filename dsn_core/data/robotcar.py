"""Frames of one traversal of Oxford RobotCar, from the files as they are published."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.data.damaged import Damaged
from dsn_core.data.picture_file import read_picture
from dsn_core.data.robotcar_camera import (
    MODELS,
    CameraModel,
    demosaic,
    model_files,
    stamp_of,
    traversal_pictures,
)
from dsn_core.data.robotcar_poses import POSES, columns
from dsn_core.data.sequencer import Place, Sequencer, Track
from dsn_core.data.source import FrameSource, SourceFrame
from dsn_core.errors import ConfigError, require

__all__ = ['RobotCarSource']

ODOMETRY = {kind: POSES[kind] for kind in ('vo', 'ins')}

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RobotCarSource(FrameSource, kind='robotcar'):
    """One traversal, such as 2014-12-09-13-21-02: its pictures demosaiced and undistorted.

    Frames that teach nothing are left out: those of a standing car, overexposed ones and jumps
    of brightness.
    """

    path: Path
    """The traversal's folder, which holds stereo/left/*.png, vo/vo.csv and so on."""
    models: Path | None = None
    """Folder of the camera models (stereo_wide_left.txt, stereo_wide_left_distortion_lut.bin) of
    the dataset's development kit; None: ``models`` in the traversal's folder or beside it."""
    camera: str = 'stereo/left'
    """Folder of the pictures: stereo/left, stereo/centre, stereo/right, mono_left, mono_right or
    mono_rear."""
    model: str = ''
    """Name of the camera model; nothing: the development kit's for this camera (of stereo/left
    stereo_wide_left)."""
    rows: int = 0
    """Keep so many rows of the picture, from the top (768 of 960 leave out the bonnet); 0: all."""
    odometry: str = ''
    """Where the way is measured: vo (vo/vo.csv) or ins (gps/ins.csv); nothing: the first of them
    that is there, or unknown."""
    min_motion: float = 1e-3
    """Metres that the car must have moved since the frame before, where that is known."""
    max_brightness: float = 200.0
    """Mean of the raw picture, 0 to 255, above which it is overexposed."""
    max_brightness_jump: float = 30.0
    """Change of that mean from one picture to the next that is a jump: the picture is left out and
    a new sequence begins."""
    max_gap: float = 0.5
    """Seconds between two frames beyond which a new sequence begins."""

    def __post_init__(self) -> None:
        choices = ', '.join(MODELS)
        require(self.camera in MODELS, 'camera', f'one of {choices}', self.camera)
        require(self.rows >= 0, 'rows', 'zero or more', self.rows)
        known = ('', *ODOMETRY)
        require(self.odometry in known, 'odometry', 'vo, ins or nothing', self.odometry)
        require(self.min_motion >= 0, 'min_motion', 'zero or more', self.min_motion)
        for name in ('max_brightness', 'max_brightness_jump', 'max_gap'):
            require(getattr(self, name) > 0, name, 'above zero', getattr(self, name))

    def files(self) -> Sequence[Path]:
        odometry = self._odometry_file()
        beside = [odometry] if odometry else []
        return [*self._pictures, *self._model_files(), *beside]

    def frames(self, work: Path) -> Iterator[SourceFrame]:
        del work
        camera = CameraModel(*self._model_files())
        for file, raw, place in self._kept():
            image = camera.undistort(demosaic(raw, self.camera, file), file)
            yield SourceFrame(
                np.ascontiguousarray(image[: self.rows or None]),
                camera.intrinsics,
                place.sequence,
                stamp_of(file) * 1e-6,
                place.travelled,
            )

    def _kept(self) -> Iterator[tuple[Path, NDArray[Any], Place]]:
        """File, mosaic and place of the pictures that are of use."""
        track = self._track()
        sequencer = Sequencer(self.path.resolve().name, self.max_gap)
        brightness = float('nan')
        last: tuple[int, NDArray[np.float64]] | None = None
        damaged = Damaged(self.path, len(self._pictures))
        for file in self._pictures:
            raw = damaged.picture(file, partial(read_picture, file, cv2.IMREAD_UNCHANGED))
            if raw is None:
                sequencer.cut()
                continue
            last_brightness, brightness = brightness, float(raw.mean())
            if abs(brightness - last_brightness) > self.max_brightness_jump:  # not for nan
                sequencer.cut()
                continue
            if brightness > self.max_brightness:
                continue
            time = stamp_of(file) * 1e-6
            position = track.at(time) if track else None
            piece = track.breaks(time) if track else 0
            if position is not None:
                if last is not None and last[0] == piece:
                    moved = float(np.linalg.norm(position - last[1]))
                    if moved < self.min_motion:
                        continue
                last = piece, position
            yield file, raw, sequencer.place(time, position, piece)
        damaged.tell()

    def count(self) -> int:
        return len(self._pictures)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A traversal with pictures of one of the cameras."""
        cameras = (path / camera for camera in MODELS)
        return (
            (path / 'stereo.timestamps').is_file()
            or (path / 'mono_left.timestamps').is_file()
            or any(folder.is_dir() for folder in cameras)
        )

    @cached_property
    def _pictures(self) -> list[Path]:
        """The pictures, named by their time in microseconds, in that order."""
        return traversal_pictures(self.path, self.camera)

    def _model_files(self) -> tuple[Path, Path]:
        """Intrinsics and look-up table; raises ConfigError naming what is missing."""
        return model_files(self.path, self.models, self.model or MODELS[self.camera])

    def _odometry_file(self) -> Path | None:
        kinds = [self.odometry] if self.odometry else list(ODOMETRY)
        for file in (self.path / ODOMETRY[kind] for kind in kinds):
            if file.is_file():
                return file
        if self.odometry:
            raise ConfigError(
                f'odometry {self.odometry} needs {self.path / ODOMETRY[self.odometry]}, which is '
                'not there: extract it, or leave the field out'
            )
        _logger.warning(
            '%s has neither %s: how far the car came is not known',
            self.path,
            ' nor '.join(ODOMETRY.values()),
        )
        return None

    def _track(self) -> Track | None:
        file = self._odometry_file()
        if file is None:
            return None
        if file.name == 'vo.csv':
            return _track_of_vo(file)
        table = columns(file, ('timestamp', 'northing', 'easting', 'down'))
        return Track.through(table[:, 0] * 1e-6, table[:, 1:], self.max_gap)


def _track_of_vo(file: Path) -> Track:
    table = columns(file, ('source_timestamp', 'destination_timestamp', 'x', 'y', 'z'))
    lengths = np.linalg.norm(table[:, 2:], axis=1)
    return Track.of_steps(np.column_stack([table[:, :2] * 1e-6, lengths]))
