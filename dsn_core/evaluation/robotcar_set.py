"""Oxford RobotCar with its front LiDAR as ground truth of depth.

LMS-front is a push broom: one nearly upright line a scan. A picture's depth is that of the scans
some seconds before and after it, put together along the car's way; things that move by
themselves leave traces, and what is hidden in the picture can show through.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.data.picture_file import read_picture
from dsn_core.data.robotcar_camera import (
    MODELS,
    CameraModel,
    demosaic,
    model_files,
    stamp_of,
    traversal_pictures,
)
from dsn_core.data.robotcar_poses import POSES
from dsn_core.data.sequencer import Sequencer
from dsn_core.digest import Digests, digest_of
from dsn_core.errors import UserError, require
from dsn_core.evaluation.lidar_depth import seen
from dsn_core.evaluation.robotcar_lidar import FrontLidar
from dsn_core.evaluation.samples import EvaluationSample, EvaluationSet
from dsn_core.labels import CITYSCAPES, UNLABELLED

__all__ = ['PROTOCOLS', 'Protocol', 'RobotCarSet']

MAX_GAP = 0.5  # seconds between two pictures beyond which they are no neighbours
_STAMP = re.compile(r'(?<!\d)\d{16}(?!\d)')  # microseconds since 1970

_logger = logging.getLogger(__name__)


class Protocol(NamedTuple):
    """How truth is made of a picture and the scans about it."""

    rows: int  # kept of the picture, from the top; 0: all
    seconds: float  # before and after the picture, whose scans are put together
    farthest: float  # metres


PROTOCOLS = {
    'adds': Protocol(0, 10.0, float('inf')),
    'md4all': Protocol(768, 4.0, 50.0),
}
"""adds: of ADDS-DepthNet, with the paper's Table 1: whole pictures; the development kit's tool
that projects scans takes 10 s to either side, which is assumed here; ``table_1`` of the
configuration caps at 40 m. md4all: of [16]: the top 768 of 960 rows (without the bonnet), 4 s,
50 m."""


@dataclass(frozen=True)
class RobotCarSet(EvaluationSet, kind='robotcar'):
    """A traversal by day, one by night, or both, as they are extracted.

    A traversal is a folder such as 2014-12-09-13-21-02 with stereo/left/*.png, lms_front/*.bin and
    vo/vo.csv. Pictures come demosaiced and undistorted; depth is sparse, in metres along the
    optical axis.
    """

    tables = (1, 3)

    day: Path | None = None
    """Folder of the traversal by day: the paper's is 2014-12-09-13-21-02."""
    night: Path | None = None
    """Folder of the traversal by night: the paper's is 2014-12-16-18-44-24."""
    name: str = 'Oxford RobotCar'
    """What the tables call it."""
    protocol: str = 'adds'
    """How truth is made: adds (whole pictures, scans of 10 s) or md4all (the top 768 rows, scans
    of 4 s, up to 50 m)."""
    poses: str = 'vo'
    """What says how the car moved: vo (vo/vo.csv), ins (gps/ins.csv) or rtk (gps/rtk.csv)."""
    every: int = 75
    """Take each so manieth picture (16 a second) of a traversal; not with split_files."""
    split_files: tuple[Path, ...] = ()
    """Files that name the test pictures, one a line, by their times (1418132504537582, as a path
    or with other words); nothing: ``every``."""
    labels: Path | None = None
    """Folder of labels, 8-bit PNG of Cityscapes train ids, named as the pictures and of their
    size: in the paper those of its teacher. None: no labels."""
    models: Path | None = None
    """Folder of the camera models of the dataset's development kit; None: ``models`` in the
    traversal's folder or beside it."""
    extrinsics: Path | None = None
    """Folder of where the sensors sit, of the development kit too; None: ``extrinsics`` in the
    traversal's folder or beside it."""
    camera: str = 'stereo/left'
    """Folder of the pictures: stereo/left, stereo/centre, stereo/right, mono_left, mono_right or
    mono_rear."""

    def __post_init__(self) -> None:
        require(bool(self.name), 'name', 'a name', self.name)
        given = self.day is not None or self.night is not None
        require(given, 'day', 'the folder of a traversal, or night', None)
        require(self.protocol in PROTOCOLS, 'protocol', ' or '.join(PROTOCOLS), self.protocol)
        require(self.poses in POSES, 'poses', 'vo, ins or rtk', self.poses)
        require(self.every >= 1, 'every', 'one or more', self.every)
        require(self.camera in MODELS, 'camera', f'one of {", ".join(MODELS)}', self.camera)

    def samples(self, work: Path) -> Iterator[EvaluationSample]:
        del work
        for drive in self._drives:
            camera = CameraModel(*drive.models)
            sequencer = Sequencer(drive.path.name, MAX_GAP)
            for picture in drive.pictures:
                stamp = stamp_of(picture)
                image = self._image(picture, camera)
                size = (image.shape[0], image.shape[1])
                hits = seen(drive.lidar.points(stamp), camera.intrinsics, size)
                place = sequencer.place(stamp * 1e-6, breaks=drive.lidar.piece(stamp))
                yield EvaluationSample(
                    name=f'{drive.path.name}/{picture.stem}',
                    image=image,
                    intrinsics=camera.intrinsics,
                    depth=hits.depth_map(self._protocol.farthest),
                    labels=self._labels(picture, size),
                    condition=drive.condition,
                    sequence=place.sequence,
                    pose=drive.lidar.camera_pose(stamp)[:3],
                )

    def count(self, work: Path) -> int:
        return sum(len(drive.pictures) for drive in self._drives)

    def fingerprint(self, work: Path) -> str:
        digests = Digests(work / 'robotcar.digests.json')
        drives = []
        for drive in self._drives:
            truths = [self.labels / f'{p.stem}.png' for p in drive.pictures if self.labels]
            groups = (drive.pictures, truths, drive.models, drive.lidar.files(drive.stamps))
            files = [digests.of_files(group) for group in groups]
            drives.append([drive.condition, drive.path.name, files])
        digests.save()
        numbers = [repr(number) for number in self._protocol]
        return digest_of(['robotcar', self.camera, self.poses, numbers, drives])

    @property
    def _protocol(self) -> Protocol:
        return PROTOCOLS[self.protocol]

    def _image(self, picture: Path, camera: CameraModel) -> NDArray[np.uint8]:
        raw = read_picture(picture, cv2.IMREAD_UNCHANGED)
        image = camera.undistort(demosaic(raw, self.camera, picture), picture)
        return np.ascontiguousarray(image[: self._protocol.rows or None])

    def _labels(self, picture: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
        if self.labels is None:
            return np.full(size, UNLABELLED, dtype=np.uint8)
        file = self.labels / f'{picture.stem}.png'
        ids = read_picture(file, cv2.IMREAD_UNCHANGED)
        # Whole, or of the rows that the protocol keeps.
        fits = ids.ndim == 2 and ids.shape[0] >= size[0] and ids.shape[1] == size[1]
        if not fits or ids.dtype != np.uint8:
            raise UserError(
                f'{file} is {"x".join(map(str, ids.shape))} {ids.dtype}, wanted is '
                f'{size[0]}x{size[1]} uint8 as its picture'
            )
        kept = ids[: size[0]]
        return np.where(kept < len(CITYSCAPES), kept, UNLABELLED).astype(np.uint8)

    @cached_property
    def _drives(self) -> list['_Drive']:
        """The traversals with their pictures, those that have truth."""
        given = {'day': self.day, 'night': self.night}
        wanted = self._wanted()
        drives = [self._open(condition, path, wanted) for condition, path in given.items() if path]
        lost = wanted.difference(*(drive.stamps for drive in drives))
        if lost:
            where = ' or '.join(str(path / self.camera) for path in given.values() if path)
            raise UserError(
                f'{len(lost)} of the {len(wanted)} pictures that split_files name are not in '
                f'{where}, or no scan of lms_front is near; the first is {min(lost)}.png'
            )
        return drives

    def _open(self, condition: str, path: Path, wanted: set[int]) -> '_Drive':
        pictures = traversal_pictures(path, self.camera)
        if wanted:
            pictures = [p for p in pictures if stamp_of(p) in wanted]
        else:
            pictures = pictures[:: self.every]
        lidar = FrontLidar(
            path, self.camera, self.poses, self._protocol.seconds, self.models, self.extrinsics
        )
        known = [p for p in pictures if lidar.measures(stamp_of(p))]
        if not known and not wanted:
            raise UserError(
                f'{path}: at none of the times of {len(pictures)} pictures is {POSES[self.poses]} '
                'known and a scan of lms_front near: extract the same chunks of all three'
            )
        if len(known) < len(pictures):
            _logger.warning(
                '%s: %d of %d pictures are left out, because no scan of lms_front is near or the '
                'way between is not known',
                path,
                len(pictures) - len(known),
                len(pictures),
            )
        if self.labels is not None:
            missing = [p for p in known if not (self.labels / f'{p.stem}.png').is_file()]
            if missing:
                raise UserError(
                    f'{len(missing)} of {len(known)} pictures of {path} have no labels, the first '
                    f'is {self.labels / missing[0].stem}.png: write them, or leave labels out'
                )
        models = model_files(path, self.models, MODELS[self.camera])
        return _Drive(condition, path.resolve(), known, lidar, models)

    def _wanted(self) -> set[int]:
        """Times that the split files name."""
        stamps: set[int] = set()
        for file in self.split_files:
            try:
                lines = file.read_text(encoding='utf-8').splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(f'split file {file} cannot be read: {error}') from error
            for number, line in enumerate(lines, 1):
                found = _STAMP.search(line)
                if found:
                    stamps.add(int(found.group()))
                elif line.strip():
                    raise UserError(
                        f'{file}, line {number} holds no time of 16 digits as pictures are '
                        f'named: {line.strip()!r}'
                    )
        return stamps


@dataclass(frozen=True)
class _Drive:
    """One traversal, and the pictures of it that are scored."""

    condition: str
    path: Path
    pictures: list[Path]
    lidar: FrontLidar
    models: tuple[Path, Path]

    @property
    def stamps(self) -> list[int]:
        """Their times."""
        return [stamp_of(picture) for picture in self.pictures]
