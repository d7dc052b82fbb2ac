"""Frames as the run folder keeps them: all of one size, in sequences, with their intrinsics.

A domain's folder (``frames/day``) holds ``NNNNNN.jpg`` and ``index.json``, which lists in the
frames' order: ``sequence`` (numbers that change where frames stop being neighbours), ``time``
(seconds), ``travelled`` (metres or null) and ``intrinsics`` ([fx, fy, cx, cy], pixels).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from dsn_core.data.source import FrameSource, SourceFrame
from dsn_core.errors import ConfigError, UserError
from dsn_core.files import has_content, replacing

__all__ = ['FrameStore', 'Thinning', 'store_frames', 'write_picture']

INDEX = 'index.json'


class FrameStore:
    """The frames of one domain, read back."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError if ``folder`` holds no frames."""
        self.folder = folder
        try:
            index = json.loads((folder / INDEX).read_text())
        except (OSError, ValueError) as error:
            raise UserError(f'{folder} holds no frames ({error}): run the stage frames') from error
        self.height = int(index['height'])
        self.width = int(index['width'])
        self.sequences = np.asarray(index['sequence'], dtype=np.int64)
        self.times = np.asarray(index['time'], dtype=np.float64)
        self.travelled = np.asarray(index['travelled'], dtype=np.float64)  # null becomes nan
        self._intrinsics = np.asarray(index['intrinsics'], dtype=np.float64)
        same = self.sequences[1:] == self.sequences[:-1]
        # Frames with a neighbour on either side: what view synthesis can be trained on.
        self.targets: NDArray[np.int64] = np.flatnonzero(same[:-1] & same[1:]) + 1

    def __len__(self) -> int:
        return len(self.sequences)

    def name(self, index: int) -> str:
        """Name of frame ``index``, and of all that is made of it: '000012'."""
        return f'{index:06d}'

    def path(self, index: int) -> Path:
        """File of frame ``index``."""
        return self.folder / f'{self.name(index)}.jpg'

    def image(self, index: int) -> NDArray[np.uint8]:
        """Frame ``index``, (H, W, 3) RGB; raises UserError naming the file if it is no picture."""
        return read_picture(self.path(index), (self.height, self.width))

    def intrinsics(self, index: int) -> NDArray[np.float64]:
        """K (3, 3) of frame ``index``, pixels of this store's size."""
        fx, fy, cx, cy = self._intrinsics[index]
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])

    def distance(self, first: int, second: int) -> float:
        """Metres that the camera moved between two frames of a sequence; nan = unknown."""
        return float(abs(self.travelled[second] - self.travelled[first]))


def read_picture(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """An RGB picture (H, W, 3) of ``size`` (H, W); raises UserError naming the file otherwise."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None or picture.shape[:2] != size:
        what = 'no picture' if picture is None else f'{picture.shape[1]}x{picture.shape[0]}'
        raise UserError(
            f'{path} is {what}, wanted is {size[1]}x{size[0]}: delete it and run again'
        )
    return np.ascontiguousarray(picture[..., ::-1]).astype(np.uint8, copy=False)


def write_picture(path: Path, picture: NDArray[np.uint8], quality: int = 95) -> None:
    """Write (H, W, 3) RGB as JPEG, whole or not at all."""
    # Colour at full resolution: at a network's size a pixel of it is worth keeping.
    sampling = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality, *sampling]
    ok, data = cv2.imencode('.jpg', picture[..., ::-1], flags)
    assert ok, 'an 8-bit picture can always be encoded'
    with replacing(path, durable=False) as beside:
        beside.write_bytes(data.tobytes())


@dataclass(frozen=True)
class Thinning:
    """Which frames of a source are kept."""

    max_fps: float = 0.0
    """Frames a second at most; 0: all."""
    min_travel: float = 0.0
    """Metres that the camera must have moved since the frame before, where that is known."""
    limit: int = 0
    """Frames at most; 0: all."""

    def __call__(self, frames: Iterator[SourceFrame]) -> Iterator[SourceFrame]:
        """Yield those of ``frames`` that are kept."""
        last: SourceFrame | None = None
        kept = 0
        for frame in frames:
            if self.limit and kept >= self.limit:
                return
            if last is not None and last.sequence == frame.sequence:
                # A tenth of a period of slack: stamps jitter.
                if self.max_fps and frame.time - last.time < 0.9 / self.max_fps:
                    continue
                if frame.travelled - last.travelled < self.min_travel:  # False for nan
                    continue
            last = frame
            kept += 1
            yield frame


@dataclass
class _Index:
    """The columns of index.json."""

    height: int
    width: int
    sequence: list[int] = field(default_factory=list)
    time: list[float] = field(default_factory=list)
    travelled: list[float | None] = field(default_factory=list)
    intrinsics: list[list[float]] = field(default_factory=list)

    def add(self, frame: SourceFrame, sequence: int) -> None:
        height, width = frame.image.shape[:2]
        sx, sy = self.width / width, self.height / height
        k = frame.intrinsics
        # Pixel (0, 0) is the centre of the first pixel: the picture begins at -0.5.
        cx, cy = (k[0, 2] + 0.5) * sx - 0.5, (k[1, 2] + 0.5) * sy - 0.5
        self.sequence.append(sequence)
        self.time.append(frame.time)
        self.travelled.append(float(frame.travelled) if np.isfinite(frame.travelled) else None)
        self.intrinsics.append([float(v) for v in (k[0, 0] * sx, k[1, 1] * sy, cx, cy)])


def _named(frames: Iterator[SourceFrame], place: str) -> Iterator[SourceFrame]:
    """Say of a source that cannot be used where its fields are."""
    try:
        yield from frames
    except ConfigError as error:
        raise ConfigError(f'{place}: {error}; set as {place}.FIELD=VALUE') from error


def store_frames(
    sources: tuple[FrameSource, ...],
    folder: Path,
    work: Path,
    height: int,
    width: int,
    thinning: Thinning,
    quality: int = 95,
) -> int:
    """Write what is kept of ``sources`` into ``folder``, resized; returns how many frames.

    Frames that are there are not written again. ``work`` is for sources that make their frames.
    Raises UserError if not one frame has neighbours.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index = _Index(height, width)
    sequence = -1
    for number, source in enumerate(sources):
        last: Any = None
        frames = thinning(source.frames(work / str(number)))
        for frame in tqdm(
            _named(frames, f'{folder.name}.{number}'),
            desc=folder.name,
            unit='frame',
            total=source.count() or None,
        ):
            sequence += frame.sequence != last
            last = frame.sequence
            path = folder / f'{len(index.time):06d}.jpg'
            index.add(frame, sequence)
            if not has_content(path):
                size = (width, height)
                shrinks = frame.image.shape[1] >= width
                how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
                resized = cv2.resize(frame.image, size, interpolation=how)
                write_picture(path, resized.astype(np.uint8, copy=False), quality)
    with replacing(folder / INDEX) as beside:
        beside.write_text(json.dumps(vars(index)))
    if not len(FrameStore(folder).targets):
        what = ', '.join(str(getattr(s, 'path', s.kind)) for s in sources)
        raise UserError(
            f'{folder.name}: {what} gave {len(index.time)} frames, and none has a neighbour on '
            f'either side: give a longer recording, or thin it out less'
        )
    return len(index.time)
