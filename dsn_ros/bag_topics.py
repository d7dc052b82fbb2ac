"""Which of a bag's topics is the camera, and what its messages show."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsn_ros.errors import BagError, MessageError
from dsn_ros.messages import bag_converter, compressed_to_rgb, image_to_rgb

if TYPE_CHECKING:
    from dsn_ros.bags import Bag

__all__ = ['TopicInfo', 'choose_image_topic', 'find_camera_info_topic', 'picture_on']

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'


@dataclass(frozen=True)
class TopicInfo:
    """One topic of a bag: its message type ('sensor_msgs/msg/Image') and number of messages."""

    name: str
    type: str
    count: int


def choose_image_topic(bag: 'Bag', wanted: str | None = None) -> TopicInfo:
    """Choose the camera topic: ``wanted``, or the only one the bag has.

    Depth topics are no camera, nor are grey ones (labels, infrared) beside a colour one. Of the
    raw and the compressed topic of one camera the one with more messages is taken.

    Raises:
        BagError: there is none, or more than one, or ``wanted`` isn't one; the text lists them.

    """
    images = [t for t in bag.topics.values() if t.type in (IMAGE, COMPRESSED_IMAGE)]
    if wanted is not None:
        found = bag.topics.get(wanted) or bag.topics.get(f'/{wanted}')
        if found is None:
            raise BagError(f'{bag.path} has no topic {wanted}: {_listed(images, bag)}')
        if found not in images:
            raise BagError(f'{found.name} is {found.type}, no image: {_listed(images, bag)}')
        if not found.count:
            raise BagError(f'{found.name} has no messages: {_listed(images, bag)}')
        if _content(bag, found) == 'depth':
            raise BagError(f'{found.name} is a depth topic, no picture: {_listed(images, bag)}')
        return found
    contents = {t: _content(bag, t) for t in images if t.count}
    candidates = [t for t, c in contents.items() if c == 'colour']
    candidates = candidates or [t for t, c in contents.items() if c == 'grey']
    if not candidates:
        raise BagError(f'{bag.path} has no image topic: {_listed([], bag)}')
    if len({_camera(t.name) for t in candidates}) > 1:
        raise BagError(
            f'{bag.path} has several image topics: choose one of '
            f'{", ".join(t.name for t in candidates)} with --topic (topic= in a configuration)'
        )
    return max(candidates, key=lambda t: (t.count, t.type == IMAGE))


def find_camera_info_topic(bag: 'Bag', image_topic: str) -> str | None:
    """Find the ``camera_info`` beside ``image_topic`` (raw or compressed), if there is one."""
    name = f'{_camera(image_topic).rpartition("/")[0]}/camera_info'
    for found in (bag.topics.get(name), bag.topics.get(name.lstrip('/'))):
        if found is not None and found.type == CAMERA_INFO:
            return found.name
    return None


def picture_on(topic: TopicInfo, content: Any) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of a message of an image topic, raw or compressed.

    Raises MessageError where it cannot be decoded.
    """
    if topic.type == IMAGE:
        return image_to_rgb(content, bag_converter)
    return compressed_to_rgb(content)


def _content(bag: 'Bag', topic: TopicInfo) -> str:
    """'colour', 'grey' or 'depth', by the first message of an image topic that can be read."""
    if topic.name.endswith('/compressedDepth'):
        return 'depth'
    for message in bag.messages([topic.name]):
        try:
            image = bag.deserialize(message)
        except MessageError:
            continue
        form = str(image.encoding if topic.type == IMAGE else image.format)
        encoding = form.partition(';')[0].strip()
        if encoding in ('mono8', 'mono16', '8UC1'):
            return 'grey'
        if 'compresseddepth' in form.lower() or re.fullmatch(r'\d+[USF]C1', encoding):
            return 'depth'
        break
    return 'colour'


def _camera(topic: str) -> str:
    """Name of an image topic without its transport."""
    return topic.removesuffix('/compressed')


def _listed(topics: Sequence[TopicInfo], bag: 'Bag') -> str:
    """Say what there is to choose from: ``topics``, or else all of the bag's."""
    what = 'its image topics are' if topics else 'its topics are'
    listed = ', '.join(f'{t.name} ({t.type}, {t.count})' for t in topics or bag.topics.values())
    return f'{what} {listed}' if listed else 'it has no topics at all'
