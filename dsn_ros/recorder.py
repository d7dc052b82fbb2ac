"""Perceptions → an mcap that Foxglove, RViz and ``ros2 bag`` open, written without ROS."""

from pathlib import Path
from types import TracebackType
from typing import Any

import cv2

from dsn_core.visual import overlay
from dsn_ros.bag_writer import BagWriter
from dsn_ros.camera import Camera
from dsn_ros.messages import stamp_ns
from dsn_ros.output_messages import output_messages
from dsn_ros.pipeline import Perception

__all__ = ['Recorder']

_MAPS = ('depth/image', 'depth/camera_info', 'labels/image', 'labels/confidence')
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 85]


class Recorder:
    """Writes ``perception.mcap`` into a folder, where it stands when the ``with`` block ends well.

    Topics are those of the node below ``/perception``, and a JPEG of the input beside them, all
    with the input's stamp and frame.
    """

    def __init__(self, folder: Path, class_names: tuple[str, ...], points: bool = False) -> None:
        self._folder = folder
        self._names = class_names
        self._topics = {*_MAPS, 'points'} if points else {*_MAPS}
        self._bag = BagWriter(folder / 'perception')
        self._messages = self._bag.build
        self._label_info_written = False

    def __enter__(self) -> 'Recorder':
        self._bag.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bag.__exit__(kind, error, traceback)
        # The library makes a folder around the file.
        made = self._folder / 'perception' / 'perception.mcap'
        if kind is None:
            made.replace(self._folder / 'perception.mcap')
            (self._folder / 'perception' / 'metadata.yaml').unlink()
            made.parent.rmdir()

    def write(self, perception: Perception) -> None:
        """Write one frame's outputs."""
        build, stamp = self._messages, perception.stamp_ns
        header = build.header(stamp, perception.frame_id)
        if not self._label_info_written:
            self._put('labels/label_info', build.label_info(self._names, header), stamp)
            self._label_info_written = True
        for topic, message in output_messages(perception, build, self._topics.__contains__):
            self._put(topic, message, stamp)
        painted = overlay(perception.image, perception.labels)
        for topic, picture in (('image', perception.image), ('overlay/image', painted)):
            ok, data = cv2.imencode('.jpg', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), _JPEG)
            assert ok, 'an 8-bit picture can always be encoded'
            message = build.compressed_image(data.tobytes(), 'jpeg', header)
            self._put(f'{topic}/compressed', message, stamp)

    def write_input(self, topic: str, type_name: str, data: bytes, stamp_ns: int) -> None:
        """Write a message as it came in: ``data`` is the CDR of a ``type_name``."""
        self._bag.write_serialized(topic, type_name, data, stamp_ns)

    def write_camera_info(self, topic: str, camera: Camera, seen: Perception) -> None:
        """Write the calibration of the camera that ``seen`` was made of."""
        header = self._messages.header(seen.stamp_ns, seen.frame_id)
        self._put(topic, self._messages.camera_info(camera.to_info(), header), seen.stamp_ns)

    def write_transforms(self, topic: str, message: Any, receive_ns: int) -> None:
        """Copy a tf message of the source bag, whichever ROS it came from."""
        transforms = []
        for each in message.transforms:
            move, turn = each.transform.translation, each.transform.rotation
            stamp = stamp_ns(each.header)
            xyz, quaternion = (move.x, move.y, move.z), (turn.x, turn.y, turn.z, turn.w)
            transforms.append((stamp, each.header.frame_id, each.child_frame_id, xyz, quaternion))
        self._put(topic, self._messages.tf_message(transforms), receive_ns)

    def _put(self, topic: str, message: Any, stamp_ns: int) -> None:
        name = topic if topic.startswith('/') else f'/perception/{topic}'
        self._bag.write(name, message, stamp_ns)
