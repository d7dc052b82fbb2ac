"""Folders of pictures as teachers: whatever made them, its answers are files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.data.drives import DEPTH_UNITS
from dsn_core.errors import UserError, require
from dsn_core.labels import CITYSCAPES, UNLABELLED
from dsn_core.teachers.base import DepthTeacher, Labeller, Labels, LabelTeacher, Ranger
from dsn_core.teachers.fingerprint import files_digest, fingerprint_of
from dsn_core.teachers.pictures import resized_ids

__all__ = ['FolderDepthTeacher', 'FolderLabelTeacher']

_IDS = ('train', 'label')
_HOLDS = ('depth', 'disparity')
_NEAREST = 1e-6  # metres; 1 / depth must stay finite
_MAPS = ('.png', '.npy', '.npz')

# Cityscapes' label ids (labels.py of its scripts), in the order of the train ids.
_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


@dataclass(frozen=True)
class FolderLabelTeacher(LabelTeacher, kind='folder'):
    """Label images, named as the frames of the run folder.

    For frame day/000012: ``day/000012.png``, 8-bit ids of one channel, and, if there is one,
    ``day/000012.confidence.png``, 8-bit, 255 = sure; without it the teacher is sure of all. Maps
    of another size than the frames are brought to theirs, each pixel from the nearest.
    """

    path: Path
    """The folder."""
    ids: str = 'train'
    """What its ids are: train (0 to 18 and 255) or label (Cityscapes' 0 to 33)."""

    def __post_init__(self) -> None:
        require(self.ids in _IDS, 'ids', ' or '.join(_IDS), self.ids)

    def fingerprint(self) -> str:
        return fingerprint_of(self.kind, _digest(self.path, ('.png',)), self.ids)

    def load(self, device: str) -> Labeller:
        _require_folder(self.path)
        return _Labeller(self.path, self.ids)


@dataclass(frozen=True)
class FolderDepthTeacher(DepthTeacher, kind='folder'):
    """Depth maps, named as the frames of the run folder.

    For frame day/000012: ``day/000012.png`` (16-bit: metres x 256 as KITTI has it, or disparity in
    any unit), ``.npy`` or ``.npz`` (its only array), (H, W). Maps must be dense: a depth of zero,
    below, or not finite is taken as infinitely far, as is a disparity that is not finite. Maps of
    another size than the frames are resized as inverse depth.
    """

    path: Path
    """The folder."""
    holds: str = 'depth'
    """depth, or disparity: inverse depth in any unit."""
    affine: bool = False
    """Whether its disparity is known up to scale and shift only, as foundation models say it."""

    def __post_init__(self) -> None:
        require(self.holds in _HOLDS, 'holds', ' or '.join(_HOLDS), self.holds)
        require(
            not self.affine or self.holds == 'disparity',
            'holds',
            'disparity where affine is true',
            self.holds,
        )

    def fingerprint(self) -> str:
        return fingerprint_of(self.kind, _digest(self.path, _MAPS), self.holds, self.affine)

    def load(self, device: str) -> Ranger:
        _require_folder(self.path)
        return _Ranger(self.path, self.holds, self.affine)


def _require_folder(path: Path) -> None:
    if not path.is_dir():
        raise UserError(f'{path} is no folder: path must be one with day/000012.png and the like')


def _digest(path: Path, suffixes: Iterable[str]) -> str:
    _require_folder(path)
    files = [f for time in ('day', 'night') for f in (path / time).glob('*.*')]
    return files_digest([f for f in files if f.suffix in suffixes], path)


class _Labeller:
    def __init__(self, path: Path, ids: str) -> None:
        self._path = path
        self._ids = ids
        self._table = np.full(256, UNLABELLED, dtype=np.uint8)
        known = _LABEL_IDS if ids == 'label' else range(len(CITYSCAPES))
        self._table[list(known)] = np.arange(len(CITYSCAPES))
        # Those that mean unlabelled; any other is a mistake.
        free = range(34) if ids == 'label' else ()
        self._allowed = np.isin(np.arange(256), [*known, *free, UNLABELLED])

    def __call__(self, images: NDArray[np.uint8], names: Sequence[str]) -> Labels:
        """See ``Labeller``."""
        size = (images.shape[1], images.shape[2])
        both = [self._read(name, size) for name in names]
        return Labels(np.stack([ids for ids, _ in both]), np.stack([c for _, c in both]))

    def _read(
        self, name: str, size: tuple[int, int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        file = self._path / f'{name}.png'
        raw = _read_8_bit(file, name, 'labels')
        strange = raw[~self._allowed[raw]]
        if strange.size:
            other = 'label' if self._ids == 'train' else 'train'
            raise UserError(
                f'{file} holds id {strange[0]}, which is no {self._ids} id of Cityscapes: '
                f'set ids: {other}, or map it'
            )
        ids = resized_ids(self._table[raw], *size)
        file = self._path / f'{name}.confidence.png'
        if not file.exists():
            return ids, np.full(size, 255, dtype=np.uint8)
        return ids, resized_ids(_read_8_bit(file, name, 'confidence'), *size)


class _Ranger:
    def __init__(self, path: Path, holds: str, affine: bool) -> None:
        self._path = path
        self._holds = holds
        self._affine = affine

    def __call__(self, images: NDArray[np.uint8], names: Sequence[str]) -> NDArray[np.float32]:
        """See ``Ranger``."""
        size = (images.shape[1], images.shape[2])
        return np.stack([self._read(name, size) for name in names])

    def _read(self, name: str, size: tuple[int, int]) -> NDArray[np.float32]:
        files = [self._path / f'{name}{suffix}' for suffix in _MAPS]
        file = next((f for f in files if f.is_file()), None)
        if file is None:
            raise UserError(
                f'{files[0]} is missing (nor is there .npy or .npz): the folder must hold the '
                f'depth of every frame, {name} included'
            )
        values = _read_map(file)
        if file.suffix == '.png' and self._holds == 'depth':
            values = values / np.float32(DEPTH_UNITS)
        inverse = self._inverse(values)
        if inverse.shape == size:
            return inverse
        shrinks = inverse.shape[0] >= size[0] and inverse.shape[1] >= size[1]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return cv2.resize(inverse, size[::-1], interpolation=how).astype(np.float32, copy=False)

    def _inverse(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Inverse depth, finite and >= 0, of what the file holds."""
        finite = np.isfinite(values)
        if self._holds == 'depth':
            near = finite & (values > _NEAREST)
            return np.divide(1, values, out=np.zeros_like(values), where=near)
        if self._affine and finite.any():
            # Its zero lies anywhere: let it be the farthest.
            values = values - values[finite].min()
        return np.where(finite, values, 0).clip(min=0).astype(np.float32, copy=False)


def _read_8_bit(file: Path, name: str, what: str) -> NDArray[np.uint8]:
    picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if picture is None:
        state = 'is no picture' if file.exists() else 'is missing'
        raise UserError(f'{file} {state}: the folder must hold the {what} of every frame, {name}')
    if picture.dtype != np.uint8 or picture.ndim != 2:
        shape = 'x'.join(map(str, picture.shape))
        raise UserError(
            f'{file} is {shape} {picture.dtype}: {what} must be 8-bit of one channel, '
            'without a palette'
        )
    return picture.astype(np.uint8, copy=False)


def _read_map(file: Path) -> NDArray[np.float32]:
    """(H, W) float32 of a 16-bit PNG, an array file, or the only array of an archive."""
    values = cv2.imread(str(file), cv2.IMREAD_UNCHANGED) if file.suffix == '.png' else _array(file)
    if values is None:
        raise UserError(f'{file} is no picture: make it anew')
    number = values.dtype == np.uint16 if file.suffix == '.png' else values.dtype.kind in 'fiu'
    if values.ndim != 2 or not number:
        wanted = '16-bit of one channel' if file.suffix == '.png' else 'numbers (H, W)'
        shape = 'x'.join(map(str, values.shape))
        raise UserError(f'{file} is {shape} {values.dtype}: depth must be {wanted}')
    return values.astype(np.float32)


def _array(file: Path) -> NDArray[np.generic]:
    try:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded as archive:
            if len(archive.files) == 1:
                only: NDArray[np.generic] = archive[archive.files[0]]
                return only
            held = ', '.join(archive.files) or 'nothing'
    except Exception as error:  # zipfile, zlib, NumPy: each its own for a broken file
        raise UserError(f'{file} cannot be read: {error}; make it anew') from error
    raise UserError(f'{file} holds {held}: it must be one array')
