"""nuScenes with its LiDAR as ground truth of depth, and of labels (nuScenes-lidarseg).

The protocol is that of [16] (md4all): key frames of CAM_FRONT of the official validation scenes,
by day and clear or by night by the words of their description; the LiDAR sweep of the same key
frame, moved into the camera at its own time, nearest point first.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_core.data.nuscenes_tables import (
    CONDITIONS,
    Mount,
    NuScenesTables,
    Scene,
    check_fields,
)
from dsn_core.data.picture_file import read_picture, to_rgb
from dsn_core.data.poses import inverse
from dsn_core.data.sequencer import Sequencer
from dsn_core.digest import Digests, digest_of
from dsn_core.errors import UserError, require
from dsn_core.evaluation.lidar_depth import moved, read_points, seen
from dsn_core.evaluation.samples import EvaluationSample, EvaluationSet
from dsn_core.labels import CITYSCAPES, UNLABELLED

__all__ = ['TRAIN_NAMES', 'NuScenesSet']

LIDAR = 'LIDAR_TOP'
MAX_GAP = 0.75  # seconds: key frames are 0.5 s apart

TRAIN_NAMES = {
    'flat.driveable_surface': 'road',
    'flat.sidewalk': 'sidewalk',
    'flat.terrain': 'terrain',
    'movable_object.barrier': 'fence',
    'static.vegetation': 'vegetation',
    'human.pedestrian.adult': 'person',
    'human.pedestrian.child': 'person',
    'human.pedestrian.construction_worker': 'person',
    'human.pedestrian.police_officer': 'person',
    'vehicle.car': 'car',
    'vehicle.truck': 'truck',
}
"""Categories of nuScenes-lidarseg → the eight classes of the paper's Table 3a.

The paper does not print its table, so this one is an assumption: static.manmade, which holds
fences, holds buildings and poles too and cannot stand for any of them, and barriers are what is
left for 'fence'; those people are the ones that the data set's own challenge calls pedestrians.
All other categories count as unlabelled.
"""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NuScenesSet(EvaluationSet, kind='nuscenes'):
    """Key frames of nuScenes: PATH/v1.0-trainval/*.json, PATH/samples and PATH/lidarseg.

    Depth is sparse, in metres along the optical axis. Labels are where the points are; without
    lidarseg.json there are none. Poses are the car's localisation, of two dimensions.
    """

    tables = (2, 3)

    path: Path
    """The folder that holds the version's folder, samples and lidarseg."""
    name: str = 'nuScenes'
    """What the tables call it."""
    version: str = 'v1.0-trainval'
    """Folder of the tables: v1.0-trainval, v1.0-mini or v1.0-test."""
    split: str = 'val'
    """Scenes of the official split: train or val; nothing: all."""
    conditions: tuple[str, ...] = CONDITIONS
    """Scenes whose description says so: day-clear (neither night nor rain), night, or both."""
    camera: str = 'CAM_FRONT'
    """Channel of the camera."""
    limit: int = 0
    """So many key frames at most, spread evenly; 0: all."""

    def __post_init__(self) -> None:
        require(bool(self.name), 'name', 'a name', self.name)
        check_fields(self.version, self.split, self.camera)
        known = bool(self.conditions) and set(self.conditions) <= set(CONDITIONS)
        require(known, 'conditions', 'day-clear, night or both', list(self.conditions))
        require(self.limit >= 0, 'limit', 'zero or more', self.limit)

    def samples(self, work: Path) -> Iterator[EvaluationSample]:
        del work
        scene = ''
        for frame in self._frames:
            if frame.scene.name != scene:
                scene = frame.scene.name
                sequencer = Sequencer(scene, MAX_GAP)
            image = to_rgb(read_picture(self.path / frame.picture))
            depth, labels = self._truth(frame, (image.shape[0], image.shape[1]))
            yield EvaluationSample(
                name=Path(frame.picture).stem,
                image=image,
                intrinsics=frame.intrinsics,
                depth=depth,
                labels=labels,
                condition=frame.scene.condition,
                sequence=sequencer.place(frame.stamp * 1e-6).sequence,
                pose=frame.camera_to_map[:3],
            )

    def count(self, work: Path) -> int:
        return len(self._frames)

    def fingerprint(self, work: Path) -> str:
        digests = Digests(work / 'nuscenes.digests.json')
        files = [digests.of_files(files) for files in self._files()]
        digests.save()
        rows = [
            [
                frame.scene.name,
                frame.scene.condition,
                frame.stamp,
                frame.intrinsics.tolist(),
                frame.camera_to_map.tolist(),
                frame.lidar_to_camera.tolist(),
            ]
            for frame in self._frames
        ]
        ids = self._ids.tolist() if any(frame.labels for frame in self._frames) else []
        return digest_of(['nuscenes', rows, files, ids])

    def _truth(
        self, frame: '_Frame', size: tuple[int, int]
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        cloud = read_points(self.path / frame.lidar, '<f4', 5)  # x, y, z, intensity, ring
        hits = seen(moved(cloud[:, :3], frame.lidar_to_camera), frame.intrinsics, size)
        ids = np.full(len(cloud), UNLABELLED, dtype=np.uint8)
        if frame.labels:
            file = self.path / frame.labels
            stored = np.fromfile(file, dtype=np.uint8)
            if len(stored) != len(cloud):
                raise UserError(
                    f'{file} has {len(stored)} labels for the {len(cloud)} points of '
                    f'{self.path / frame.lidar}: extract both again'
                )
            ids = self._ids[stored]
        return hits.depth_map(), hits.label_map(ids)

    @cached_property
    def _frames(self) -> list['_Frame']:
        """The key frames, scene by scene, in the order of time; all their files are there."""
        tables = NuScenesTables(self.path, self.version)
        with tables.as_published():
            frames = self._join(tables)
        if self.limit:
            picks = np.linspace(0, len(frames) - 1, min(self.limit, len(frames)))
            frames = [frames[i] for i in picks.astype(int)]
        for what, files in zip(('camera', 'lidar', 'lidarseg'), self._files(frames), strict=True):
            missing = [file for file in files if not file.is_file()]
            if missing:
                raise UserError(
                    f'{len(missing)} of {len(files)} {what} files that {self.version} lists are '
                    f'missing, the first {missing[0]}: extract the {what} blobs of the key frames '
                    f'into {self.path}, beside {self.version}'
                )
        return frames

    def _files(self, frames: list['_Frame'] | None = None) -> list[list[Path]]:
        """Pictures, points and labels."""
        frames = self._frames if frames is None else frames
        return [
            [self.path / frame.picture for frame in frames],
            [self.path / frame.lidar for frame in frames],
            [self.path / frame.labels for frame in frames if frame.labels],
        ]

    def _join(self, tables: NuScenesTables) -> list['_Frame']:
        scenes = tables.scenes(self.split, self.conditions)
        scene_of = {
            row['token']: scenes[row['scene_token']]
            for row in tables.records('sample')
            if row['scene_token'] in scenes
        }
        mounts = {channel: tables.mounts(channel) for channel in (self.camera, LIDAR)}
        channel_of = {token: channel for channel in mounts for token in mounts[channel]}
        taken: dict[str, dict[str, dict[str, Any]]] = {token: {} for token in scene_of}
        for row in tables.records('sample_data'):
            channel = channel_of.get(row['calibrated_sensor_token'])
            if channel and row['is_key_frame'] and row['sample_token'] in scene_of:
                taken[row['sample_token']][channel] = row
        poses = tables.car_poses(
            {row['ego_pose_token'] for rows in taken.values() for row in rows.values()}
        )
        labels = self._label_files(tables)
        frames = []
        for token, rows in taken.items():
            camera, lidar = rows[self.camera], rows[LIDAR]
            camera_to_map = _to_map(camera, mounts[self.camera], poses)
            lidar_to_map = _to_map(lidar, mounts[LIDAR], poses)
            mount = mounts[self.camera][camera['calibrated_sensor_token']]
            frames.append(
                _Frame(
                    scene=scene_of[token],
                    stamp=int(camera['timestamp']),
                    picture=str(camera['filename']),
                    lidar=str(lidar['filename']),
                    labels=labels[lidar['token']] if labels else '',
                    intrinsics=mount.intrinsics,
                    camera_to_map=camera_to_map,
                    lidar_to_camera=inverse(camera_to_map) @ lidar_to_map,
                )
            )
        return sorted(frames, key=lambda f: (f.scene.name, f.stamp))

    def _label_files(self, tables: NuScenesTables) -> dict[str, str]:
        """Token of a sweep → its labels; none if there are no labels at all."""
        file = self.path / self.version / 'lidarseg.json'
        if file.is_file():
            found = {
                row['sample_data_token']: str(row['filename'])
                for row in tables.records('lidarseg')
            }
            if found:  # that of v1.0-test is empty
                return found
        _logger.warning(
            '%s has no rows: without nuScenes-lidarseg, extracted into %s, depth is scored alone',
            file,
            self.path,
        )
        return {}

    @cached_property
    def _ids(self) -> NDArray[np.uint8]:
        """(256,) train id of each id in the labels."""
        tables = NuScenesTables(self.path, self.version)
        ids = np.full(256, UNLABELLED, dtype=np.uint8)
        for row in tables.records('category'):
            if 'index' not in row:
                raise UserError(
                    f'{tables.file("category")} has no index: take the one that comes with '
                    'nuScenes-lidarseg'
                )
            name = TRAIN_NAMES.get(row['name'])
            if name:
                ids[row['index']] = CITYSCAPES.id_of(name)
        return ids


@dataclass(frozen=True)
class _Frame:
    """One key frame; files relative to the data set."""

    scene: Scene
    stamp: int  # of the picture, microseconds
    picture: str
    lidar: str
    labels: str  # nothing: there are none
    intrinsics: NDArray[np.float64]  # (3, 3)
    camera_to_map: NDArray[np.float64]  # (4, 4)
    lidar_to_camera: NDArray[np.float64]  # (4, 4), each at its own time


def _to_map(
    row: dict[str, Any], mounts: dict[str, Mount], poses: dict[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """The sensor's frame to the map's, when ``row`` was taken."""
    mount = mounts[row['calibrated_sensor_token']]
    return poses[row['ego_pose_token']] @ mount.to_car
