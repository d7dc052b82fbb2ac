"""The tables of nuScenes as they are published."""

import contextlib
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsn_core.data.json_records import json_records
from dsn_core.data.nuscenes_splits import VALIDATION_SCENES
from dsn_core.data.poses import of_quaternion
from dsn_core.errors import ConfigError, UserError, require

__all__ = [
    'CONDITIONS',
    'TABLES',
    'Mount',
    'NuScenesTables',
    'Scene',
    'check_fields',
    'condition_of',
]

CONDITIONS = ('day-clear', 'night')
"""Of the scenes that it is known of."""
TABLES = ('scene', 'sample', 'sensor', 'calibrated_sensor', 'sample_data', 'ego_pose')
"""The tables that a picture's place and time are read from."""


class Scene(NamedTuple):
    """One scene."""

    name: str
    condition: str  # by the words of its description; nothing: rain


class Mount(NamedTuple):
    """One calibration of a sensor."""

    intrinsics: NDArray[np.float64]  # (3, 3); empty if it is no camera
    to_car: NDArray[np.float64]  # (4, 4) the sensor's frame to the car's


class NuScenesTables:
    """The tables in ``path`` / ``version``; all methods raise UserError naming what is wrong."""

    def __init__(self, path: Path, version: str) -> None:
        self._path, self._version = path, version

    def file(self, name: str) -> Path:
        """Where table ``name`` is."""
        file = self._path / self._version / f'{name}.json'
        if not file.is_file():
            there = ', '.join(sorted(f.parent.name for f in self._path.glob('v1.0-*/scene.json')))
            raise UserError(
                f'{file} is missing: nuScenes is laid out as PATH/VERSION/*.json beside '
                f'PATH/samples and PATH/sweeps; below {self._path} '
                f'{f"are the versions {there}" if there else "is no version"}: '
                'check path and version'
            )
        return file

    def records(self, name: str) -> Iterator[dict[str, Any]]:
        """The rows of table ``name``, one by one."""
        return json_records(self.file(name))

    @contextlib.contextmanager
    def as_published(self) -> Iterator[None]:
        """Says of what goes wrong with rows in the block that the tables are not as published."""
        for name in TABLES:  # before the large ones are read
            self.file(name)
        try:
            yield
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f'the tables in {self._path / self._version} are not as published '
                f'({error!r}): extract them again'
            ) from error

    def scenes(self, split: str, conditions: Collection[str]) -> dict[str, Scene]:
        """Token → scene of the official ``split`` and of ``conditions``; of nothing: all."""
        rows = list(self.records('scene'))
        chosen = {
            row['token']: Scene(str(row['name']), condition_of(row['description']))
            for row in rows
            if split in ('', 'val' if row['name'] in VALIDATION_SCENES else 'train')
            and (not conditions or condition_of(row['description']) in conditions)
        }
        if not chosen:
            what = ' '.join(filter(None, (split, ' or '.join(conditions))))
            raise ConfigError(
                f'none of the {len(rows)} scenes of {self._path / self._version} is {what}: '
                'choose another split or condition'
            )
        return chosen

    def mounts(self, channel: str) -> dict[str, Mount]:
        """Token → each calibration of the sensor ``channel``."""
        sensors = {row['token']: row['channel'] for row in self.records('sensor')}
        if channel not in sensors.values():
            raise ConfigError(
                f'camera {channel!r} is not in {self.file("sensor")}: choose one of '
                f'{", ".join(sorted(c for c in sensors.values() if c.startswith("CAM")))}'
            )
        shape = (3, 3) if channel.startswith('CAM') else (0,)
        return {
            row['token']: Mount(
                np.array(row['camera_intrinsic'], dtype=np.float64).reshape(shape),
                of_quaternion(row['translation'], row['rotation']),
            )
            for row in self.records('calibrated_sensor')
            if sensors[row['sensor_token']] == channel
        }

    def car_poses(self, tokens: Collection[str]) -> dict[str, NDArray[np.float64]]:
        """Token → (4, 4) the car's frame to the map's, of each of ``tokens``."""
        return {
            row['token']: of_quaternion(row['translation'], row['rotation'])
            for row in self.records('ego_pose')
            if row['token'] in tokens
        }


def check_fields(version: str, split: str, camera: str) -> None:
    """Raise ConfigError where ``version`` has no such ``split``, or ``camera`` is none."""
    require(camera.startswith('CAM'), 'camera', 'a camera, such as CAM_FRONT', camera)
    require(split in ('', 'train', 'val'), 'split', 'train, val or nothing', split)
    in_a_split = not split or 'test' not in version
    require(in_a_split, 'split', "'' for v1.0-test, which is neither train nor val", split)


def condition_of(description: str) -> str:
    """Condition of a scene by the words of its description: day-clear, night or nothing."""
    words = re.findall(r'\b(?:night|rain)', description.lower())
    if 'night' in words:
        return 'night'
    return '' if words else 'day-clear'
