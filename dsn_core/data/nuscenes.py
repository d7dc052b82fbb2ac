"""Frames of nuScenes, from the tables as they are published."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_core.data.json_records import json_records
from dsn_core.data.nuscenes_splits import VALIDATION_SCENES
from dsn_core.data.picture_file import read_picture, to_rgb
from dsn_core.data.sequencer import Sequencer
from dsn_core.data.source import FrameSource, SourceFrame
from dsn_core.errors import ConfigError, UserError, require

__all__ = ['NuScenesSource', 'condition_of']

CONDITIONS = ('', 'day-clear', 'night')
TABLES = ('scene', 'sample', 'sensor', 'calibrated_sensor', 'sample_data', 'ego_pose')


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
        condition, split = self.condition, self.split
        require(condition in CONDITIONS, 'condition', 'day-clear, night or nothing', condition)
        require(split in ('', 'train', 'val'), 'split', 'train, val or nothing', split)
        in_a_split = not split or 'test' not in self.version
        require(in_a_split, 'split', "'' for v1.0-test, which is neither train nor val", split)
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
        return [*(self._table(name) for name in TABLES), *pictures]

    def frames(self, work: Path) -> Iterator[SourceFrame]:
        del work
        scene = ''
        for row in self._rows:
            if row.scene != scene:
                scene = row.scene
                sequencer = Sequencer(scene, self.max_gap)
            place = sequencer.place(row.time, row.position)
            image = to_rgb(read_picture(self.path / row.file))
            yield SourceFrame(image, row.intrinsics, place.sequence, row.time, place.travelled)

    def count(self) -> int:
        return len(self._rows)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A folder with the tables of some version in it."""
        return any(path.glob('v1.0-*/sample_data.json'))

    def _table(self, name: str) -> Path:
        file = self.path / self.version / f'{name}.json'
        if not file.is_file():
            there = ', '.join(sorted(f.parent.name for f in self.path.glob('v1.0-*/scene.json')))
            raise UserError(
                f'{file} is missing: nuScenes is laid out as PATH/VERSION/*.json beside '
                f'PATH/samples and PATH/sweeps; below {self.path} '
                f'{f"are the versions {there}" if there else "is no version"}: '
                'check path and version'
            )
        return file

    @cached_property
    def _rows(self) -> list['_Row']:
        """The pictures, scene by scene, in the order of time."""
        try:
            return self._join()
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f'the tables in {self.path / self.version} are not as published '
                f'({error!r}): extract them again'
            ) from error

    def _join(self) -> list['_Row']:
        for name in TABLES:  # before the large ones are read
            self._table(name)
        scenes = self._scenes()
        scene_of = {
            row['token']: scenes[row['scene_token']]
            for row in json_records(self._table('sample'))
            if row['scene_token'] in scenes
        }
        mounts = self._mounts()
        taken = [
            row
            for row in json_records(self._table('sample_data'))
            if row['calibrated_sensor_token'] in mounts
            and row['sample_token'] in scene_of
            and (self.sweeps or row['is_key_frame'])
        ]
        wanted = {row['ego_pose_token'] for row in taken}
        poses = {
            row['token']: (np.array(row['translation']), np.array(row['rotation']))
            for row in json_records(self._table('ego_pose'))
            if row['token'] in wanted
        }
        rows = []
        for row in taken:
            intrinsics, mount = mounts[row['calibrated_sensor_token']]
            translation, rotation = poses[row['ego_pose_token']]
            rows.append(
                _Row(
                    scene=scene_of[row['sample_token']],
                    time=row['timestamp'] * 1e-6,
                    file=str(row['filename']),
                    intrinsics=intrinsics,
                    position=translation + _rotate(rotation, mount),
                )
            )
        return sorted(rows, key=lambda r: (r.scene, r.time))

    def _scenes(self) -> dict[str, str]:
        """Token → name of the scenes that were asked for."""
        rows = list(json_records(self._table('scene')))
        chosen = {
            row['token']: str(row['name'])
            for row in rows
            if self.split in ('', 'val' if row['name'] in VALIDATION_SCENES else 'train')
            and self.condition in ('', condition_of(row['description']))
        }
        if not chosen:
            what = ' '.join(filter(None, (self.split, self.condition)))
            raise ConfigError(
                f'none of the {len(rows)} scenes of {self.path / self.version} is {what}: '
                'choose another split or condition'
            )
        return chosen

    def _mounts(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Token → K (3, 3) and place in the car (metres) of each calibration of the camera."""
        sensors = {row['token']: row['channel'] for row in json_records(self._table('sensor'))}
        if self.camera not in sensors.values():
            raise ConfigError(
                f'camera {self.camera!r} is not in {self._table("sensor")}: choose one of '
                f'{", ".join(sorted(c for c in sensors.values() if c.startswith("CAM")))}'
            )
        return {
            row['token']: (
                np.array(row['camera_intrinsic'], dtype=np.float64).reshape(3, 3),
                np.array(row['translation'], dtype=np.float64).reshape(3),
            )
            for row in json_records(self._table('calibrated_sensor'))
            if sensors[row['sensor_token']] == self.camera
        }


def condition_of(description: str) -> str:
    """Condition of a scene by the words of its description: day-clear, night or nothing."""
    words = re.findall(r'\b(?:night|rain)', description.lower())
    if 'night' in words:
        return 'night'
    return '' if words else 'day-clear'


@dataclass(frozen=True)
class _Row:
    """One picture."""

    scene: str
    time: float  # seconds
    file: str  # relative to the dataset
    intrinsics: NDArray[np.float64]  # (3, 3)
    position: NDArray[np.float64]  # (3,) of the camera in the world, metres


def _rotate(quaternion: NDArray[Any], vector: NDArray[Any]) -> NDArray[np.float64]:
    """``vector`` turned by ``quaternion`` (w, x, y, z)."""
    w, axis = quaternion[0], quaternion[1:]
    across = np.cross(axis, vector)
    return np.asarray(vector + 2 * (w * across + np.cross(axis, across)), dtype=np.float64)
