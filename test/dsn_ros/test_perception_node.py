"""The node with real ROS: in a process of its own, spoken to over topics and services."""

import signal
import time

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not sourced: rclpy does not import')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from support.bag_factory import picture
from support.perception_process import (
    ACTIVATE,
    CLEANUP,
    CONFIGURE,
    DEACTIVATE,
    FAST,
    PerceptionProcess,
    Robot,
    stamps,
)
from vision_msgs.msg import LabelInfo

from dsn_ros.camera import Camera
from dsn_ros.cloud import CLOUD_DTYPE
from dsn_ros.engines import load_engine
from dsn_ros.messages import image_view, stamp_ns
from dsn_ros.pipeline import Frame, Pipeline

HEIGHT, WIDTH = 128, 192
CAMERA = Camera.pinhole(WIDTH, HEIGHT, 160.0, 160.0, 95.5, 63.5)
START = 1_700_000_000_123_456_789
PERIOD = 100_000_000
NEWER = 'dropped: newer frame came'


@pytest.fixture(scope='module')
def perception(tiny_model, tmp_path_factory):
    """One active node for all the tests that leave it as it was."""
    process = PerceptionProcess(tmp_path_factory.mktemp('node'), model=tiny_model, **FAST)
    starter = Robot(process.domain)
    try:
        assert starter.transition(CONFIGURE), process.said
        assert starter.transition(ACTIVATE), process.said
        yield process
        assert process.stop() == 0, process.said
        assert 'Traceback' not in process.said
    finally:
        starter.close()
        process.close()


@pytest.fixture
def robot(perception):
    robot = Robot(perception.domain)
    yield robot
    robot.close()


@pytest.fixture(scope='module')
def pipeline(tiny_model):
    return Pipeline(load_engine(tiny_model, 'onnxruntime', threads=1))


def image(robot, stamp, encoding='rgb8', seed=0):
    array = picture(HEIGHT, WIDTH, seed)
    array = array[..., ::-1] if encoding == 'bgr8' else array
    return robot.messages.image(np.ascontiguousarray(array), encoding, robot.header(stamp))


def give_camera_info(robot):
    publisher = robot.publisher(CameraInfo, '/camera_info')
    robot.insist(publisher, robot.messages.camera_info(CAMERA.to_info(), robot.header(START)))


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8'])
def test_each_frame_gives_one_set_of_outputs_with_its_stamp_and_frame(
    robot, perception, pipeline, encoding
):
    types = {
        '/depth/image': Image,
        '/depth/camera_info': CameraInfo,
        '/labels/image': Image,
        '/labels/confidence': Image,
        '/points': PointCloud2,
        '/overlay/image': Image,
    }
    heard = {topic: robot.listen(kind, topic) for topic, kind in types.items()}
    camera = robot.publisher(Image, '/image')
    give_camera_info(robot)
    robot.warm_up(camera, image(robot, 0), *heard.values())
    sent = [START + i * PERIOD for i in range(4)]
    for i, stamp in enumerate(sent):
        camera.publish(image(robot, stamp, encoding, seed=i))
        robot.wait(lambda n=i + 1: all(len(each) == n for each in heard.values()), f'set {i}')
    for topic, messages in heard.items():
        assert stamps(messages) == sent, topic
        assert {m.header.frame_id for m in messages} == {'camera_optical_frame'}, topic
        assert {(m.height, m.width) for m in messages} == {(64, 96)}, topic
    encodings = {topic: heard[topic][0].encoding for topic in types if types[topic] is Image}
    assert encodings == {
        '/depth/image': '32FC1',
        '/labels/image': 'mono8',
        '/labels/confidence': 'mono8',
        '/overlay/image': 'rgb8',
    }
    for i in range(len(sent)):
        seen = pipeline.process(Frame(picture(HEIGHT, WIDTH, i), camera=CAMERA))
        assert seen.scale.metric
        np.testing.assert_array_equal(image_view(heard['/depth/image'][i]), seen.depth)
        np.testing.assert_array_equal(image_view(heard['/labels/image'][i]), seen.labels)
        np.testing.assert_array_equal(image_view(heard['/labels/confidence'][i]), seen.confidence)
    assert heard['/depth/camera_info'][0].k[0] == pytest.approx(80.0)
    cloud = heard['/points'][0]
    assert cloud.row_step == cloud.width * cloud.point_step
    points = np.frombuffer(cloud.data, CLOUD_DTYPE).reshape(64, 96)
    depth = image_view(heard['/depth/image'][0])
    np.testing.assert_array_equal(np.isfinite(depth), np.isfinite(points['z']))
    np.testing.assert_array_equal(points['label'], image_view(heard['/labels/image'][0]))


def test_label_info_reaches_whoever_comes_late(robot, perception, pipeline):
    heard = robot.listen(LabelInfo, '/labels/label_info', latched=True)
    robot.wait(lambda: heard, 'LabelInfo')
    classes = {each.class_id: each.class_name for each in heard[0].class_map}
    names = pipeline.engine.metadata.class_names
    assert [classes[i] for i in range(len(names))] == list(names)
    assert classes[255] == 'unlabelled'


def test_an_unknown_encoding_is_counted_and_told_and_the_next_frame_is_seen(robot, perception):
    heard = robot.listen(Image, '/depth/image')
    camera = robot.publisher(Image, '/image')
    robot.warm_up(camera, image(robot, 0), heard)
    bad = image(robot, START)
    bad.encoding = 'rgb99'
    told = robot.listen(DiagnosticArray, '/diagnostics')

    def named():
        camera.publish(
            bad
        )  # on and on: a second or two after the last, the silence is what is told
        return next((a.status[0] for a in told if 'rgb99' in a.status[0].message), None)

    values = {each.key: each.value for each in robot.wait(named, 'a diagnosis of rgb99').values}
    assert int(values['dropped: unreadable rgb99']) >= 1
    assert not heard
    robot.insist(camera, image(robot, START + 1))
    robot.wait(lambda: heard, 'depth')
    assert set(stamps(heard)) == {START + 1}


def test_of_many_frames_at_once_the_newest_is_seen_and_the_others_are_counted(robot, perception):
    heard = robot.listen(Image, '/depth/image')
    camera = robot.publisher(Image, '/image')
    robot.warm_up(camera, image(robot, 0), heard)
    before = int(robot.diagnosis(lambda *_: True)[2].get(NEWER, 0))
    last = START + 39 * PERIOD
    for stamp in range(START, last + 1, PERIOD):
        camera.publish(image(robot, stamp))
    robot.wait(lambda: heard and stamp_ns(heard[-1].header) == last, 'the newest frame')
    assert len(heard) < 40
    assert stamps(heard) == sorted(stamps(heard))
    robot.diagnosis(lambda _l, _m, v: int(v.get(NEWER, 0)) > before, 'that counts drops')


def test_nothing_is_computed_while_nobody_listens(robot, perception):
    camera = robot.publisher(Image, '/image')
    _, _, before = robot.diagnosis(lambda _l, _m, v: v['state'] == 'active')
    for _ in range(5):
        camera.publish(image(robot, START))
        robot.spin(0.1)
    key = 'frames nobody listened for'
    _, _, after = robot.diagnosis(lambda _l, _m, v: int(v[key]) > int(before[key]), 'idle')
    assert after['frames out'] == before['frames out']


def test_live_parameters_take_effect_and_the_others_are_refused(robot, perception):
    heard = robot.listen(Image, '/depth/image')
    camera = robot.publisher(Image, '/image')
    robot.warm_up(camera, image(robot, 0), heard)
    assert robot.set_parameter('output_size', 'camera') == ''
    camera.publish(image(robot, START))
    robot.wait(lambda: heard, 'depth')
    assert (heard[-1].height, heard[-1].width) == (HEIGHT, WIDTH)
    assert robot.set_parameter('output_size', 'model') == ''
    assert 'min_confidence' in robot.set_parameter('min_confidence', 2.0)
    refusal = robot.set_parameter('engine', 'torch')
    assert 'engine' in refusal
    assert 'clean up' in refusal
    assert 'choose from model, camera' in robot.set_parameter('output_size', 'huge')


def test_a_transition_that_the_state_does_not_have_ends_nothing(robot, perception):
    client = robot.node.create_client(ChangeState, '/perception/change_state')
    robot.wait(client.service_is_ready)
    # Up to Jazzy rclpy leaves it without an answer.
    client.call_async(ChangeState.Request(transition=Transition(id=CONFIGURE)))
    robot.spin(0.5)
    robot.node.destroy_client(client)
    assert robot.state() == 'active'


def test_the_status_tells_how_the_frame_was_seen(robot, perception):
    messages = pytest.importorskip('dsn_msgs.msg', reason='dsn_msgs is not built and sourced')
    heard = robot.listen(messages.PerceptionStatus, '/status')
    camera = robot.publisher(Image, '/image')
    give_camera_info(robot)
    robot.warm_up(camera, image(robot, 0), heard)
    camera.publish(image(robot, START))
    robot.wait(lambda: heard, 'the status')
    status = heard[0]
    assert stamps(heard) == [START]
    assert (status.engine, status.model, status.camera_info) == ('onnxruntime', 'tiny', 'used')
    assert status.metric
    assert status.calibrated
    assert status.frames_in >= status.frames_out >= 1
    latency = dict(zip(status.stages, status.latency_ms, strict=True))
    assert latency['total'] >= latency['infer'] > 0
    assert (status.faults, status.engine_restarts) == ([], 0)
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    camera.publish(robot.messages.image(black, 'rgb8', robot.header(START + PERIOD)))
    robot.wait(lambda: len(heard) == 2, 'the status of a black picture')
    assert list(heard[1].faults) == ['black']


def test_without_camera_info_there_is_depth_and_it_is_called_relative(start_node, tiny_model):
    name = '/front/perception'
    arguments = ('-r', '__ns:=/front', '-r', 'image:=/camera/image_raw')
    process, robot = start_node(*arguments, model=tiny_model)
    assert robot.transition(CONFIGURE, name), process.said
    assert robot.transition(ACTIVATE, name)
    heard = robot.listen(Image, '/front/depth/image')
    points = robot.listen(PointCloud2, '/front/points')
    camera = robot.publisher(Image, '/camera/image_raw')
    robot.warm_up(camera, image(robot, START), heard)
    robot.node.create_timer(0.05, lambda: camera.publish(image(robot, START)))
    level, message, values = robot.diagnosis(lambda _l, m, _v: 'no points' in m)
    assert level == 1
    assert 'depth is relative' in message
    assert '/front/camera_info' in values['camera_info']
    assert not points
    assert process.stop(signal.SIGTERM) == 0, process.said


def test_a_bad_model_or_parameter_fails_to_configure_and_can_be_mended(
    start_node, tiny_model, tmp_path
):
    missing = tmp_path / 'missing.onnx'
    process, robot = start_node(model=missing, min_confidence=7, image_transport='raw')
    assert not robot.transition(CONFIGURE)
    assert robot.state() == 'unconfigured'
    assert 'min_confidence is 7' in process.said
    assert robot.set_parameter('min_confidence', 0.5) == ''
    assert not robot.transition(CONFIGURE)
    assert str(missing) in process.said
    level, message, _ = robot.diagnosis(lambda _l, m, _v: 'missing.onnx' in m)
    assert level == 2
    assert message.startswith('not configured')
    assert 'Traceback' not in process.said
    assert robot.set_parameter('model', str(tiny_model)) == ''
    assert robot.transition(CONFIGURE), process.said
    assert process.stop(times=2, pause=0.05) == 0, process.said


def test_compressed_images_of_a_remapped_camera_and_a_damaged_one(start_node, tiny_model):
    arguments = ('-r', 'image:=/cam/image_raw')
    process, robot = start_node(*arguments, model=tiny_model, image_transport='compressed')
    assert robot.transition(CONFIGURE), process.said
    assert robot.transition(ACTIVATE)
    heard = robot.listen(Image, '/labels/image')
    camera = robot.publisher(CompressedImage, '/cam/image_raw/compressed')
    jpeg = cv2.imencode('.jpg', picture(HEIGHT, WIDTH)[..., ::-1])[1].tobytes()

    def compressed(stamp, data):
        return robot.messages.compressed_image(data, 'jpeg', robot.header(stamp))

    robot.warm_up(camera, compressed(0, jpeg), heard)
    camera.publish(compressed(START, jpeg[:90]))
    robot.spin(0.5)
    camera.publish(compressed(START + 1, jpeg))
    robot.wait(lambda: heard, 'labels')
    assert stamps(heard) == [START + 1]
    robot.diagnosis(lambda _l, _m, v: v.get('dropped: unreadable jpeg') == '1')


def test_old_frames_are_dropped_until_the_clock_jumps_back(start_node, tiny_model):
    process, robot = start_node(model=tiny_model, use_sim_time=True, max_age=1)
    assert robot.transition(CONFIGURE), process.said
    assert robot.transition(ACTIVATE)
    heard = robot.listen(Image, '/labels/image')
    camera = robot.publisher(Image, '/image')
    clock = robot.publisher(Clock, '/clock')
    told = robot.listen(DiagnosticArray, '/diagnostics')

    def now(stamp):
        time_ = robot.header(stamp).stamp
        clock.publish(Clock(clock=time_))
        # What the node says next has its clock: it has heard.
        robot.wait(lambda: told and told[-1].header.stamp == time_, 'the clock')

    now(START)
    robot.warm_up(camera, image(robot, START), heard)
    now(START + 100 * 10**9)
    camera.publish(image(robot, START))
    robot.diagnosis(lambda _l, m, v: v.get('dropped: too old') == '1' and 'max_age' in m)
    assert not heard
    now(START)  # the bag starts anew
    camera.publish(image(robot, START))
    robot.wait(lambda: heard, 'labels')
    assert stamps(heard) == [START]


@pytest.mark.slow
def test_many_turns_of_the_lifecycle_leave_nothing_behind(start_node, tiny_model):
    process, robot = start_node(model=tiny_model)
    threads = []
    for _ in range(4):
        assert robot.transition(CONFIGURE), process.said
        assert robot.transition(ACTIVATE), process.said
        assert robot.transition(DEACTIVATE)
        assert robot.transition(CLEANUP)
        robot.spin(0.2)  # a thread that has ended is there a moment longer
        threads.append(process.threads())
    assert threads[-1] <= threads[1], threads
    robot.spin(0.5)
    topics = {name for name, _ in robot.node.get_topic_names_and_types()}
    assert not topics & {'/depth/image', '/image', '/labels/label_info'}
    assert robot.transition(CONFIGURE)
    assert robot.transition(ACTIVATE)
    before = time.monotonic()
    assert process.stop(times=2, pause=0.02) == 0, process.said
    assert time.monotonic() - before < 10
    assert 'Traceback' not in process.said
