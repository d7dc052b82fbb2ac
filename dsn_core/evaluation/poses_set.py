"""Pictures or a video of a drive whose poses are known: depth by triangulation, no LiDAR."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.data.picture_source import NamedFrame, PicturesSource
from dsn_core.digest import content_digest, digest_of
from dsn_core.errors import UserError, require
from dsn_core.evaluation.samples import EvaluationSample, EvaluationSet
from dsn_core.labels import UNLABELLED
from dsn_core.triangulation import Limits, sparse_depth

__all__ = ['PosesSet']

_SKEW = 1e-2  # by how much a rotation times its transpose may differ from the identity
_MEASURES = 1  # to be raised with every change of what is measured: kept scores are then made anew


@dataclass(frozen=True)
class PosesSet(EvaluationSet, kind='poses'):
    """A drive with poses: the depth of its corners, as ``dsn_core.triangulation`` measures it.

    Points are textured, stand still and lie off the direction of travel, some hundred a picture:
    figures do not compare with those on a LiDAR's depth. Samples carry no pose: two per cent of
    error from frame to frame would count as the network's unsteadiness.
    """

    path: Path
    """A folder of pictures, a folder of such folders, or a video."""
    poses: Path
    """Text file of camera poses, 12 numbers a row for each picture (KITTI's odometry: 3 x 4,
    camera to world, metres); looked for beside the pictures first."""
    name: str = 'poses'
    """What the tables call it."""
    calibration: Path | None = None
    """YAML file as ROS' camera_calibration writes it; without one (and without ``intrinsics`` or
    ``fov``): calibration.yaml or camera_info.yaml beside the pictures. Distortion is undone."""
    intrinsics: tuple[float, ...] = ()
    """fx, fy, cx, cy in pixels of undistorted pictures, in the calibration's stead."""
    fov: float = 0.0
    """Degrees that undistorted pictures show from left to right, in the calibration's stead."""
    fps: float = 10.0
    """Pictures a second. A video has its own."""
    condition: str = 'day'
    """The light in the pictures: day, dusk or night."""
    every: int = 1
    """Score each so-many-th frame; the ones between only help to measure it."""
    points: int = 50
    """A picture with fewer measured points counts as not measured: a few bad ones would weigh as
    much as all of another picture's."""
    limits: Limits = field(default_factory=Limits)
    """Which points count as measured. A slow robot or a fast camera needs more neighbours."""
    tables = (1, 2)

    def __post_init__(self) -> None:
        require(bool(self.name), 'name', 'a name', self.name)
        require(self.every >= 1, 'every', 'one or more', self.every)
        require(self.points >= 1, 'points', 'one or more', self.points)
        self._source()  # checks the other fields

    def samples(self, work: Path) -> Iterator[EvaluationSample]:
        del work
        measured = False
        for number, (around, index) in enumerate(
            _with_neighbours(self._source().named_frames(), self.limits.neighbours)
        ):
            if number % self.every:
                continue
            sample = self._sample(around, index)
            measured |= bool(sample.depth.any())
            yield sample
        if not measured:
            raise UserError(
                f'{self.path}: no depth could be measured with poses {self.poses}; they must be '
                'camera to world, in metres, one for each picture, and the camera must move'
            )

    def count(self, work: Path) -> int:
        return math.ceil(self._source().count() / self.every)

    def fingerprint(self, work: Path) -> str:
        files = content_digest([('', self._source().files())])
        camera = [list(self.intrinsics), self.fov]
        how = [self.condition, self.every, self.points, asdict(self.limits)]
        return digest_of([_MEASURES, files, camera, how])

    def _source(self) -> PicturesSource:
        return PicturesSource(
            self.path, self.calibration, self.intrinsics, self.fov, self.fps, self.poses
        )

    def _sample(self, around: Sequence[NamedFrame], index: int) -> EvaluationSample:
        frame, name, _ = around[index]
        depth = sparse_depth(
            np.stack([_grey(each.frame.image) for each in around]),
            frame.intrinsics,
            np.stack([self._pose(each) for each in around]),
            index,
            self.limits,
        )
        if np.count_nonzero(depth) < self.points:
            depth[:] = 0
        return EvaluationSample(
            name=name,
            image=frame.image,
            intrinsics=frame.intrinsics,
            depth=depth,
            labels=np.full(depth.shape, UNLABELLED, dtype=np.uint8),
            condition=self.condition,
            sequence=frame.sequence,
            pose=None,
        )

    def _pose(self, named: NamedFrame) -> NDArray[np.float64]:
        pose = named.pose
        assert pose is not None
        rotation = pose[:, :3]
        skew = np.abs(rotation @ rotation.T - np.eye(3)).max()
        if skew > _SKEW or np.linalg.det(rotation) < 0:
            raise UserError(
                f'{self.poses}: the row of {named.name} holds no rotation; a row must be a 3 x 4 '
                'matrix, row by row, camera to world'
            )
        return pose


def _with_neighbours(
    frames: Iterable[NamedFrame], reach: int
) -> Iterator[tuple[Sequence[NamedFrame], int]]:
    """Each frame as an index into its sequence's frames around it, ``reach`` on either side."""
    for _, group in groupby(frames, key=lambda named: named.frame.sequence):
        around: list[NamedFrame] = []
        index = 0
        for named in group:
            around.append(named)
            if len(around) > index + reach:
                yield around, index
                index += 1
            if index > reach:
                around.pop(0)
                index -= 1
        for last in range(index, len(around)):
            yield around[max(0, last - reach) :], min(last, reach)


def _grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
