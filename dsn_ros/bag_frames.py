"""Frames to train on from a bag; importing this makes the kind ``bag`` of frame sources known."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsn_core.data.calibration import REMEDY, Calibration, camera_by_hand, check_camera_fields
from dsn_core.data.rectify import rectifier
from dsn_core.data.sequencer import Sequencer
from dsn_core.data.source import FrameSource, SourceFrame
from dsn_core.errors import ConfigError, UserError, require
from dsn_ros.bag_odometry import read_track
from dsn_ros.bag_topics import CAMERA_INFO, picture_on
from dsn_ros.bags import (
    SUFFIXES,
    Bag,
    BagMessage,
    choose_image_topic,
    find_camera_info_topic,
    open_bag,
)
from dsn_ros.camera import Camera, is_rectified
from dsn_ros.errors import MessageError
from dsn_ros.messages import camera_info_fields, stamp_ns

__all__ = ['BagSource']

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BagSource(FrameSource, kind='bag'):
    """One camera of a ROS bag (mcap, sqlite3, ROS 1), rectified by its camera_info.

    Frames are timed by their stamps. Messages that cannot be read are left out and logged.
    """

    path: Path
    """The bag's folder, or a .mcap, .db3 or .bag file."""
    topic: str = ''
    """The camera's topic, raw or compressed; nothing: the only one. The pictures of an image_rect
    topic are taken as they are, with the projection that its camera_info gives them."""
    camera_info: str = ''
    """The topic of its calibration; nothing: camera_info beside the pictures."""
    intrinsics: tuple[float, ...] = ()
    """fx, fy, cx, cy in pixels of undistorted pictures, in the calibration's stead."""
    fov: float = 0.0
    """Degrees that undistorted pictures show from left to right, in the calibration's stead."""
    odometry: str = ''
    """The topic that tells how far the robot came (nav_msgs/Odometry, or /tf for odom → base);
    nothing: the only Odometry topic, else /tf if it has that; none: don't look."""
    start: float = 0.0
    """Seconds after the first frame that are left out."""
    duration: float = 0.0
    """Seconds to take from there; 0: to the end."""
    max_gap: float = 0.5
    """Seconds between two frames, or two messages of the odometry, beyond which a new sequence
    begins."""

    def __post_init__(self) -> None:
        check_camera_fields(self.intrinsics, self.fov)
        require(self.start >= 0, 'start', 'zero or more seconds', self.start)
        require(self.duration >= 0, 'duration', 'zero or more seconds', self.duration)
        require(self.max_gap > 0, 'max_gap', 'above zero', self.max_gap)

    def files(self) -> Sequence[Path]:
        if self.path.is_file():
            return [self.path]
        found = [f for f in self.path.glob('*') if _belongs(f)]
        if not found:
            open_bag(self.path).close()  # says what is wrong
        return sorted(found)

    def frames(self, work: Path) -> Iterator[SourceFrame]:
        del work
        with open_bag(self.path) as bag:
            yield from _Reading(self, bag).frames()
            for problem in bag.problems:
                _logger.warning('%s: %s', self.path, problem)

    def count(self) -> int:
        with open_bag(self.path) as bag:
            count = choose_image_topic(bag, self.topic or None).count
            seconds = bag.duration_ns * 1e-9
        if seconds <= 0:
            return count
        end = min(seconds, self.start + self.duration) if self.duration else seconds
        return max(0, round(count * (end - self.start) / seconds))

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A bag's file, or a folder with metadata.yaml or such files in it."""
        if path.is_file():
            return path.suffix in SUFFIXES
        return any(_belongs(f) for f in path.glob('*'))


class _Reading:
    """One pass over a bag."""

    def __init__(self, source: BagSource, bag: Bag) -> None:
        self.source = source
        self.bag = bag
        self.topic = choose_image_topic(bag, source.topic or None)
        by_hand = source.intrinsics or source.fov
        self.info_topic = '' if by_hand else self._find_info_topic()
        self.camera: Camera | None = None
        self.no_camera = 'it has no message'  # why there is none

    def frames(self) -> Iterator[SourceFrame]:
        """All frames of the camera that can be used."""
        source = self.source
        track = read_track(self.bag, source.odometry, source.max_gap)
        sequencer = Sequencer(self.bag.path.resolve().stem, source.max_gap)
        frames = known = 0
        for stamp, image in self._pictures():
            time = stamp * 1e-9
            rectify = rectifier(self._calibration(image))
            position = track.at(time) if track else None
            place = sequencer.place(time, position, track.breaks(time) if track else 0)
            frames, known = frames + 1, known + (position is not None)
            yield SourceFrame(
                rectify(image), rectify.intrinsics, place.sequence, time, place.travelled
            )
        if track and frames and not known:
            _logger.warning(
                '%s: no frame of %s is stamped within the time of the odometry: how far it came '
                'is not known',
                self.bag.path,
                self.topic.name,
            )

    def _pictures(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Stamp (ns) and RGB picture of the frames that were asked for and can be read."""
        start, duration = self.source.start, self.source.duration
        first: int | None = None
        for message in self._messages():
            try:
                content = self.bag.deserialize(message)
                if message.topic == self.info_topic:
                    self.camera = Camera.from_info(camera_info_fields(content))
                    continue
                # Some drivers leave the stamp at zero.
                stamp = stamp_ns(content.header) or message.receive_ns
                first = stamp if first is None else first
                since = (stamp - first) * 1e-9 - start
                if since < 0 or (duration and since >= duration):
                    continue
                image = picture_on(self.topic, content)
            except MessageError as error:
                _logger.warning('%s: %s', self.bag.path, error)
                if message.topic == self.info_topic:
                    self.no_camera = str(error)
                continue
            yield stamp, image

    def _messages(self) -> Iterator[BagMessage]:
        """The first camera_info, which may come after the first frames; then all in order."""
        if not self.info_topic:
            yield from self.bag.messages([self.topic.name])
            return
        for message in self.bag.messages([self.info_topic]):
            yield message
            if self.camera is not None:
                break
        yield from self.bag.messages([self.topic.name, self.info_topic])

    def _find_info_topic(self) -> str:
        bag, wanted = self.bag, self.source.camera_info
        if not wanted:
            found = find_camera_info_topic(bag, self.topic.name)
            if found is None:
                raise ConfigError(
                    f'{bag.path} has no camera_info beside {self.topic.name}: {REMEDY}, or '
                    'camera_info=TOPIC'
                )
            return found
        topic = bag.topics.get(wanted) or bag.topics.get(f'/{wanted}')
        if topic is None or topic.type != CAMERA_INFO:
            there = ', '.join(t.name for t in bag.topics.values() if t.type == CAMERA_INFO)
            raise ConfigError(
                f'camera_info {wanted} is no CameraInfo topic of {bag.path}: '
                f'{f"choose from {there}" if there else REMEDY}'
            )
        return topic.name

    def _calibration(self, image: NDArray[np.uint8]) -> Calibration:
        """The calibration of ``image``; raises ConfigError where there is none."""
        height, width = image.shape[:2]
        by_hand = camera_by_hand(width, height, self.source.intrinsics, self.source.fov)
        if by_hand is not None:
            return by_hand
        about = f'camera_info on {self.info_topic} of {self.bag.path}'
        if self.camera is None:
            raise ConfigError(f'{about} cannot be used ({self.no_camera}): {REMEDY}')
        if not self.camera.calibrated:
            raise ConfigError(f'{about} has K[0] = {self.camera.k[0]:g} (uncalibrated): {REMEDY}')
        try:
            lens = _lens(self.camera, is_rectified(self.topic.name), (width, height))
            return lens.resized(width, height)
        except UserError as error:
            raise ConfigError(f'{about}: {error}') from error


def _lens(camera: Camera, rectified: bool, size: tuple[int, int]) -> Calibration:
    """The calibration that ``camera`` is, of pictures of ``size`` if it doesn't say of which."""
    width, height = camera.width or size[0], camera.height or size[1]
    k, p = camera.k, camera.p
    if not rectified:
        model = camera.distortion_model
        return Calibration(width, height, k[0], k[4], k[2], k[5], model, camera.d)
    if p[0] > 0:
        return Calibration(width, height, p[0], p[5], p[2], p[6])
    return Calibration(width, height, k[0], k[4], k[2], k[5])


def _belongs(file: Path) -> bool:
    """Whether ``file`` is part of a bag: its storage (maybe compressed), or what describes it."""
    return file.name == 'metadata.yaml' or any(s in SUFFIXES for s in file.suffixes)
