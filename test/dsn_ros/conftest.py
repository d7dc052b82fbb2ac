import pytest
from support.message_worlds import ros_messages

from dsn_ros.message_builders import BagMessages


@pytest.fixture(params=['bag library', 'ROS'])
def make(request):
    """Messages of the bag library's classes, and of ROS's."""
    return BagMessages() if request.param == 'bag library' else ros_messages()
