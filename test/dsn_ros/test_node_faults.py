"""The node with real ROS, when engine, camera or other nodes do what they should not."""

import math
import time

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not sourced: rclpy does not import')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from support.bag_factory import picture
from support.faulty_node import HANGS, NO_MEMORY, ONE_BY_ONE, RAISES
from support.perception_process import ACTIVATE, CONFIGURE, stamps

from dsn_ros.camera import Camera
from dsn_ros.messages import image_view

HEIGHT, WIDTH = 128, 192
START = 1_700_000_000_000_000_000
SECOND = 10**9
ERROR, WARN = 2, 1


def told(robot, stamp, red=0, seed=0, frame='camera'):
    """A picture that tells ``support.faulty_node``'s engine what to do."""
    image = picture(HEIGHT, WIDTH, seed)
    image[:16, :16, 0] = red
    return robot.messages.image(image, 'rgb8', robot.header(stamp, frame))


def active(start_node, model, **given):
    process, robot = start_node(model=model, program='support.faulty_node', **given)
    assert robot.transition(CONFIGURE), process.said
    assert robot.transition(ACTIVATE), process.said
    return process, robot


@pytest.mark.slow
def test_an_engine_that_raises_is_tried_again_and_then_replaced(start_node, tiny_model):
    process, robot = active(start_node, tiny_model)
    heard = robot.listen(Image, '/labels/image')
    camera = robot.publisher(Image, '/image')
    robot.warm_up(camera, told(robot, 0), heard)
    camera.publish(told(robot, START, RAISES))
    _, _, values = robot.diagnosis(lambda _l, _m, v: 'dropped: engine failed' in v)
    assert values['engine restarts'] == '0'
    assert 'told it to raise' in values['last error']
    camera.publish(told(robot, START + 1))
    robot.wait(lambda: heard, 'labels after one failure')
    for i in range(2, 5):
        camera.publish(told(robot, START + i, RAISES))
        robot.diagnosis(lambda _l, _m, v, n=i: v['dropped: engine failed'] == str(n))
    heard.clear()
    robot.warm_up(camera, told(robot, START + 9), heard)
    robot.diagnosis(lambda level, _m, v: level < ERROR and v['engine restarts'] == '1')
    assert robot.state() == 'active'
    assert process.stop() == 0, process.said


@pytest.mark.slow
def test_an_engine_that_hangs_is_given_up_and_replaced_and_the_node_lives(start_node, tiny_model):
    process, robot = active(start_node, tiny_model, engine_timeout=0.0)
    heard = robot.listen(Image, '/labels/image')
    camera = robot.publisher(Image, '/image')
    robot.warm_up(camera, told(robot, 0), heard)
    assert robot.set_parameter('engine_timeout', 1.0) == ''  # live
    camera.publish(told(robot, START, HANGS))
    level, message, values = robot.diagnosis(lambda _l, _m, v: 'dropped: engine hung' in v)
    assert level == ERROR
    assert 'the engine gave no answer in 1 s' in message
    assert robot.set_parameter('engine_timeout', 60.0) == ''
    robot.warm_up(camera, told(robot, START + 9), heard)
    _, _, values = robot.diagnosis(lambda _l, _m, v: v['engine restarts'] == '1')
    assert values['engine calls that hang'] == '1'
    assert robot.state() == 'active'
    # It ends in peace although a thread of its never will.
    before = time.monotonic()
    assert process.stop() == 0, process.said
    assert time.monotonic() - before < 30
    assert 'Traceback' not in process.said


@pytest.mark.slow
def test_a_node_whose_engine_hangs_can_be_stopped(start_node, tiny_model):
    process, robot = active(start_node, tiny_model, engine_timeout=0.0)
    heard = robot.listen(Image, '/labels/image')
    camera = robot.publisher(Image, '/image')
    robot.warm_up(camera, told(robot, 0), heard)
    camera.publish(told(robot, START, HANGS))
    robot.node.create_timer(0.1, lambda: camera.publish(told(robot, START + 1)))
    level, _, _ = robot.diagnosis(lambda _l, m, _v: 'the engine is busy' in m)
    assert level == WARN
    assert process.stop() == 0, process.said
    assert 'Traceback' not in process.said


@pytest.mark.slow
def test_cameras_go_one_by_one_where_memory_is_short_and_none_at_all_is_an_error(
    start_node, tiny_model
):
    process, robot = active(start_node, tiny_model, cameras='[front,left]')
    heard = {name: robot.listen(Image, f'/{name}/labels/image') for name in ('front', 'left')}
    cameras = {name: robot.publisher(Image, f'/{name}/image') for name in heard}
    for name, camera in cameras.items():
        robot.warm_up(camera, told(robot, 0), heard[name])

    def together(red):
        for each in heard.values():
            each.clear()
        for camera in cameras.values():
            camera.publish(told(robot, START, red))
        robot.spin(0.5)
        return all(heard.values())

    def one_by_one():
        together(ONE_BY_ONE)
        return 'one by one' in process.said

    robot.wait(one_by_one, 'two pictures at once')
    robot.wait(lambda: together(ONE_BY_ONE), 'labels of both cameras')
    _, _, values = robot.diagnosis(lambda _l, _m, v: 'cameras at once' in v)
    assert values['engine restarts'] == '0'

    def no_memory():
        together(NO_MEMORY)
        return process.said.count('times in a row') >= 1

    robot.wait(no_memory, 'the engine to be given up')
    robot.diagnosis(lambda level, _m, v: level == ERROR and 'dropped: out of memory' in v)
    assert process.alive
    robot.wait(lambda: together(0), 'labels when there is memory again')
    assert process.stop() == 0, process.said


@pytest.fixture(scope='module')
def node(tiny_model, tmp_path_factory):
    """One active node for the tests that leave it as it was."""
    from support.perception_process import FAST, PerceptionProcess, Robot

    process = PerceptionProcess(tmp_path_factory.mktemp('node'), model=tiny_model, **FAST)
    starter = Robot(process.domain)
    assert starter.transition(CONFIGURE), process.said
    assert starter.transition(ACTIVATE), process.said
    yield process
    assert process.stop() == 0, process.said
    starter.close()
    process.close()


@pytest.fixture
def robot(node):
    from support.perception_process import Robot

    robot = Robot(node.domain)
    yield robot
    robot.close()


def test_black_and_frozen_pictures_say_nothing_and_the_next_is_believed(robot):
    depth, labels = (robot.listen(Image, f'/{name}/image') for name in ('depth', 'labels'))
    camera = robot.publisher(Image, '/image')
    robot.warm_up(camera, told(robot, 0), depth, labels)
    black = robot.messages.image(
        np.zeros((HEIGHT, WIDTH, 3), np.uint8), 'rgb8', robot.header(START)
    )
    camera.publish(black)
    robot.wait(lambda: depth and labels, 'what is said of a black picture')
    assert stamps(depth) == stamps(labels) == [START]
    assert np.isnan(image_view(depth[0])).all()
    assert (image_view(labels[0]) == 255).all()
    robot.diagnosis(lambda level, m, _v: level == ERROR and 'the picture is black' in m)
    camera.publish(told(robot, START + 1, seed=1))
    robot.wait(lambda: len(labels) == 2, 'what is said of the next')
    assert (image_view(labels[1]) != 255).any()
    for i in range(8):
        camera.publish(told(robot, START + (i + 1) * SECOND, seed=2))
        robot.wait(lambda n=3 + i: len(labels) == n, f'frame {i}')
    silent = [bool((image_view(each) == 255).all()) for each in labels[2:]]
    assert silent == [False] * 4 + [True] * 4
    robot.diagnosis(lambda _l, _m, v: int(v.get('withheld: frozen', 0)) == 4)
    assert robot.set_parameter('sanity.checks', ['black']) == ''
    camera.publish(told(robot, START + 9 * SECOND, seed=2))
    robot.wait(lambda: len(labels) == 11, 'the same picture, believed')
    assert (image_view(labels[-1]) != 255).any()
    assert 'must match' in robot.set_parameter('sanity.checks', ['blue'])
    assert robot.set_parameter('sanity.checks', ['black', 'frozen']) == ''


@pytest.mark.slow
def test_a_camera_that_drops_out_is_told_until_it_is_back(robot):
    heard = robot.listen(Image, '/labels/image')
    camera = robot.publisher(Image, '/image')
    robot.warm_up(camera, told(robot, 0), heard)
    level, _, _ = robot.diagnosis(lambda _l, m, _v: 'no frames on /image for' in m)
    assert level == ERROR
    for i in range(20):
        camera.publish(told(robot, START + i, seed=i))
        robot.spin(0.1)
    robot.wait(lambda: heard, 'labels')
    robot.diagnosis(lambda _l, m, _v: 'no frames' not in m)


@pytest.mark.parametrize(
    ('fields', 'said'),
    [
        (Camera.pinhole(WIDTH, HEIGHT, 0.0, 0.0, 0.0, 0.0), 'K[0] = 0 or not finite'),
        (Camera.pinhole(WIDTH, HEIGHT, math.nan, 1.0, 1.0, 1.0), 'K[0] = 0 or not finite'),
        (Camera.pinhole(WIDTH, HEIGHT, 9.0, math.inf, 1.0, 1.0), 'K[0] = 0 or not finite'),
        (Camera.pinhole(2 * WIDTH, HEIGHT, 90.0, 90.0, 95.0, 63.0), 'the images are 192 x 128'),
    ],
)
@pytest.mark.slow
def test_a_camera_info_that_can_not_be_used_is_told_and_no_points_come_of_it(robot, fields, said):
    heard = robot.listen(Image, '/depth/image')
    infos = robot.listen(CameraInfo, '/depth/camera_info')
    info = robot.publisher(CameraInfo, '/camera_info')
    camera = robot.publisher(Image, '/image')
    robot.warm_up(camera, told(robot, 0), heard)
    good = Camera.pinhole(WIDTH, HEIGHT, 160.0, 160.0, 95.5, 63.5)
    robot.insist(info, robot.messages.camera_info(good.to_info(), robot.header(START)))
    camera.publish(told(robot, START))
    robot.wait(lambda: infos, 'the camera_info that goes with depth')
    robot.insist(info, robot.messages.camera_info(fields.to_info(), robot.header(START)))
    robot.diagnosis(lambda _l, _m, v: said in v.get('camera_info', ''), said)
    camera.publish(told(robot, START + 1, seed=1))
    robot.wait(lambda: len(heard) >= 2, 'depth')
    level, _, _ = robot.diagnosis(lambda _l, m, _v: 'depth is relative' in m)
    assert level == WARN
    assert START + 1 not in stamps(infos)


def test_ends_whose_quality_of_service_does_not_fit_are_named_until_they_do(
    start_node, tiny_model
):
    override = 'qos_overrides./image.subscription.reliability:=reliable'
    process, robot = start_node('-p', override, model=tiny_model)
    assert robot.transition(CONFIGURE), process.said
    assert robot.transition(ACTIVATE), process.said
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    camera = robot.node.create_publisher(Image, '/image', best_effort)
    level, message, _ = robot.diagnosis(lambda _l, m, _v: '/robot publishes /image' in m)
    assert level == WARN
    assert 'reliab' in message.lower()
    assert 'qos_overrides./image.subscription' in message
    robot.node.destroy_publisher(camera)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    greedy = robot.node.create_subscription(Image, '/depth/image', print, latched)
    _, message, _ = robot.diagnosis(lambda _l, m, _v: '/robot subscribes to /depth/image' in m)
    assert '/robot publishes' not in message
    robot.node.destroy_subscription(greedy)
    robot.diagnosis(lambda _l, m, _v: '/robot' not in m)
    assert process.stop() == 0, process.said
