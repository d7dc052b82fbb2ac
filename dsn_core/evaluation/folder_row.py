"""Folders of predictions as rows: whatever made them, published peers included."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.digest import content_digest, digest_of
from dsn_core.errors import UserError, require
from dsn_core.evaluation.prediction import Prediction, Predictor
from dsn_core.evaluation.rows import Row
from dsn_core.evaluation.samples import EvaluationSample
from dsn_core.labels import CITYSCAPES, UNLABELLED

__all__ = ['FolderRow']

_DEPTH = ('.depth.npy', '.depth.png', '.npy')
_LABELS = ('.labels.png', '.png')
_CONFIDENCE = '.confidence.png'
_HOLDS = ('depth', 'disparity')


@dataclass(frozen=True)
class FolderRow(Row, kind='folder'):
    """Files of any size, named as the samples, as dsn infer writes them.

    Of sample town000009_day/000012: ``town000009_day/000012.depth.npy``, ``.depth.png`` (16-bit
    millimetres; 0 is farther than 65.5 m) or ``.npy``, the first that is there; ``.labels.png`` or
    ``.png`` (8-bit Cityscapes train ids); ``.confidence.png`` (8-bit, 255 = sure) if there is one.
    Depth or labels alone will do; what the first sample has, all must have.
    """

    path: Path
    """The folder."""
    name: str = ''
    """What the tables call it; nothing: the folder's name."""
    train: str = ''
    """How it was trained, for Table 2: M (monocular), M+v (with velocity), or a word."""
    holds: str = 'depth'
    """What .npy files hold: depth, or disparity (inverse depth)."""
    metric: bool = True
    """Whether depth is in metres, and is scored without median scaling too."""

    def __post_init__(self) -> None:
        require(self.holds in _HOLDS, 'holds', ' or '.join(_HOLDS), self.holds)
        if not self.name:
            object.__setattr__(self, 'name', self.path.resolve().name)

    def fingerprint(self) -> str:
        self._require()
        files = sorted(f for f in self.path.rglob('*') if f.suffix in ('.npy', '.png'))
        groups = [(f.relative_to(self.path).parent.as_posix(), [f]) for f in files]
        return digest_of(['folder', content_digest(groups), self.holds, self.metric])

    def load(self) -> Predictor:
        self._require()
        return _Reader(self)

    def _require(self) -> None:
        if not self.path.is_dir():
            raise UserError(f'{self.path} is no folder: path must be one of predictions')


class _Reader:
    def __init__(self, row: FolderRow) -> None:
        self._row = row
        self.metric = row.metric
        self._has: tuple[bool, bool] | None = None

    def __call__(self, sample: EvaluationSample) -> Prediction:
        depth = self._find(sample.name, _DEPTH)
        labels = self._find(sample.name, _LABELS)
        has = (depth is not None, labels is not None)
        if not any(has):
            raise UserError(
                f'{self._row.path} has no prediction for {sample.name}: it must hold '
                f'{sample.name}{_DEPTH[0]} or {sample.name}{_LABELS[0]}'
            )
        if self._has not in (None, has):
            raise UserError(
                f'{self._row.path} has {_listed(has)} for {sample.name} and {_listed(self._has)} '
                'for the samples before it: it must hold the same for all'
            )
        self._has = has
        sure = self._row.path / f'{sample.name}{_CONFIDENCE}'
        return Prediction(
            None if depth is None else _depth(depth, self._row.holds),
            None if labels is None else _ids(labels),
            _eight_bit(sure).astype(np.float32) / 255 if sure.is_file() else None,
        )

    def _find(self, name: str, suffixes: tuple[str, ...]) -> Path | None:
        files = (self._row.path / f'{name}{suffix}' for suffix in suffixes)
        return next((file for file in files if file.is_file()), None)


def _listed(has: tuple[bool, bool] | None) -> str:
    return ' and '.join(
        n for n, there in zip(('depth', 'labels'), has or (), strict=False) if there
    )


def _depth(file: Path, holds: str) -> NDArray[np.floating]:
    if file.suffix == '.png':
        millimetres = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        if millimetres is None or millimetres.ndim != 2 or millimetres.dtype != np.uint16:
            raise UserError(f'{file} must be a 16-bit picture of one channel: millimetres')
        return np.where(millimetres > 0, millimetres.astype(np.float32) / 1000, np.inf)
    try:
        values = np.load(file, allow_pickle=False)
    except Exception as error:  # NumPy and zipfile, each its own for a broken file
        raise UserError(f'{file} cannot be read: {error}; make it anew') from error
    while isinstance(values, np.ndarray) and values.ndim > 2 and len(values) == 1:
        values = values[0]  # (1, H, W), (1, 1, H, W)
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in 'fiu':
        raise UserError(f'{file} must hold one array of numbers (H, W)')
    depth = values.astype(np.float32)
    if holds == 'depth':
        return depth
    with np.errstate(divide='ignore'):
        inverse: NDArray[Any] = np.where(depth > 0, 1 / depth, np.inf)
    return np.where(np.isnan(depth), np.nan, inverse)


def _ids(file: Path) -> NDArray[np.uint8]:
    ids = _eight_bit(file)
    strange = ids[(ids >= len(CITYSCAPES)) & (ids != UNLABELLED)]
    if strange.size:
        raise UserError(
            f'{file} holds id {strange[0]}: labels must be Cityscapes train ids, 0 to '
            f'{len(CITYSCAPES) - 1} and {UNLABELLED}'
        )
    return ids


def _eight_bit(file: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 2 or picture.dtype != np.uint8:
        raise UserError(f'{file} must be an 8-bit picture of one channel, without a palette')
    return picture.astype(np.uint8, copy=False)
