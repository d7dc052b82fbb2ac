"""Messages as bytes and back, by ROS where it is sourced, else by the bag library."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from dsn_ros.message_builders import BagMessages, Messages, RosMessages

__all__ = ['World', 'world']


@dataclass(frozen=True)
class World:
    """``serialize``: a message → CDR bytes; ``deserialize``: those and 'package/msg/Name' → it."""

    name: str
    build: Messages
    serialize: Callable[[Any], Any]
    deserialize: Callable[[Any, str], Any]


def world() -> World:
    """ROS's messages where rclpy imports, else the bag library's."""
    try:
        cdr = import_module('rclpy.serialization')
        import_module('sensor_msgs.msg')
    except ImportError:
        messages = BagMessages()
        return World('rosbags', messages, messages.serialize, messages.store.deserialize_cdr)

    def deserialize(data: bytes, type_name: str) -> Any:
        package, _, name = type_name.split('/')
        return cdr.deserialize_message(data, getattr(import_module(f'{package}.msg'), name))

    return World('ROS', RosMessages(), cdr.serialize_message, deserialize)
