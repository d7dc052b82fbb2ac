"""The node with real ROS: several cameras, lenses, metric scale from tf, and its services."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not sourced: rclpy does not import')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')
pytest.importorskip('tf2_ros', reason='tf2_ros is not installed')

from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_srvs.srv import Trigger
from support.bag_factory import camera_fields, picture
from support.perception_process import ACTIVATE, CONFIGURE, stamps
from tf2_msgs.msg import TFMessage

from dsn_ros.bag_tf import transforms_in
from dsn_ros.bags import choose_image_topic, open_bag
from dsn_ros.camera import Camera
from dsn_ros.messages import camera_info_fields, compressed_to_rgb

HEIGHT, WIDTH = 128, 192
START = 1_700_000_000_000_000_000
DEMO = Path(__file__).resolve().parents[2] / 'demo' / 'street'


def image(robot, stamp, seed=0, frame='camera'):
    return robot.messages.image(picture(HEIGHT, WIDTH, seed), 'rgb8', robot.header(stamp, frame))


def active(start_node, model=None, **parameters):
    given = parameters if model is None else {**parameters, 'model': model}
    process, robot = start_node(**given)
    assert robot.transition(CONFIGURE), process.said
    assert robot.transition(ACTIVATE), process.said
    return process, robot


@pytest.mark.slow
def test_cameras_share_an_engine_and_each_has_its_topics(start_node, tiny_model):
    process, robot = active(start_node, tiny_model, cameras='[front,left]')
    heard = {name: robot.listen(Image, f'/{name}/depth/image') for name in ('front', 'left')}
    cameras = {name: robot.publisher(Image, f'/{name}/image') for name in heard}
    for name, camera in cameras.items():
        robot.warm_up(camera, image(robot, 0, frame=name), heard[name])
    for i in range(3):
        for name, camera in cameras.items():
            camera.publish(image(robot, START + i, seed=i, frame=name))
        robot.wait(lambda n=i + 1: all(len(each) >= n for each in heard.values()), f'set {i}')
    for name, messages in heard.items():
        assert stamps(messages) == [START, START + 1, START + 2]
        assert {each.header.frame_id for each in messages} == {name}
    _, _, values = robot.diagnosis(lambda _l, _m, v: int(v.get('frames out', 0)) >= 3)
    assert values['state'] == 'active'
    assert process.stop() == 0, process.said


def test_two_names_that_are_one_are_refused(start_node, tiny_model):
    process, robot = start_node(model=tiny_model, cameras='[front,front]')
    assert not robot.transition(CONFIGURE)
    assert 'parameter cameras' in process.said


@pytest.mark.slow
def test_a_lens_is_taken_out_of_the_picture_and_of_the_camera_info(start_node, tiny_model):
    _, robot = active(start_node, tiny_model)
    heard = robot.listen(CameraInfo, '/depth/camera_info')
    points = robot.listen(PointCloud2, '/points')
    info = robot.publisher(CameraInfo, '/camera_info')
    fields = camera_fields(HEIGHT, WIDTH)
    robot.insist(info, robot.messages.camera_info(fields, robot.header(START)))
    camera = robot.publisher(Image, '/image')
    robot.warm_up(camera, image(robot, 0), heard, points)
    camera.publish(image(robot, START))
    robot.wait(lambda: heard, 'camera_info')
    # As image_proc: the pinhole of P, at the model's size (64 x 96).
    assert not any(heard[0].d)
    assert heard[0].k[0] == pytest.approx(fields.p[0] / 2)
    assert heard[0].k[5] == pytest.approx(fields.p[6] / 2)
    assert robot.set_parameter('rectify', False) == ''
    heard.clear()
    camera.publish(image(robot, START + 1))
    robot.wait(lambda: heard, 'camera_info')
    assert tuple(heard[0].d) == fields.d
    assert heard[0].k[0] == pytest.approx(fields.k[0] / 2)


def test_a_saved_frame_is_a_bag_that_can_be_replayed(start_node, tiny_model, tmp_path):
    _, robot = active(start_node, tiny_model, save_folder=tmp_path / 'saved')
    answer = robot.call(Trigger, '/perception/save_frame')
    assert not answer.success
    assert 'no frame was published yet' in answer.message
    heard = robot.listen(Image, '/labels/image')
    camera = robot.publisher(Image, '/image')
    robot.warm_up(camera, image(robot, 0), heard)
    camera.publish(image(robot, START))
    robot.wait(lambda: heard, 'labels')
    answer = robot.call(Trigger, '/perception/save_frame')
    assert answer.success, answer.message
    folder = Path(answer.message)
    assert folder == tmp_path / 'saved' / f'frame_{START}'
    with open_bag(folder / 'perception.mcap') as bag:
        (message,) = bag.messages(['/image'])
        sent = bag.deserialize(message)
        assert (np.asarray(sent.data) == picture(HEIGHT, WIDTH).ravel()).all()
        (message,) = bag.messages(['/perception/labels/image'])
        assert bytes(bag.deserialize(message).data) == bytes(heard[0].data)
        assert choose_image_topic(bag, '/image').count == 1
    about = json.loads((folder / 'about.json').read_text())
    assert about['engine']['model'] == 'tiny'
    assert about['parameters']['scale.mode'] == 'none'


@pytest.mark.slow
def test_a_model_is_loaded_anew_or_the_old_one_kept(start_node, tiny_model, tmp_path):
    model = shutil.copy(tiny_model, tmp_path / 'model.onnx')
    process, robot = active(start_node, model)
    heard = robot.listen(Image, '/labels/image')
    camera = robot.publisher(Image, '/image')
    robot.warm_up(camera, image(robot, 0), heard)
    Path(model).write_bytes(b'half a model')
    answer = robot.call(Trigger, '/perception/reload_model')
    assert not answer.success
    assert answer.message.startswith('the old one is kept: ')
    assert 'model.onnx' in answer.message
    camera.publish(image(robot, START))
    robot.wait(lambda: heard, 'labels by the old model')
    shutil.copy(tiny_model, model)
    answer = robot.call(Trigger, '/perception/reload_model')
    assert answer.success, answer.message
    heard.clear()
    robot.warm_up(camera, image(robot, START + 1), heard)
    assert process.stop() == 0, process.said
    assert 'Traceback' not in process.said


def demo_frame():
    """Picture, camera, and transforms of the camera on the base, of the demo bag's first frame."""
    with open_bag(DEMO) as bag:
        topic = choose_image_topic(bag, None)
        info = next(iter(bag.messages([topic.name.replace('image/compressed', 'camera_info')])))
        camera = Camera.from_info(camera_info_fields(bag.deserialize(info)))
        message = bag.deserialize(next(iter(bag.messages([topic.name]))))
        still = [
            t for m in bag.messages(['/tf_static']) for t in transforms_in(bag.deserialize(m))
        ]
        moving = bag.deserialize(next(iter(bag.messages(['/tf']))))
        mount = [t for t in transforms_in(moving) if t[2] != 'base_footprint']
    return compressed_to_rgb(message), message.header.frame_id, camera, still + mount


@pytest.mark.slow
def test_the_height_that_tf_tells_makes_depth_metric(start_node):
    rgb, frame, camera, transforms = demo_frame()
    process, robot = active(
        start_node,
        engine='openvino',
        scale__mode='ground',
        scale__window=0.5,
        sanity__checks="['']",  # it is one picture all the time
    )
    heard = robot.listen(Image, '/depth/image')
    info = robot.publisher(CameraInfo, '/camera_info')
    static = robot.publisher(TFMessage, '/tf')
    images = robot.publisher(Image, '/image')

    def show(seconds, higher=1.0):
        stamp = seconds * 10**9
        moved = [
            (stamp, parent, child, tuple(higher * each for each in move), turn)
            for _, parent, child, move, turn in transforms
        ]
        static.publish(robot.messages.tf_message(moved))
        info.publish(robot.messages.camera_info(camera.to_info(), robot.header(stamp, frame)))
        robot.spin(0.2)
        images.publish(robot.messages.image(rgb, 'rgb8', robot.header(stamp, frame)))

    def factor(first, higher):
        for i in range(20):
            heard.clear()
            show(first + i, higher)
            robot.wait(lambda: heard, 'depth', 10)
        _, _, values = robot.diagnosis(lambda _l, _m, v: v.get('scale source', '') == 'ground')
        assert values['depth'] == 'metres'
        assert values['scale spread'].endswith('%')
        return float(values['scale factor'])

    once = factor(1_700_000_000, 1.0)
    assert 0.3 < once < 3
    assert factor(1_700_000_100, 1.5) == pytest.approx(1.5 * once, rel=0.05)
    assert process.stop() == 0, process.said


@pytest.mark.slow
def test_the_camera_may_change_its_size_and_encoding_and_be_calibrated_late(
    start_node, tiny_model
):
    process, robot = active(start_node, tiny_model)
    heard = robot.listen(Image, '/depth/image')
    infos = robot.listen(CameraInfo, '/depth/camera_info')
    camera = robot.publisher(Image, '/image')
    robot.warm_up(camera, image(robot, 0), heard)
    small = picture(48, 64)
    frames = [
        robot.messages.image(picture(HEIGHT, WIDTH), 'rgb8', robot.header(START)),
        robot.messages.image(small, 'bgr8', robot.header(START + 1)),
        robot.messages.image(
            np.ascontiguousarray(small[..., 0]), 'mono8', robot.header(START + 2)
        ),
        robot.messages.image(picture(HEIGHT, WIDTH), 'rgb8', robot.header(START + 3)),
    ]
    for i, frame in enumerate(frames):
        camera.publish(frame)
        robot.wait(lambda n=i + 1: len(heard) == n, f'frame {i}')
    assert stamps(heard) == [START + i for i in range(4)]
    assert not infos
    _, message, _ = robot.diagnosis(lambda level, _m, _v: level == 1)
    assert 'depth is relative' in message
    info = robot.publisher(CameraInfo, '/camera_info')
    fields = camera_fields(HEIGHT, WIDTH)
    robot.insist(info, robot.messages.camera_info(fields, robot.header(START)))
    camera.publish(image(robot, START + 4))
    robot.wait(lambda: infos, 'camera_info')
    # It is of the large pictures: to a small one it says nothing.
    camera.publish(robot.messages.image(small, 'rgb8', robot.header(START + 5)))
    robot.wait(lambda: len(heard) == 6, 'depth of the small picture')
    robot.spin(0.3)
    assert stamps(infos) == [START + 4]
    robot.diagnosis(lambda _l, _m, v: 'the images are 64 x 48' in v.get('camera_info', ''))
    assert process.stop() == 0, process.said
