"""One camera of a bag: its topics, and its messages as the frames that the pipeline takes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_ros.bag_poses import BagPoses
from dsn_ros.bag_topics import choose_image_topic, find_camera_info_topic, picture_on
from dsn_ros.bags import Bag
from dsn_ros.camera import Camera
from dsn_ros.ground_truth import ground_truth_topic
from dsn_ros.messages import camera_info_fields
from dsn_ros.pipeline import Frame
from dsn_ros.scale import ScaleOptions

__all__ = ['BagCamera']

_STRING = 'std_msgs/msg/String'


class BagCamera:
    """What a reader of a bag's messages, one after the other, knows of the camera.

    ``topic`` and ``camera_info`` name its topics; None: the only one, and the one beside it.
    ``scale``: what measures it decides which transforms are looked up. ``condition`` is what the
    bag says of the light at present ('day', ...; '': nothing). Raises BagError where the bag has
    no such camera, or several.
    """

    def __init__(
        self, bag: Bag, topic: str | None, camera_info: str | None, scale: ScaleOptions
    ) -> None:
        self.topic = choose_image_topic(bag, topic)
        self.info_topic = camera_info or find_camera_info_topic(bag, self.topic.name)
        self.condition = ''
        self._condition_topic = ground_truth_topic(bag, 'condition', _STRING)
        self._poses = BagPoses(bag, scale)
        self._camera: Camera | None = None

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics to read: the pictures', and what :meth:`hear` listens to."""
        names = (self.topic.name, self.info_topic, self._condition_topic)
        return tuple(name for name in names if name)

    def hear(self, topic: str, content: Any) -> bool:
        """Take note of a message; returns whether it tells anything of the camera.

        Raises MessageError for a calibration that is none; the one before it stays.
        """
        if topic == self.info_topic:
            self._camera = Camera.from_info(camera_info_fields(content), self.topic.name)
        elif topic == self._condition_topic:
            self.condition = str(content.data)
        else:
            return False
        return True

    def picture(self, content: Any) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB of a message of ``topic``; raises MessageError."""
        return picture_on(self.topic, content)

    def frame(self, picture: NDArray[np.uint8], stamp_ns: int, frame_id: str) -> Frame:
        """``picture`` with all that is known of the camera at ``stamp_ns``.

        Raises MessageError for a transform that is none, and BagError where the scale cannot do
        without one that the bag does not have.
        """
        to_ground = self._poses.to_ground(frame_id, stamp_ns)
        to_odom = self._poses.to_odom(frame_id, stamp_ns)
        return Frame(picture, stamp_ns, frame_id, self._camera, to_ground, to_odom)
