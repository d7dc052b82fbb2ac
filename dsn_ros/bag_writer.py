"""Writes ROS 2 bags as compressed mcap, without ROS."""

from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode

from dsn_ros.message_builders import BagMessages

__all__ = ['BagWriter']

_FOREVER = QosTime(0, 0)
# What a late subscriber must still get when the bag is played, as from the node itself.
_LATCHED = Qos(
    QosHistory.KEEP_LAST,
    1,
    QosReliability.RELIABLE,
    QosDurability.TRANSIENT_LOCAL,
    _FOREVER,
    _FOREVER,
    QosLiveliness.AUTOMATIC,
    _FOREVER,
    False,
)
_LATCHED_TYPES = ('vision_msgs/msg/LabelInfo',)
_LATCHED_TOPICS = ('/tf_static',)


class BagWriter:
    """Writes the bag folder ``path`` (it must not exist yet) with one file, ``NAME.mcap``.

    ``build`` makes the messages that ``write`` takes.
    """

    def __init__(self, path: Path) -> None:
        self.build = BagMessages()
        self._writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
        # Depth and labels of a street compress five-fold and more.
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._connections: dict[str, Any] = {}

    def __enter__(self) -> 'BagWriter':
        self._writer.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.close()

    def write(self, topic: str, message: Any, stamp_ns: int) -> None:
        """Write one message, received at ``stamp_ns``."""
        self.write_serialized(topic, message.__msgtype__, self.build.serialize(message), stamp_ns)

    def write_serialized(
        self, topic: str, type_name: str, data: bytes | memoryview, stamp_ns: int
    ) -> None:
        """Write a message of ``type_name`` ('sensor_msgs/msg/Image') that is CDR already."""
        if topic not in self._connections:
            latched = topic in _LATCHED_TOPICS or type_name in _LATCHED_TYPES
            self._connections[topic] = self._writer.add_connection(
                topic,
                type_name,
                typestore=self.build.store,
                offered_qos_profiles=[_LATCHED] if latched else [],
            )
        self._writer.write(self._connections[topic], stamp_ns, data)
