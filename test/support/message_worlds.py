"""ROS's message classes for a test that does not ask for its fixture."""

import pytest

from dsn_ros.message_builders import RosMessages


def ros_messages():
    for package in ('sensor_msgs.msg', 'std_msgs.msg', 'vision_msgs.msg', 'tf2_msgs.msg'):
        pytest.importorskip(package, reason=f"{package}: ROS's message packages are not sourced")
    return RosMessages()
