"""Annotated pictures: a folder of them, and folders of what is true of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.data.calibration import REMEDY, camera_by_hand, check_camera_fields
from dsn_core.data.drives import DEPTH_UNITS
from dsn_core.data.picture_file import list_pictures, read_picture, to_rgb
from dsn_core.digest import content_digest, digest_of
from dsn_core.errors import ConfigError, UserError, require
from dsn_core.evaluation.samples import EvaluationSample, EvaluationSet
from dsn_core.labels import CITYSCAPES, UNLABELLED
from dsn_core.teachers.classes import train_id_table

__all__ = ['PicturesSet']


@dataclass(frozen=True)
class PicturesSet(EvaluationSet, kind='pictures'):
    """Pictures that somebody measured or labelled; a picture without truth is left out."""

    path: Path
    """The folder of pictures, undistorted."""
    name: str = 'pictures'
    """What the tables call it."""
    depth: Path | None = None
    """Folder of their depth, 16-bit PNG, metres x 256, 0 = not measured (as KITTI's)."""
    depth_suffix: str = ''
    """What their names have after the picture's: _lidar_depth of 000008_lidar_depth.png."""
    labels: Path | None = None
    """Folder of their labels, 8-bit PNG of the picture's name."""
    classes: tuple[str, ...] = CITYSCAPES.names
    """What the ids in the labels mean, from 0 on: Cityscapes' names, or unlabelled."""
    intrinsics: tuple[float, ...] = ()
    """fx, fy, cx, cy in pixels."""
    fov: float = 0.0
    """Degrees that the pictures show from left to right, in the intrinsics' stead."""
    condition: str = 'day'
    """The light in the pictures: day, dusk or night."""
    conditions: tuple[str, ...] = ()
    """Where it is another by the pictures' names: PREFIX=CONDITION, as 0001TP=dusk."""

    def __post_init__(self) -> None:
        require(bool(self.name), 'name', 'a name', self.name)
        given = self.depth is not None or self.labels is not None
        require(given, 'depth', 'a folder, or labels one: else there is nothing to score', None)
        check_camera_fields(self.intrinsics, self.fov)
        if not (self.intrinsics or self.fov):
            raise ConfigError(f'intrinsics are missing: {REMEDY}')
        for each in self.conditions:
            require(all(each.partition('=')), 'conditions', 'PREFIX=CONDITION', each)

    def samples(self, work: Path) -> Iterator[EvaluationSample]:
        del work
        table = train_id_table(self.classes, f'classes of the labels in {self.labels}')
        for file in self._pictures():
            image = to_rgb(read_picture(file))
            height, width = image.shape[:2]
            camera = camera_by_hand(width, height, self.intrinsics, self.fov)
            assert camera is not None
            yield EvaluationSample(
                name=file.stem,
                image=image,
                intrinsics=camera.matrix,
                depth=self._depth(file, (height, width)),
                labels=self._labels(file, (height, width), table),
                condition=self._condition(file),
                sequence=file.stem,  # nobody says which are neighbours
                pose=None,
            )

    def count(self, work: Path) -> int:
        return len(self._pictures())

    def fingerprint(self, work: Path) -> str:
        files = [f for p in self._pictures() for f in (p, *self._truths(p)) if f.is_file()]
        how = [list(self.intrinsics), self.fov, list(self.classes), self.condition]
        return digest_of([content_digest([(self.name, files)]), *how, list(self.conditions)])

    def _pictures(self) -> list[Path]:
        pictures = list_pictures(self.path)
        if not pictures:
            raise UserError(f'{self.path} holds no pictures: check the field path')
        found = [p for p in pictures if any(t.is_file() for t in self._truths(p))]
        if not found:
            wanted = ' or '.join(str(t) for t in self._truths(pictures[0]))
            raise UserError(f'{self.path}: no picture has its truth; looked for {wanted}')
        return found

    def _truths(self, picture: Path) -> list[Path]:
        depth = self.depth and self.depth / f'{picture.stem}{self.depth_suffix}.png'
        labels = self.labels and self.labels / f'{picture.stem}.png'
        return [file for file in (depth, labels) if file]

    def _depth(self, picture: Path, size: tuple[int, int]) -> NDArray[np.float32]:
        file = self.depth and self.depth / f'{picture.stem}{self.depth_suffix}.png'
        if not file or not file.is_file():
            return np.zeros(size, dtype=np.float32)
        stored = _read(file, size, np.dtype(np.uint16))
        return stored.astype(np.float32) / np.float32(DEPTH_UNITS)

    def _labels(
        self, picture: Path, size: tuple[int, int], table: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        file = self.labels and self.labels / f'{picture.stem}.png'
        if not file or not file.is_file():
            return np.full(size, UNLABELLED, dtype=np.uint8)
        ids: NDArray[np.uint8] = table[_read(file, size, np.dtype(np.uint8)).astype(np.intp)]
        return ids

    def _condition(self, picture: Path) -> str:
        for each in self.conditions:
            prefix, _, condition = each.partition('=')
            if picture.name.startswith(prefix):
                return condition
        return self.condition


def _read(file: Path, size: tuple[int, int], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    stored = read_picture(file, cv2.IMREAD_UNCHANGED)
    if stored.shape != size or stored.dtype != dtype:
        raise UserError(
            f'{file} is {"x".join(map(str, stored.shape))} {stored.dtype}, wanted is '
            f'{size[0]}x{size[1]} {dtype} as its picture'
        )
    return stored
