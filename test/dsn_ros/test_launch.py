"""The launch file: its arguments, and a real ``ros2 launch`` of a colcon-built installation."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced: rclpy does not import')
pytest.importorskip('launch_ros', reason='launch_ros is not installed')
pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed')

from launch.actions import SetLaunchConfiguration
from sensor_msgs.msg import CameraInfo, Image
from support.bag_factory import PERIOD_NS, START_NS, Recording, picture
from support.perception_process import (
    REPOSITORY,
    Robot,
    new_domain,
    ros_environment,
    stamps,
)

from dsn_ros.errors import BagError
from launch import LaunchContext

ARGUMENTS = {
    'namespace',
    'image',
    'camera_info',
    'cameras',
    'image_transport',
    'model',
    'engine',
    'precision',
    'output_size',
    'scale_mode',
    'fov_degrees',
    'scale_factor',
    'camera_height',
    'params_file',
    'autostart',
    'use_sim_time',
    'log_level',
    'rviz',
    'rviz_frame',
}
REPLAY_ARGUMENTS = {'bag', 'rate', 'loop', 'start_offset', 'exit_at_end'}
START = 1_700_000_000_123_456_789


def build(folder, *options):
    """What ``colcon build`` makes of the repository, in ``folder``."""
    program = shutil.which('colcon')
    if program is None:
        pytest.skip('colcon is not installed: pip install colcon-common-extensions colcon-ros')
    command = [program, '--log-base', str(folder / 'log'), 'build', '--paths', str(REPOSITORY)]
    command += ['--build-base', str(folder / 'build'), '--install-base', str(folder / 'install')]
    built = subprocess.run(
        [*command, *options], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert built.returncode == 0, built.stderr
    return folder / 'install'


@pytest.fixture(scope='module')
def installation(tmp_path_factory):
    return build(tmp_path_factory.mktemp('workspace'))


def test_with_links_the_same_is_installed(installation, tmp_path):
    def installed(root):
        package = root / 'dsn_ros'
        files = [
            p for part in ('share/dsn_ros', 'lib/dsn_ros') for p in (package / part).rglob('*')
        ]
        # colcon's own: how it sets the environment up differs.
        ours = {p.relative_to(package).as_posix(): p for p in files if p.is_file()}
        return {n: p for n, p in ours.items() if not re.search('/(hook|package)[./]', n)}

    linked, copied = installed(build(tmp_path, '--symlink-install')), installed(installation)
    assert set(linked) == set(copied)
    assert {'share/dsn_ros/config/perception.yaml', 'lib/dsn_ros/perception_node'} <= set(linked)
    source = (REPOSITORY / 'launch' / 'perception.launch.py').resolve()
    assert linked['share/dsn_ros/launch/perception.launch.py'].resolve() == source
    assert copied['share/dsn_ros/launch/perception.launch.py'].resolve() != source
    script = f'. {tmp_path}/install/local_setup.sh && ros2 launch dsn_ros perception.launch.py -s'
    said = subprocess.run(
        ['sh', '-c', script],
        env=ros_environment(new_domain()),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.returncode == 0, said.stderr
    assert "'camera_height'" in said.stdout


def launch(installation, out, domain, *arguments, file='perception.launch.py'):
    """Start ``ros2 launch`` as a terminal does: in a process group of its own."""
    script = f'. {installation}/local_setup.sh && exec ros2 launch dsn_ros {file} "$@"'
    environment = ros_environment(domain)
    # The node runs under colcon's Python, which may not be the one with the libraries.
    environment['PYTHONPATH'] = os.pathsep.join(p for p in sys.path if p and Path(p).is_dir())
    return subprocess.Popen(
        ['sh', '-c', script, 'sh', *arguments],
        stdout=out,
        stderr=subprocess.STDOUT,
        cwd=installation,
        env=environment,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ('file', 'arguments'),
    [
        ('perception.launch.py', ARGUMENTS),
        ('replay.launch.py', ARGUMENTS | REPLAY_ARGUMENTS),
    ],
)
def test_every_argument_is_described(file, arguments):
    answer = subprocess.run(
        ['ros2', 'launch', str(REPOSITORY / 'launch' / file), '--show-args'],
        env=ros_environment(new_domain()),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    described = dict(re.findall(r"^    '(\w+)':\n        (.+)$", answer.stdout, re.MULTILINE))
    assert set(described) == arguments
    assert all(len(text) > 15 and 'no description' not in text for text in described.values())


@pytest.mark.slow
def test_ros2_launch_starts_an_active_node_and_ctrl_c_ends_it_cleanly(
    installation, tiny_model, tmp_path
):
    log, domain = tmp_path / 'launch.log', new_domain()
    arguments = [f'model:={tiny_model}', 'namespace:=robot', 'image:=/front/image_raw']
    arguments += ['engine:=onnxruntime', 'scale_mode:=fixed', 'scale_factor:=2']
    with log.open('w') as out:
        process = launch(installation, out, domain, *arguments)
    robot = Robot(domain)
    try:
        heard = robot.listen(Image, '/robot/depth/image')
        camera = robot.publisher(Image, '/front/image_raw')
        robot.warm_up(camera, robot.messages.image(picture(), 'rgb8', robot.header(0)), heard)
        camera.publish(robot.messages.image(picture(), 'rgb8', robot.header(START)))
        robot.wait(lambda: heard, f'depth; launch said: {log.read_text()}')
        assert stamps(heard) == [START]
        assert robot.state('/robot/perception') == 'active'
        _, _, values = robot.diagnosis(lambda _l, _m, v: 'depth' in v)
        assert (values['depth'], values['scale factor']) == ('metres', '2')
        # As Ctrl-C does: to the whole group, so that the node gets it twice.
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == 0, log.read_text()
        assert 'process has finished cleanly' in log.read_text()
        assert 'Traceback' not in log.read_text()
    finally:
        robot.close()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_several_cameras_are_launched_with_topics_of_their_own(installation, tiny_model, tmp_path):
    log, domain = tmp_path / 'launch.log', new_domain()
    arguments = ['cameras:=[front,left]', 'image:=/cams/{camera}/image_raw', 'namespace:=robot']
    arguments += [f'model:={tiny_model}', 'engine:=onnxruntime']
    with log.open('w') as out:
        process = launch(installation, out, domain, *arguments)
    robot = Robot(domain)
    try:
        for name in ('front', 'left'):
            heard = robot.listen(Image, f'/robot/{name}/depth/image')
            robot.publisher(CameraInfo, f'/cams/{name}/camera_info')
            camera = robot.publisher(Image, f'/cams/{name}/image_raw')
            frame = robot.messages.image(picture(), 'rgb8', robot.header(0, name))
            robot.warm_up(camera, frame, heard)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == 0, log.read_text()
        assert 'Traceback' not in log.read_text()
    finally:
        robot.close()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def launch_file():
    """perception.launch.py as a module."""
    path = REPOSITORY / 'launch' / 'perception.launch.py'
    spec = importlib.util.spec_from_file_location('perception_launch', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NAMES = [('front', 'image'), ('front', 'camera_info'), ('left', 'image'), ('left', 'camera_info')]


@pytest.mark.parametrize(
    ('given', 'topics'),
    [
        ({}, ['front/image', 'front/camera_info', 'left/image', 'left/camera_info']),
        (
            {'image': '/{camera}/raw'},
            ['/front/raw', '/front/camera_info', '/left/raw', '/left/camera_info'],
        ),
        (
            {'image': '/x/{camera}', 'camera_info': '/{camera}/y'},
            ['/x/front', '/front/y', '/x/left', '/left/y'],
        ),
    ],
)
def test_the_topics_of_several_cameras_have_their_names(launch_file, given, topics):
    arguments = {'image': 'image', 'camera_info': '', **given}
    remapped = launch_file._remappings(arguments.__getitem__, ['front', 'left'])
    assert remapped == [('/'.join(n), topic) for n, topic in zip(NAMES, topics, strict=True)]


def test_one_topic_for_several_cameras_is_refused(launch_file):
    with pytest.raises(RuntimeError, match=r"image is '/camera/image'.*put \{camera\}"):
        launch_file._remappings({'image': '/camera/image', 'camera_info': ''}.get, ['a', 'b'])


def test_a_wrong_argument_is_answered_with_the_choices(installation, tmp_path):
    log = tmp_path / 'launch.log'
    with log.open('w') as out:
        process = launch(installation, out, new_domain(), 'output_size:=huge')
    assert process.wait(60) != 0
    assert 'choose from model, camera' in log.read_text()


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    """Thirty frames of a camera, JPEG, and a depth topic that is no camera."""
    folder = tmp_path_factory.mktemp('bags') / 'drive'
    recording = Recording().frames(
        '/front/image_raw/compressed', 30, 'jpeg', info='/front/camera_info'
    )
    return recording.depth('/front/depth', 2).write(folder)


@pytest.mark.slow
def test_a_bag_is_played_through_the_node_and_all_ends_with_it(
    installation, tiny_model, bag, tmp_path
):
    pytest.importorskip('rosbag2_py', reason='rosbag2 is not installed')
    log, domain = tmp_path / 'launch.log', new_domain()
    arguments = [f'bag:={bag}', 'rate:=0.25', 'exit_at_end:=true', f'model:={tiny_model}']
    arguments += ['engine:=onnxruntime', 'rviz:=auto', 'namespace:=robot']
    with log.open('w') as out:
        process = launch(installation, out, domain, *arguments, file='replay.launch.py')
    robot = Robot(domain)
    try:
        heard = robot.listen(Image, '/robot/depth/image')
        robot.wait(lambda: process.poll() is not None, f'the end; launch said: {log.read_text()}')
        assert process.returncode == 0, log.read_text()
        assert 'Traceback' not in log.read_text()
        seen = stamps(heard)
        assert len(seen) >= 15
        assert seen == sorted(set(seen))
        assert set(seen) <= {START_NS + i * PERIOD_NS for i in range(30)}
    finally:
        robot.close()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def replay_file():
    """replay.launch.py as a module."""
    path = REPOSITORY / 'launch' / 'replay.launch.py'
    spec = importlib.util.spec_from_file_location('replay_launch', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_several_cameras_of_a_bag_are_found_by_their_names(replay_file, tmp_path):
    recording = Recording()
    for name in ('front', 'left'):
        recording.frames(f'/{name}/image_raw/compressed', 2, 'jpeg', info=f'/{name}/camera_info')
    bag = recording.write(tmp_path / 'drive')
    context = LaunchContext()
    given = {'bag': str(bag), 'cameras': '[front,left]', 'image': '/{camera}/image_raw/compressed'}
    context.launch_configurations.update(rviz='false', rate='1', start_offset='0', **given)
    for action in replay_file.choose(context):
        if isinstance(action, SetLaunchConfiguration):
            action.execute(context)
    found = context.launch_configurations
    assert (found['image'], found['image_transport']) == ('/{camera}/image_raw', 'compressed')
    context.launch_configurations['cameras'] = '[front,right]'
    context.launch_configurations['image'] = '/{camera}/image_raw/compressed'
    with pytest.raises(BagError, match='no topic /right/image_raw/compressed'):
        replay_file.choose(context)


def test_a_bag_without_a_camera_is_one_line(installation, tmp_path):
    bag = Recording().depth('/front/depth', 2).write(tmp_path / 'drive')
    log = tmp_path / 'launch.log'
    with log.open('w') as out:
        process = launch(installation, out, new_domain(), f'bag:={bag}', file='replay.launch.py')
    assert process.wait(60) != 0
    assert 'has no image topic: its topics are /front/depth' in log.read_text()
