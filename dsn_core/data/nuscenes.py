"""Frames of nuScenes, from the tables as they are published."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsn_core.data.damaged import Damaged
from dsn_core.data.nuscenes_tables import (
    CONDITIONS,
    TABLES,
    NuScenesTables,
    check_fields,
    condition_of,
)
from dsn_core.data.picture_file import read_picture, to_rgb
from dsn_core.data.sequencer import Sequencer
from dsn_core.data.source import FrameSource, SourceFrame
from dsn_core.errors import UserError, require

__all__ = ['NuScenesSource', 'condition_of']


@dataclass(frozen=True)
class NuScenesSource(FrameSource, kind='nuscenes'):
    """nuScenes as it is extracted: PATH/v1.0-trainval/*.json, PATH/samples, PATH/sweeps.

    Pictures come undistorted, with the intrinsics of their own drive. The way is the camera's,
    from the poses of the car.
    """

    path: Path
    """The folder that holds the version's folder, samples and sweeps."""
    version: str = 'v1.0-trainval'
    """Folder of the tables: v1.0-trainval, v1.0-mini or v1.0-test."""
    camera: str = 'CAM_FRONT'
    """Channel of the camera."""
    condition: str = ''
    """Scenes whose description says so: day-clear (neither night nor rain) or night; nothing:
    all."""
    split: str = 'train'
    """Scenes of the official split: train or val; nothing: all."""
    sweeps: bool = True
    """Take the pictures between the key frames as well (12 a second instead of 2)."""
    max_gap: float = 0.6
    """Seconds between two pictures beyond which a new sequence begins. Key frames are 0.5 s
    apart."""

    def __post_init__(self) -> None:
        known = ('', *CONDITIONS)
        require(
            self.condition in known, 'condition', 'day-clear, night or nothing', self.condition
        )
        check_fields(self.version, self.split, self.camera)
        require(self.max_gap > 0, 'max_gap', 'above zero', self.max_gap)

    def files(self) -> Sequence[Path]:
        pictures = [self.path / row.file for row in self._rows]
        missing = [p for p in pictures if not p.is_file()]
        if missing:
            remedy = (
                'extract the camera blobs there, or set sweeps=false'
                if missing[0].is_relative_to(self.path / 'sweeps')
                else 'extract the camera blobs there'
            )
            raise UserError(
                f'{len(missing)} of {len(pictures)} pictures that {self.version} lists are '
                f'missing, the first {missing[0]}: {remedy}'
            )
        tables = NuScenesTables(self.path, self.version)
        return [*(tables.file(name) for name in TABLES), *pictures]

    def frames(self, work: Path) -> Iterator[SourceFrame]:
        del work
        scene = ''
        damaged = Damaged(self.path, len(self._rows))
        for row in self._rows:
            if row.scene != scene:
                scene = row.scene
                sequencer = Sequencer(scene, self.max_gap)
            file = self.path / row.file
            bgr = damaged.picture(file, partial(read_picture, file))
            if bgr is None:
                sequencer.cut()
                continue
            place = sequencer.place(row.time, row.position)
            yield SourceFrame(
                to_rgb(bgr), row.intrinsics, place.sequence, row.time, place.travelled
            )
        damaged.tell()

    def count(self) -> int:
        return len(self._rows)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A folder with the tables of some version in it."""
        return any(path.glob('v1.0-*/sample_data.json'))

    @cached_property
    def _rows(self) -> list['_Row']:
        """The pictures, scene by scene, in the order of time."""
        tables = NuScenesTables(self.path, self.version)
        with tables.as_published():
            return self._join(tables)

    def _join(self, tables: NuScenesTables) -> list['_Row']:
        scenes = tables.scenes(self.split, [self.condition] if self.condition else [])
        scene_of = {
            row['token']: scenes[row['scene_token']].name
            for row in tables.records('sample')
            if row['scene_token'] in scenes
        }
        mounts = tables.mounts(self.camera)
        taken = [
            row
            for row in tables.records('sample_data')
            if row['calibrated_sensor_token'] in mounts
            and row['sample_token'] in scene_of
            and (self.sweeps or row['is_key_frame'])
        ]
        poses = tables.car_poses({row['ego_pose_token'] for row in taken})
        rows = []
        for row in taken:
            mount = mounts[row['calibrated_sensor_token']]
            rows.append(
                _Row(
                    scene=scene_of[row['sample_token']],
                    time=row['timestamp'] * 1e-6,
                    file=str(row['filename']),
                    intrinsics=mount.intrinsics,
                    position=(poses[row['ego_pose_token']] @ mount.to_car)[:3, 3],
                )
            )
        return sorted(rows, key=lambda r: (r.scene, r.time))


@dataclass(frozen=True)
class _Row:
    """One picture."""

    scene: str
    time: float  # seconds
    file: str  # relative to the dataset
    intrinsics: NDArray[np.float64]  # (3, 3)
    position: NDArray[np.float64]  # (3,) of the camera in the world, metres
