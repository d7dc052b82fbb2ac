"""The truth that a bag carries: found by name or given, and led to a comparison."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_core.errors import quoted
from dsn_ros.bag_tf import ODOMETRY, TransformTree, read_tree
from dsn_ros.bag_topics import IMAGE, TopicInfo
from dsn_ros.bags import Bag
from dsn_ros.comparison import Comparison
from dsn_ros.errors import BagError, MessageError, UserError
from dsn_ros.lidar_truth import LidarTruth, choose_lidar, lidar_topics
from dsn_ros.messages import image_view, stamp_ns
from dsn_ros.pipeline import Perception

__all__ = ['GroundTruth', 'TruthOptions', 'ground_truth_topic']

_ENCODINGS = {'depth': ('32FC1', '16UC1', 'mono16'), 'labels': ('mono8', '8UC1')}


@dataclass(frozen=True)
class TruthOptions:
    """What to compare with: topics, or None to find them by name.

    ``depth``, ``labels``: image topics. ``lidar``: a PointCloud2 topic in the stead of a depth
    image, or 'auto': the only one that tf connects with the camera.
    """

    depth: str | None = None
    labels: str | None = None
    lidar: str | None = None

    def __post_init__(self) -> None:
        if self.depth and self.lidar:
            raise UserError('depth is compared with --depth-truth or with --lidar: give one')


class GroundTruth:
    """Takes the messages of truth topics and what was perceived, and scores the one by the other.

    ``calibrated``: whether the camera's lens is known, without which a LiDAR is of no use.
    Raises BagError where ``bag`` has no truth, or not the one that is wanted.
    """

    def __init__(
        self,
        bag: Bag,
        camera: TopicInfo,
        class_names: Sequence[str],
        options: TruthOptions,
        calibrated: bool,
    ) -> None:
        self.problems: list[str] = []
        self.topics = _image_topics(bag, options)
        self.lidar = None
        if options.lidar or 'depth' not in self.topics.values():
            self.lidar = _find_lidar(bag, camera, options.lidar, calibrated)
        if self.lidar is not None:
            self.topics[self.lidar.topic.name] = 'lidar'
        if not self.topics:
            raise BagError(
                f'{bag.path} has no ground truth to compare with: name its topics with '
                '--depth-truth, --labels-truth or --lidar, or leave --compare out'
            )
        kinds = {'depth' if kind == 'lidar' else kind for kind in self.topics.values()}
        self._comparison = Comparison(class_names, sorted(kinds))

    @property
    def waiting(self) -> bool:
        """Whether something perceived still waits for its truth."""
        return self._comparison.waiting

    def add(self, perception: Perception, condition: str) -> None:
        """Take what was perceived, in what condition ('day', 'night', ... or '')."""
        self._comparison.add(perception, condition)
        if self.lidar is not None:
            self._add_depths(self.lidar.add_frame(perception))

    def take(self, topic: str, message: Any) -> None:
        """Take a message of one of ``topics``; raises MessageError if it cannot be used."""
        kind = self.topics[topic]
        if kind == 'lidar':
            assert self.lidar is not None
            self._add_depths(self.lidar.add_cloud(message))
            return
        stamp = stamp_ns(message.header)
        encodings = _ENCODINGS[kind]
        if message.encoding not in encodings:
            raise MessageError(
                f'{topic} is {quoted(message.encoding)}, but {kind} to compare with must be '
                f'{" or ".join(encodings)}: name another topic with --{kind}-truth'
            )
        if kind == 'labels':
            self._comparison.add_labels(stamp, np.array(image_view(message)))
            return
        depth: NDArray[np.float32] = np.asarray(image_view(message), dtype=np.float32)
        if message.encoding != '32FC1':  # millimetres
            depth = depth / np.float32(1000)
        self._comparison.add_depth(stamp, depth)

    def finish(self) -> dict[str, Any]:
        """What metrics.json says of the comparison; call it once, at the end."""
        if self.lidar is not None:
            self._add_depths(self.lidar.finish())
            for reason, count in self.lidar.without.items():
                self.problems.append(f'{count} frames not compared with LiDAR: {reason}')
            if not self.lidar.moving:
                self.problems.append(
                    f'nothing tells how {self.lidar.topic.frame_id} moves (no odometry, no tf of '
                    'a moving base): clouds are taken as measured at the stamp of the picture'
                )
        rows = self._comparison.result()
        if not rows:
            self.problems.append(
                'not one frame was compared: ground truth must have the stamps of the pictures'
            )
        found: dict[str, Any] = {
            'depth' if kind == 'lidar' else kind: topic for topic, kind in self.topics.items()
        }
        result = {'comparison': rows, 'ground_truth': found}
        if self.lidar is not None:
            result['lidar'] = self.lidar.summary()
        return result

    def _add_depths(self, depths: Iterable[tuple[int, NDArray[np.float32] | None]]) -> None:
        for stamp, depth in depths:
            self._comparison.add_depth(stamp, depth)


def ground_truth_topic(bag: Bag, kind: str, message_type: str) -> str | None:
    """The first topic of a type with ``ground_truth`` and ``kind`` among the parts of its name."""
    for name, topic in sorted(bag.topics.items()):
        parts = name.strip('/').split('/')
        if topic.type == message_type and 'ground_truth' in parts and kind in parts:
            return name
    return None


def _image_topics(bag: Bag, options: TruthOptions) -> dict[str, str]:
    """{topic: 'depth' or 'labels'} of the images to compare with."""
    found = {}
    for kind, topic in {'depth': options.depth, 'labels': options.labels}.items():
        if kind == 'depth' and options.lidar:
            continue
        name = topic or ground_truth_topic(bag, kind, IMAGE)
        if name is not None and name not in bag.topics:
            raise BagError(f'{bag.path} has no topic {name}: see --{kind}-truth')
        if name is not None:
            found[name] = kind
    return found


def _find_lidar(
    bag: Bag, camera: TopicInfo, wanted: str | None, calibrated: bool
) -> LidarTruth | None:
    """The LiDAR that is wanted, or the only one; None where none is wanted and none is plain."""
    if not calibrated:
        if wanted:
            raise BagError(
                f'{camera.name} of {bag.path} has no camera_info, without which LiDAR points have '
                'no pixel: name its topic with --camera-info, or give --fov'
            )
        return None
    frame = _frame_of(bag, camera)
    tree = _tree(bag)
    if wanted is None:
        found = lidar_topics(bag, tree, frame)
        return LidarTruth(found[0], tree, frame) if len(found) == 1 else None
    return LidarTruth(choose_lidar(bag, tree, frame, wanted), tree, frame)


def _tree(bag: Bag) -> TransformTree:
    return read_tree(bag, [t.name for t in bag.topics.values() if t.type == ODOMETRY])


def _frame_of(bag: Bag, camera: TopicInfo) -> str:
    """The frame of the first picture that can be read."""
    for message in bag.messages([camera.name]):
        try:
            return str(bag.deserialize(message).header.frame_id).lstrip('/')
        except MessageError:
            continue
    return ''
