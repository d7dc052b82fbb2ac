"""Pseudo-labels on disk: one PNG a frame, which any viewer opens and no code has to be run for."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.errors import UserError
from dsn_core.files import replacing

__all__ = ['read_inverse_depth', 'read_labels', 'write_inverse_depth', 'write_labels']

_STEP = 17  # confidence is kept in 16 steps: 0, 17, ... 255
_TOP = 65535


def write_labels(path: Path, ids: NDArray[np.uint8], confidence: NDArray[np.uint8]) -> None:
    """Write ``ids`` and ``confidence``, both (H, W), as one 8-bit PNG (2 H, W), whole or not.

    The upper half holds the ids to the letter, the lower half the confidence in 16 steps of 17,
    numbered 0 to 15: off by at most 8 of 255, 0 and 255 to the letter, and on the same side of
    Eq 16's tau of 0.1 as before. That takes about 0.2 bytes a pixel, a third of what the
    confidence in 256 steps does, most of whose bits are noise.
    """
    if ids.ndim != 2 or ids.shape != confidence.shape:
        raise ValueError(f'ids {ids.shape} and confidence {confidence.shape} must be one (H, W)')
    steps = (confidence.astype(np.uint16) + _STEP // 2) // _STEP
    _write(path, np.concatenate([ids, steps.astype(np.uint8)]))


def read_labels(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read what ``write_labels`` wrote: ids and confidence, (H, W) uint8 each.

    Raises UserError naming the file that is missing or something else.
    """
    picture = _read(path, np.dtype(np.uint8), 'pseudo-label')
    height = len(picture) // 2
    ids, steps = picture[:height].astype(np.uint8), picture[height:].astype(np.uint8)
    if ids.shape != steps.shape or steps.max(initial=0) > 255 // _STEP:
        raise _strange(path, 'pseudo-label')
    return ids, steps * np.uint8(_STEP)


def write_inverse_depth(path: Path, inverse: NDArray[np.float32]) -> None:
    """Write inverse depth (H, W), finite, >= 0, as a 16-bit PNG, whole or not at all.

    65535 is the picture's largest value, so that the unit is lost: distillation has no use for it.
    Off by at most 1 / 131070 of the largest. Raises ValueError for values that are out of range.
    """
    if inverse.ndim != 2:
        raise ValueError(f'inverse must be (H, W), got {inverse.shape}')
    if not np.isfinite(inverse).all() or inverse.min(initial=0) < 0:
        raise ValueError('inverse must be finite and >= 0')
    largest = float(inverse.max(initial=0))
    share = inverse.astype(np.float64) / (largest or 1.0)
    _write(path, np.rint(share * _TOP).astype(np.uint16))


def read_inverse_depth(path: Path) -> NDArray[np.float32]:
    """Read what ``write_inverse_depth`` wrote: (H, W) float32, 1 the largest, 0 infinitely far.

    Raises UserError naming the file that is missing or something else.
    """
    picture = _read(path, np.dtype(np.uint16), 'inverse depth')
    return picture.astype(np.float32) / np.float32(_TOP)


def _write(path: Path, picture: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    ok, data = cv2.imencode('.png', picture, [cv2.IMWRITE_PNG_COMPRESSION, 6])
    assert ok, 'an 8- or 16-bit picture can always be encoded'
    with replacing(path, durable=False) as beside:
        beside.write_bytes(data.tobytes())


def _read(path: Path, dtype: np.dtype[np.generic], what: str) -> NDArray[np.generic]:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 2 or picture.dtype != dtype:
        raise _strange(path, what)
    return picture


def _strange(path: Path, what: str) -> UserError:
    state = f'is no {what} of ours' if path.exists() else 'is missing'
    return UserError(f'{path} {state}: delete it, if it is there, and run its stage again')
