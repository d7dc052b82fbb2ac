"""A frame from bytes to bytes through the node's parts: all outputs, every stage timed."""

from dataclasses import replace

import pytest
from support.stand_in_engine import StandInEngine

from dsn_ros.bench.journey import CASES, Journey
from dsn_ros.bench.worlds import World, world
from dsn_ros.message_builders import BagMessages
from dsn_ros.watched_engine import WatchedEngine

SIZE = (96, 128)  # of the camera's pictures
STAGES = {
    *('receive', 'decode', 'resize', 'infer', 'sanity', 'scale', 'light', 'finish', 'hand over'),
    *('maps', 'overlay', 'points', 'obstacles', 'serialize', 'total'),
}
TOPICS = {
    'sensor_msgs/msg/Image': 4,  # depth, labels, confidence, overlay
    'sensor_msgs/msg/CameraInfo': 1,
    'sensor_msgs/msg/PointCloud2': 2,  # points and obstacles
}


def listening_world(heard):
    """The bag library's messages, all of which are appended to ``heard`` as they go out."""
    build = BagMessages()

    def serialize(message):
        heard.append(message)
        return build.serialize(message)

    return World('rosbags', build, serialize, build.store.deserialize_cdr)


@pytest.fixture
def journey():
    made, engines = [], []

    def make(case, messages=None, engine=None):
        watched = WatchedEngine(lambda: engine or StandInEngine())
        engines.append(watched)
        made.append(Journey(watched, case, SIZE, messages or world()))
        return made[-1]

    yield make
    for each in (*made, *engines):
        each.close()


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
def test_every_stage_is_timed_and_they_make_up_the_whole(journey, case):
    one = journey(case)
    one()
    one()
    assert len(one.frames) == 2
    for frame in one.frames:
        assert set(frame) == STAGES
        parts = sum(ms for stage, ms in frame.items() if stage != 'total')
        assert parts == pytest.approx(frame['total'])
        assert all(ms >= 0 for ms in frame.values())


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
def test_all_outputs_go_out_at_their_size(journey, case):
    heard = []
    one = journey(case, listening_world(heard))
    heard.clear()  # what the camera sends
    one()
    kinds = [message.__msgtype__ for message in heard]
    expected = dict(TOPICS)
    if case.options.scale.measured:  # no road that an engine of rows could be scaled by
        expected['sensor_msgs/msg/PointCloud2'] = 1
    assert {kind: kinds.count(kind) for kind in set(kinds)} == expected
    size = SIZE if case.options.output_size == 'camera' else (64, 96)
    assert {(m.height, m.width) for m in heard if m.height > 1} == {size}


def test_a_frame_that_is_dropped_says_why(journey):
    class Broken(StandInEngine):
        def infer(self, images):
            raise RuntimeError('the engine broke')

    one = journey(CASES[0], engine=Broken())
    with pytest.raises(RuntimeError, match='the engine broke'):
        one()
    assert one.frames == []


def test_frames_follow_each_other_in_time(journey):
    heard = []
    one = journey(CASES[0], listening_world(heard))
    heard.clear()
    one()
    one()
    stamps = {(m.header.stamp.sec, m.header.stamp.nanosec) for m in heard}
    assert stamps == {(0, 100_000_000), (0, 200_000_000)}


def test_a_lens_is_taken_out(journey):
    heard = []
    one = journey(replace(CASES[0], lens=True), listening_world(heard))
    heard.clear()
    one()
    (info,) = (m for m in heard if m.__msgtype__ == 'sensor_msgs/msg/CameraInfo')
    assert not any(info.d)


def test_ros_messages_survive_the_way_to_bytes_and_back():
    pytest.importorskip('rclpy.serialization', reason='ROS 2 is not sourced')
    pytest.importorskip('sensor_msgs.msg', reason='ROS 2 is not sourced')
    ros = world()
    assert ros.name == 'ROS'
    message = ros.build.string('hello')
    again = ros.deserialize(ros.serialize(message), 'std_msgs/msg/String')
    assert again.data == 'hello'


def test_ros_s_messages_make_the_journey(journey):
    pytest.importorskip('rclpy.serialization', reason='ROS 2 is not sourced')
    pytest.importorskip('sensor_msgs.msg', reason='ROS 2 is not sourced')
    one = journey(CASES[0])
    one()
    assert set(one.frames[0]) == STAGES
