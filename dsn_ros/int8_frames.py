"""Frames that an int8 graph is fitted to: from pictures, videos, drives and bags."""

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dsn_core.data.drive_source import DrivesSource
from dsn_ros.bag_frames import BagSource
from dsn_ros.bag_topics import picture_on
from dsn_ros.bags import choose_image_topic, open_bag
from dsn_ros.errors import MessageError, UserError
from dsn_ros.infer import Source, find_sources, read_source
from dsn_ros.lighting import Lighting
from dsn_ros.view import resize_picture

__all__ = ['CalibrationFrame', 'FrameFolder', 'find_frames', 'read_frames']

_KINDS = 'pictures, videos, folders of them, bags, or drives of dsn simulate'

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CalibrationFrame:
    """A picture (H, W, 3) uint8 RGB of the model's size; ``light``: day, dusk or night."""

    image: NDArray[np.uint8]
    light: str


class FrameFolder(Protocol):
    """Frames that are there, in order."""

    count: int

    def read(self, chosen: Collection[int]) -> Iterator[NDArray[np.uint8]]:
        """The frames of these numbers, (H, W, 3) RGB each; what cannot be read is logged."""


class _Files:
    """Pictures and videos."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self.count = sum(source.frames for source in sources)

    def read(self, chosen: Collection[int]) -> Iterator[NDArray[np.uint8]]:
        first = 0
        for source in self._sources:
            if any(first <= number < first + source.frames for number in chosen):
                for number, (_, picture, _) in enumerate(read_source(source), first):
                    if number in chosen and picture is None:
                        _logger.warning('%s cannot be decoded: it is left out', source.path)
                    elif number in chosen and picture is not None:
                        yield picture
            first += source.frames


class _Bag:
    """The pictures of one topic of a bag."""

    def __init__(self, path: Path, topic: str | None) -> None:
        self._path = path
        with open_bag(path) as bag:
            self._topic = choose_image_topic(bag, topic)
        self.count = self._topic.count

    def read(self, chosen: Collection[int]) -> Iterator[NDArray[np.uint8]]:
        with open_bag(self._path) as bag:
            for number, message in enumerate(bag.messages([self._topic.name])):
                if number not in chosen:
                    continue
                try:
                    yield picture_on(self._topic, bag.deserialize(message))
                except MessageError as error:
                    _logger.warning('%s: %s', self._path, error)


def find_frames(paths: Sequence[Path], topic: str | None = None) -> list[FrameFolder]:
    """What there is at ``paths``; ``topic``: the camera's in bags, None: the only one.

    Raises UserError naming what is missing or holds no frames.
    """
    found: list[FrameFolder] = []
    for path in paths:
        if not path.exists():
            raise UserError(f'{path}: no such file or folder; give {_KINDS}')
        if DrivesSource.recognises(path):
            files = DrivesSource(path, split='').files()
            pictures = [file for file in files if file.parent.name == 'image']
            found.append(_Files([Source(each, each.stem, 1, False) for each in pictures]))
        elif BagSource.recognises(path):
            found.append(_Bag(path, topic))
        else:
            try:
                found.append(_Files(find_sources([path])))
            except UserError:
                raise UserError(f'{path} holds no frames: give {_KINDS}') from None
    return found


def read_frames(
    folders: Sequence[FrameFolder], count: int, height: int, width: int
) -> list[CalibrationFrame]:
    """At most ``count`` frames of the model's size, as many of each folder, evenly spread.

    Raises UserError where none of them can be read.
    """
    light = Lighting(hold=0)
    frames = []
    for folder, share in zip(folders, _shares([f.count for f in folders], count), strict=True):
        numbers = np.linspace(0, folder.count - 1, share).round().astype(int)
        for picture in folder.read(set(numbers.tolist())):
            image = resize_picture(picture, height, width)
            frames.append(CalibrationFrame(image, light.update(image, 0).condition))
    if not frames:
        raise UserError(f'not one calibration frame could be read: give {_KINDS}')
    return frames


def _shares(counts: Sequence[int], total: int) -> list[int]:
    """How many frames to take of each folder: alike, and of small ones what they have."""
    shares = [0] * len(counts)
    by_size = sorted(range(len(counts)), key=lambda i: counts[i])
    for left, i in zip(range(len(counts), 0, -1), by_size, strict=True):
        shares[i] = min(counts[i], -(-total // left))
        total -= shares[i]
    return shares
