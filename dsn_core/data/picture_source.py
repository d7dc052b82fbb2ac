"""Frames that lie about as pictures or as a video, of one camera."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.data.calibration import REMEDY, Calibration, camera_by_hand, check_camera_fields
from dsn_core.data.damaged import Damaged
from dsn_core.data.drives import read_poses
from dsn_core.data.picture_file import (
    PICTURES,
    VIDEOS,
    clips,
    list_pictures,
    natural,
    read_picture,
    to_rgb,
)
from dsn_core.data.rectify import rectifier
from dsn_core.data.sequencer import Sequencer
from dsn_core.data.source import FrameSource, SourceFrame
from dsn_core.errors import ConfigError, UserError, require

__all__ = ['NamedFrame', 'PicturesSource']

CALIBRATIONS = ('calibration.yaml', 'camera_info.yaml')


class NamedFrame(NamedTuple):
    """A frame, and what only a file of pictures knows of it."""

    frame: SourceFrame
    name: str
    """As ``dsn infer`` names what it writes of the same path: FOLDER/PICTURE, VIDEO/NNNNNN."""
    pose: NDArray[np.float64] | None
    """(3, 4) camera to world, metres; None: not known."""


@dataclass(frozen=True)
class PicturesSource(FrameSource, kind='pictures'):
    """A folder of pictures, a folder of such folders, or a video.

    Pictures are taken in the natural order of their names. Where those are numbered, the time
    follows the numbers: a hole of more than one picture begins a new sequence, and so does a name
    that differs in anything else (clip1_0099, clip2_0000).
    """

    path: Path
    """The folder or video. Each folder of pictures in it is a recording of its own."""
    calibration: Path | None = None
    """YAML file as ROS' camera_calibration writes it; without one (and without ``intrinsics`` or
    ``fov``): calibration.yaml or camera_info.yaml beside the pictures. Distortion is undone."""
    intrinsics: tuple[float, ...] = ()
    """fx, fy, cx, cy in pixels of undistorted pictures, in the calibration's stead."""
    fov: float = 0.0
    """Degrees that undistorted pictures show from left to right, in the calibration's stead."""
    fps: float = 10.0
    """Pictures a second. A video has its own."""
    poses: Path | None = None
    """Text file of camera poses, 12 numbers a row for each picture (KITTI's odometry: 3 x 4,
    camera to world, metres); looked for beside the pictures first. None: the way is not known."""

    def __post_init__(self) -> None:
        check_camera_fields(self.intrinsics, self.fov)
        by_hand = bool(self.intrinsics or self.fov)
        require(
            not (self.calibration and by_hand),
            'calibration',
            'left out where intrinsics or fov are given',
            str(self.calibration),
        )
        require(self.fps > 0, 'fps', 'above zero', self.fps)

    def files(self) -> Sequence[Path]:
        files: dict[Path, None] = {}
        for recording in self._recordings():
            files |= dict.fromkeys(recording.files)
            about = (self._calibration_file(recording), self._poses_file(recording))
            files |= dict.fromkeys(f for f in about if f is not None)
        return list(files)

    def frames(self, work: Path) -> Iterator[SourceFrame]:
        del work
        return (named.frame for named in self.named_frames())

    def named_frames(self) -> Iterator[NamedFrame]:
        """The same frames as ``frames``, with their names and poses."""
        for recording in self._recordings():
            read = _video_frames if recording.video else _picture_frames
            file = self._calibration_file(recording)
            calibration = Calibration.read(file) if file else None
            poses = self._poses(recording)
            sequencer = Sequencer(recording.name)
            damaged = Damaged(recording.folder, len(recording.files))
            for index, (file_name, image, time, run) in enumerate(
                read(recording, self.fps, damaged)
            ):
                if image is None:
                    sequencer.cut()
                    continue
                height, width = image.shape[:2]
                try:
                    camera = camera_by_hand(width, height, self.intrinsics, self.fov)
                    if camera is None:
                        assert calibration is not None
                        camera = calibration.resized(width, height)
                    rectify = rectifier(camera)
                except UserError as error:
                    raise ConfigError(f'{file or self.path}: {error}') from error
                pose = None
                if poses is not None:
                    if index >= len(poses):
                        raise ConfigError(
                            f'poses {self._poses_file(recording)} has {len(poses)} rows, but '
                            f'{recording.files[0]} holds more frames: it must have one for each'
                        )
                    pose = poses[index]
                place = sequencer.place(time, None if pose is None else pose[:, 3], run)
                frame = SourceFrame(
                    rectify(image), rectify.intrinsics, place.sequence, time, place.travelled
                )
                within = (
                    f'{recording.folder.name}/' if recording.folder.parent == self.path else ''
                )
                yield NamedFrame(frame, f'{within}{file_name}', pose)
            damaged.tell()

    def count(self) -> int:
        return sum(
            _video_length(r.files[0]) if r.video else len(r.files) for r in self._recordings()
        )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A video, or a folder of pictures or of such folders, that no other kind recognises."""
        if path.is_file():
            return path.suffix.lower() in VIDEOS
        others = (member for member in FrameSource.kinds.values() if member is not cls)
        for other in others:
            assert issubclass(other, FrameSource)
            if other.recognises(path):
                return False
        try:
            return bool(_find(path))
        except OSError:  # a folder that may not be read
            return False

    def _recordings(self) -> list['_Recording']:
        if not self.path.exists():
            raise ConfigError(f'path {self.path} is not there: check it')
        recordings = _find(self.path)
        if not recordings:
            raise ConfigError(
                f'path {self.path} is no video ({" ".join(VIDEOS)}) and holds no pictures '
                f'({" ".join(PICTURES)}), nor do the folders in it'
            )
        return recordings

    def _calibration_file(self, recording: '_Recording') -> Path | None:
        """The recording's calibration; None where ``intrinsics`` or ``fov`` are given."""
        if self.intrinsics or self.fov:
            return None
        if self.calibration is not None:
            if not self.calibration.is_file():
                raise ConfigError(f'calibration {self.calibration} is not there: check the path')
            return self.calibration
        folders = dict.fromkeys((recording.folder, self.path))
        for file in (folder / name for folder in folders for name in CALIBRATIONS):
            if file.is_file():
                return file
        raise ConfigError(
            f'the camera of {recording.folder} is not known (it holds no '
            f'{" or ".join(CALIBRATIONS)}): {REMEDY}, or calibration=FILE.yaml'
        )

    def _poses_file(self, recording: '_Recording') -> Path | None:
        if self.poses is None:
            return None
        for file in (recording.folder / self.poses, self.poses):
            if file.is_file():
                return file
        raise ConfigError(
            f'poses {self.poses} is not there, nor in {recording.folder}: check the path'
        )

    def _poses(self, recording: '_Recording') -> NDArray[np.float64] | None:
        file = self._poses_file(recording)
        if file is None:
            return None
        return read_poses(file, None if recording.video else len(recording.files))


@dataclass(frozen=True)
class _Recording:
    """Pictures of one folder, in order, or one video."""

    name: str
    folder: Path
    files: list[Path]
    video: bool = False


def _find(path: Path) -> list[_Recording]:
    """The recordings at ``path``; none if it is something else."""
    if path.is_file():
        if path.suffix.lower() not in VIDEOS:
            return []
        return [_Recording(path.stem, path.parent, [path], video=True)]
    if not path.is_dir():
        return []
    folders = [path]
    if not list_pictures(path):
        folders = sorted((f for f in path.iterdir() if f.is_dir()), key=lambda f: natural(f.name))
    found = ((folder, list_pictures(folder)) for folder in folders)
    return [_Recording(f.resolve().name, f, pictures) for f, pictures in found if pictures]


def _picture_frames(
    recording: _Recording, fps: float, damaged: Damaged
) -> Iterator[tuple[str, NDArray[np.uint8] | None, float, int]]:
    """Name, picture, seconds, and a number that changes where a new sequence begins.

    None in the place of a picture that is left out.
    """
    for number, clip in enumerate(clips(recording.files)):
        for file, frame in clip:
            bgr = damaged.picture(file, partial(read_picture, file))
            yield file.stem, None if bgr is None else to_rgb(bgr), frame / fps, number


def _video_frames(
    recording: _Recording, fps: float, damaged: Damaged
) -> Iterator[tuple[str, NDArray[np.uint8], float, int]]:
    del damaged  # a decoder bridges what it cannot read by itself
    (file,) = recording.files
    capture = cv2.VideoCapture(str(file))
    try:
        own = capture.get(cv2.CAP_PROP_FPS)
        fps = own if 0 < own < 1000 else fps
        index = 0
        while True:
            ok, picture = capture.read()
            if not ok:
                break
            yield f'{file.stem}/{index:06d}', to_rgb(picture), index / fps, 0
            index += 1
    finally:
        capture.release()
    if index == 0:
        raise UserError(f'{file} cannot be decoded: convert it to H.264 in an mp4')


def _video_length(file: Path) -> int:
    capture = cv2.VideoCapture(str(file))
    frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    capture.release()
    return max(frames, 0)
