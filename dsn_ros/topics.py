"""The node's topics: how inputs are subscribed to, and the outputs made, filled and asked after.

ROS is imported when the topics are made, not before.
"""

import math
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_ros.diagnostics import Diagnosis
from dsn_ros.errors import UserError
from dsn_ros.message_builders import RosMessages
from dsn_ros.obstacles import ObstacleOptions, obstacle_classes, obstacle_cloud
from dsn_ros.output_messages import output_messages
from dsn_ros.pipeline import Perception

__all__ = ['OutputTopics', 'diagnostic_status', 'image_topic', 'subscribe', 'unfit']

# topic: (package, message). Relative names: a namespace or a remapping moves them.
TOPICS = {
    'depth/image': ('sensor_msgs', 'Image'),
    'depth/camera_info': ('sensor_msgs', 'CameraInfo'),
    'labels/image': ('sensor_msgs', 'Image'),
    'labels/confidence': ('sensor_msgs', 'Image'),
    'labels/label_info': ('vision_msgs', 'LabelInfo'),
    'points': ('sensor_msgs', 'PointCloud2'),
    'obstacles': ('sensor_msgs', 'PointCloud2'),
    'overlay/image': ('sensor_msgs', 'Image'),
    'status': ('dsn_msgs', 'PerceptionStatus'),
}
LATCHED = 'labels/label_info'
OPTIONAL = 'status'


class OutputTopics:
    """Lifecycle publishers of all outputs of ``node`` (an rclpy LifecycleNode).

    ``obstacles`` is asked for the options of the obstacle cloud whenever one is made.
    """

    def __init__(self, node: Any, prefix: str, obstacles: Callable[[], ObstacleOptions]) -> None:
        from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
        from rclpy.qos_overriding_options import QoSOverridingOptions

        self._node = node
        self._messages = RosMessages()
        self._obstacles = obstacles
        self._is_obstacle = obstacle_classes(())
        self._publishers: dict[str, Any] = {}
        for topic, message in _message_types().items():
            latched = topic == LATCHED
            # Reliable: matches best-effort subscribers too, while the reverse leaves RViz empty.
            qos = QoSProfile(
                depth=1 if latched else 5,
                reliability=ReliabilityPolicy.RELIABLE,
                durability=DurabilityPolicy.TRANSIENT_LOCAL
                if latched
                else DurabilityPolicy.VOLATILE,
            )
            self._publishers[topic] = node.create_lifecycle_publisher(
                message,
                f'{prefix}{topic}',
                qos,
                # A latched topic that a parameter could make volatile would be a trap.
                qos_overriding_options=None
                if latched
                else QoSOverridingOptions.with_default_policies(),
            )

    @property
    def has_status(self) -> bool:
        """Whether dsn_msgs is built, so that there is a status topic."""
        return OPTIONAL in self._publishers

    def wanted(self, topic: str) -> bool:
        """Whether anybody listens to ``topic``."""
        publisher = self._publishers.get(topic)
        return publisher is not None and publisher.get_subscription_count() > 0

    def any_wanted(self) -> bool:
        """Whether anybody listens to an output that a frame is needed for."""
        return any(self.wanted(topic) for topic in TOPICS if topic != LATCHED)

    def publish_label_info(self, names: tuple[str, ...], stamp_ns: int) -> None:
        """Publish which class each label id is; latched, so once is enough."""
        self._is_obstacle = obstacle_classes(names)
        message = self._messages.label_info(names, self._messages.header(stamp_ns, ''))
        self._publishers[LATCHED].publish(message)

    def publish(self, seen: Perception) -> None:
        """Publish what was seen in a frame, with its stamp and frame; only what is wanted."""
        messages = output_messages(seen, self._messages, self.wanted, self._obstacle_cloud)
        for topic, message in messages:
            self._send(topic, message)

    def publish_status(self, seen: Perception, **fields: Any) -> None:
        """Publish PerceptionStatus with what ``seen`` says and ``fields``, if it is wanted."""
        if not self.wanted(OPTIONAL):
            return
        message = import_module('dsn_msgs.msg').PerceptionStatus(
            header=self._messages.header(seen.stamp_ns, seen.frame_id),
            metric=seen.scale.metric,
            scale=seen.scale.factor,
            scale_spread=math.nan if seen.scale.spread is None else seen.scale.spread,
            scale_source=seen.scale.source,
            lighting=seen.lighting.condition,
            darkness=seen.lighting.darkness,
            calibrated=seen.camera is not None,
            faults=list(seen.faults),
            **fields,
        )
        self._send(OPTIONAL, message)

    def unfit(self) -> list[str]:
        """Say which subscribers do not get what they ask for, and why."""
        return [line for each in self._publishers.values() for line in unfit(self._node, each)]

    def destroy(self) -> None:
        """Take the topics away."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers.clear()

    def _obstacle_cloud(self, seen: Perception) -> NDArray[np.void]:
        return obstacle_cloud(seen, self._is_obstacle, self._obstacles())

    def _send(self, topic: str, message: Any) -> None:
        self._publishers[topic].publish(message)


def _message_types() -> dict[str, Any]:
    """The message class of every topic, all of them before any topic is made."""
    types = {}
    for topic, (package, name) in TOPICS.items():
        try:
            types[topic] = getattr(import_module(f'{package}.msg'), name)
        except ImportError as error:
            if topic != OPTIONAL:
                raise UserError(
                    f'{package} does not import ({error}): install ros-$ROS_DISTRO-'
                    f'{package.replace("_", "-")}'
                ) from error
    return types


def subscribe(node: Any, message: Any, topic: str, callback: Any) -> Any:
    """Subscribe as to a sensor: best effort (takes reliable publishers too), the newest only."""
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from rclpy.qos_overriding_options import QoSOverridingOptions

    return node.create_subscription(
        message,
        topic,
        callback,
        QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT),
        qos_overriding_options=QoSOverridingOptions.with_default_policies(),
    )


def unfit(node: Any, own: Any) -> list[str]:
    """Say who does not get through to ``own``, a publisher or subscription of ``node``, and why.

    The middleware connects no ends of which one asks for more than the other one offers.
    """
    from rclpy.qos import QoSCompatibility, qos_check_compatible

    topic, listens = str(own.topic_name), not hasattr(own, 'publish')
    ask = node.get_publishers_info_by_topic if listens else node.get_subscriptions_info_by_topic
    lines = []
    for other in ask(topic):
        ends = (other.qos_profile, own.qos_profile)
        fits, why = qos_check_compatible(*(ends if listens else ends[::-1]))
        if fits == QoSCompatibility.ERROR:
            name = f'{other.node_namespace.rstrip("/")}/{other.node_name}'
            what = 'publishes' if listens else 'subscribes to'
            end = 'subscription' if listens else 'publisher'
            lines.append(
                f'{name} {what} {topic} with a QoS that does not fit '
                f'({why.strip("; ").removeprefix("ERROR: ")}): nothing gets through; change it '
                f'there, or here by qos_overrides.{topic}.{end}'
            )
    return lines


def image_topic(node: Any, compressed: bool, prefix: str = '') -> str:
    """Return the topic of a camera's images; /compressed follows a remapping of ``image``."""
    image = f'{prefix}image'
    base = str(node.resolve_topic_name(image))
    if not compressed:
        return base
    named = str(node.resolve_topic_name(f'{image}/compressed'))
    plain = str(node.resolve_topic_name(f'{image}/compressed', only_expand=True))
    return named if named != plain else f'{base}/compressed'


def diagnostic_status(diagnosis: Diagnosis, name: str, device: str) -> Any:
    """Make the ``diagnostic_msgs/DiagnosticStatus`` that says ``diagnosis``."""
    package = import_module('diagnostic_msgs.msg')
    return package.DiagnosticStatus(
        level=bytes([diagnosis.level]),
        name=name,
        message=diagnosis.message,
        hardware_id=device,
        values=[package.KeyValue(key=key, value=value) for key, value in diagnosis.values],
    )
