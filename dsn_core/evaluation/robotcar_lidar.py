"""Scans of Oxford RobotCar's LMS-front, put together along the car's way.

A scan is lms_front/TIME.bin: 541 triples of float64, x and y in the scan's plane (metres) and the
reflectance. The development kit's sample code interpolates poses with a rounded fraction, that is
not at all; here they are interpolated.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsn_core.data.poses import PoseTrack, inverse
from dsn_core.data.robotcar_camera import MODELS, CameraModel, find_kit_files, model_files
from dsn_core.data.robotcar_poses import POSES, read_extrinsics, vehicle_track
from dsn_core.errors import ConfigError, UserError
from dsn_core.evaluation.lidar_depth import moved, read_points

__all__ = ['FrontLidar']

FOLDER = 'lms_front'
NEAREST = 0.5  # metres from the sensor: the LMS-151 measures from there on; no echo is at 0


class FrontLidar:
    """The points about a picture, in its camera's optical axes.

    ``seconds``: before and after a picture, whose scans are taken. ``models``, ``extrinsics``:
    folders of the development kit, None: in or beside the traversal. Raises UserError naming what
    is missing or damaged, and the remedy.
    """

    def __init__(
        self,
        traversal: Path,
        camera: str,
        poses: str,
        seconds: float,
        models: Path | None,
        extrinsics: Path | None,
    ) -> None:
        self._folder = traversal / FOLDER
        self._reach = round(seconds * 1e6)
        self._stamps = _scan_times(self._folder)
        self._way = traversal / POSES[poses]
        if not self._way.is_file():
            raise ConfigError(
                f'poses {poses} needs {self._way}, which is not there: extract it, or choose '
                f'another of {", ".join(POSES)}'
            )
        # One file for the three lenses of the stereo camera; the model says which of them.
        names = [f'{n}.txt' for n in (camera.partition('/')[0], FOLDER, 'ins')]
        self._placed = find_kit_files(traversal, extrinsics, 'extrinsics', names, 'extrinsics')
        to_camera, from_scan, unit = (read_extrinsics(file) for file in self._placed)
        model = CameraModel(*model_files(traversal, models, MODELS[camera]))
        self._to_optical = model.to_optical() @ to_camera
        self._from_scan = from_scan
        self._track: PoseTrack = vehicle_track(self._way, unit)

    def measures(self, stamp: int) -> bool:
        """Whether any scan is near ``stamp`` (microseconds) and joined to it by the way."""
        return bool(self._near(stamp).size)

    def points(self, stamp: int) -> NDArray[np.float64]:
        """(N, 3) metres, optical axes of the camera at ``stamp``: x right, y down, z forward."""
        near = self._near(stamp)
        to_camera = inverse(self.camera_pose(stamp))
        clouds = [np.zeros((0, 3))]
        for scan, pose in zip(near, self._track.at(near), strict=True):
            flat = read_points(self._file(scan), '<f8', 3)
            flat = flat[np.hypot(flat[:, 0], flat[:, 1]) >= NEAREST]
            flat = np.column_stack([flat[:, :2], np.zeros(len(flat))])
            clouds.append(moved(flat, to_camera @ pose @ self._from_scan))
        return np.concatenate(clouds)

    def camera_pose(self, stamp: int) -> NDArray[np.float64]:
        """(4, 4) the camera's optical axes to the frame of the piece of the way."""
        return np.asarray(self._track.at([stamp])[0] @ inverse(self._to_optical))

    def piece(self, stamp: int) -> int:
        """The piece of the way that ``stamp`` is on; poses of different ones do not compare."""
        return int(self._track.piece([stamp])[0])

    def files(self, stamps: Sequence[int]) -> list[Path]:
        """All that decides the points at ``stamps``."""
        scans = {int(scan) for stamp in stamps for scan in self._near(stamp)}
        return [*self._placed, self._way, *(self._file(scan) for scan in sorted(scans))]

    def _near(self, stamp: int) -> NDArray[np.int64]:
        """Times of the scans near ``stamp`` on the same piece of the way."""
        piece = self.piece(stamp)
        low = np.searchsorted(self._stamps, stamp - self._reach)
        high = np.searchsorted(self._stamps, stamp + self._reach, side='right')
        near = self._stamps[low:high]
        return np.asarray(near[(self._track.piece(near) == piece) & (piece >= 0)])

    def _file(self, stamp: int) -> Path:
        return self._folder / f'{stamp}.bin'


def _scan_times(folder: Path) -> NDArray[np.int64]:
    """Times (N,) of the scans in ``folder``, microseconds, rising."""
    stems = []
    if folder.is_dir():
        with os.scandir(folder) as entries:
            stems = [e.name[:-4] for e in entries if e.name.endswith('.bin')]
    stamps = sorted(int(stem) for stem in stems if stem.isdecimal())
    if not stamps:
        raise UserError(
            f'{folder} holds no scans: a traversal is laid out as '
            '2014-12-09-13-21-02/lms_front/1418132504537582.bin; extract LMS-front there'
        )
    return np.array(stamps, dtype=np.int64)
