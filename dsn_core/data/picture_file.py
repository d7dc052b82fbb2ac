"""Picture files: which they are, in what order, and what is in them."""

import os
import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.errors import UserError

__all__ = ['PICTURES', 'VIDEOS', 'clips', 'list_pictures', 'natural', 'read_picture', 'to_rgb']

_NUMBER = re.compile(r'\d+(?:\.\d+)?')

PICTURES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm')
"""Suffixes of pictures, lower case."""
VIDEOS = ('.mp4', '.avi', '.mkv', '.mov', '.webm', '.m4v', '.mpg', '.mpeg')
"""Suffixes of videos, lower case."""


def natural(name: str) -> list[tuple[bool, int, str]]:
    """Sort key that puts frame2 before frame10, and numbers before text."""
    parts = [part for part in re.split(r'(\d+)', name) if part]
    return [(False, int(p), '') if p.isdecimal() else (True, 0, p) for p in parts]


def list_pictures(folder: Path) -> list[Path]:
    """The pictures in ``folder``, not below it, in natural order; none if it is no folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if _is_picture(e.name) and e.is_file()]
    return [folder / name for name in sorted(names, key=natural)]


def clips(files: Sequence[Path]) -> list[list[tuple[Path, float]]]:
    """Split ``files`` (in natural order) where their names say that another recording begins.

    The frame number is the last number in the names that changes from file to file. A clip ends
    where it falls or leaves out more than one usual step, where a number changes that mostly
    stays (clip1_0099, clip2_0100), and where the text between the numbers is another. Beside each
    file: its frame number in usual steps since its clip began. Names without numbers are one clip.
    """
    found: list[list[tuple[Path, float]]] = []
    for _, group in groupby(files, key=_text):
        alike = list(group)
        numbers = np.array([[float(n) for n in _NUMBER.findall(f.stem)] for f in alike])
        steps = np.diff(numbers, axis=0)
        counters = np.flatnonzero(2 * (steps != 0).sum(axis=0) > len(steps))
        frame, cut = np.arange(len(alike), dtype=np.float64), np.zeros(len(alike), dtype=np.bool_)
        cut[0] = True
        if len(counters):
            along = steps[:, counters[-1]]
            usual = np.median(along[along > 0]) if (along > 0).any() else 1.0
            frame = numbers[:, counters[-1]] / usual
            labels = np.delete(steps, counters, axis=1)
            cut[1:] = (labels != 0).any(axis=1) | (along <= 0) | (along > 2 * usual)
        for file, number, begins in zip(alike, frame, cut, strict=True):
            if begins:
                found.append([])
                first = number
            found[-1].append((file, float(number - first)))
    return found


def read_picture(path: Path, flags: int = cv2.IMREAD_COLOR) -> NDArray[Any]:
    """Decode a picture as OpenCV does with ``flags`` (BGR), with no regard to EXIF orientation.

    Raises UserError naming the file that is missing, damaged or cut short.
    """
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror or error}') from error
    if flags != cv2.IMREAD_UNCHANGED:
        flags |= cv2.IMREAD_IGNORE_ORIENTATION  # calibrations describe the sensor's own rows
    picture = cv2.imdecode(data, flags) if _is_whole(data.tobytes()) else None
    if picture is None:
        raise UserError(f'{path} is no whole picture: delete it, or copy it again')
    return picture


def to_rgb(bgr: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W, 3) BGR uint8 → RGB."""
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _is_whole(data: bytes) -> bool:
    """Whether a picture's file is not cut short, as far as its kind tells.

    Decoders fill up with grey what is missing of a JPEG, or of a PNG, and say nothing.
    """
    if data[:2] == b'\xff\xd8':  # the end mark is after the last scan: a thumbnail has one, too
        return data.rfind(b'\xff\xd9') > data.rfind(b'\xff\xda')
    if data[:4] == b'\x89PNG':
        return b'IEND' in data[-4096:]
    return bool(data)


def _text(file: Path) -> str:
    """The name with its numbers left out; nothing if it has none."""
    text, count = _NUMBER.subn('#', file.stem)
    return text if count else ''


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in PICTURES and not name.startswith('.')
