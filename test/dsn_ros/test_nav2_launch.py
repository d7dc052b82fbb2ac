"""nav2_demo.launch.py: its arguments, and what it would start; Nav2 itself is not needed."""

import importlib.util
import math
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not sourced: rclpy does not import')
pytest.importorskip('launch_ros', reason='launch_ros is not installed')

from launch.actions import LogInfo
from launch_ros.actions import Node
from launch_ros.utilities import evaluate_parameters, normalize_parameters
from support.nav2_street import robot_pose
from support.perception_process import REPOSITORY, new_domain, ros_environment

from launch import LaunchContext

FILE = REPOSITORY / 'launch' / 'nav2_demo.launch.py'
OWN = {
    'costmap_params',
    'odom_frame',
    'base_frame',
    'camera_frame',
    'camera_x',
    'camera_y',
    'camera_z',
    'camera_pitch',
    'camera_yaw',
    'static_odom',
    'rviz',
}
NAV2 = {'nav2_costmap_2d', 'nav2_lifecycle_manager'}
DEFAULTS = {
    'costmap_params': str(REPOSITORY / 'config' / 'nav2_semantic.yaml'),
    'odom_frame': 'odom',
    'base_frame': 'base_link',
    'camera_frame': '',
    'camera_x': '0.0',
    'camera_y': '0.0',
    'camera_z': '1.0',
    'camera_pitch': '0.0',
    'camera_yaw': '0.0',
    'static_odom': 'false',
    'rviz': 'auto',
}


@pytest.fixture
def launch_file():
    spec = importlib.util.spec_from_file_location('nav2_demo', FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def started(module, monkeypatch, packages, **arguments):
    """What the file starts where only ``packages`` are installed; and the context."""
    monkeypatch.setattr(module, 'installed', lambda package: package in packages)
    context = LaunchContext()
    context.launch_configurations.update({**DEFAULTS, **arguments})
    return module.nodes(context), context


def executables(entities):
    return [each.node_executable for each in entities if isinstance(each, Node)]


def lines(entities, context):
    return [
        ''.join(part.perform(context) for part in each.msg)
        for each in entities
        if isinstance(each, LogInfo)
    ]


def test_every_argument_is_described_and_perceptions_are_there():
    answer = subprocess.run(
        ['ros2', 'launch', str(FILE), '--show-args'],
        env=ros_environment(new_domain()),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    described = dict(re.findall(r"^    '(\w+)':\n        (.+)$", answer.stdout, re.MULTILINE))
    assert described.keys() > OWN | {'image', 'camera_info', 'scale_mode', 'use_sim_time'}
    assert all(len(text) > 15 and 'no description' not in text for text in described.values())


def test_without_nav2_one_line_says_what_to_install(launch_file, monkeypatch):
    entities, context = started(launch_file, monkeypatch, set())
    assert executables(entities) == []
    assert lines(entities, context) == [
        'no costmap: nav2_costmap_2d and nav2_lifecycle_manager not found; apt install '
        'ros-$ROS_DISTRO-nav2-costmap-2d ros-$ROS_DISTRO-nav2-lifecycle-manager'
    ]


def test_the_costmap_of_one_camera_is_not_for_several(launch_file, monkeypatch, tmp_path):
    with pytest.raises(RuntimeError, match=r'launch argument cameras: .*nav2_semantic\.yaml'):
        started(launch_file, monkeypatch, NAV2, cameras='[front,left]')
    own = tmp_path / 'own.yaml'
    own.write_text(Path(DEFAULTS['costmap_params']).read_text())
    entities, _ = started(
        launch_file, monkeypatch, NAV2, cameras='[front,left]', costmap_params=str(own)
    )
    assert 'nav2_costmap_2d' in executables(entities)


def test_rviz_is_started_where_it_is_or_where_it_is_asked_for(launch_file, monkeypatch):
    for packages, rviz, wanted in (
        ({'rviz2'}, 'auto', True),
        (set(), 'auto', False),
        (set(), 'true', True),
        ({'rviz2'}, 'false', False),
    ):
        entities, _ = started(launch_file, monkeypatch, packages, rviz=rviz)
        assert ('rviz2' in executables(entities)) == wanted


def costmap_of(module, monkeypatch, packages, **arguments):
    entities, context = started(module, monkeypatch, packages, **arguments)
    assert executables(entities) == ['nav2_costmap_2d', 'lifecycle_manager']
    parameters, _ = module.costmap_parameters(
        lambda name: str(context.launch_configurations.get(name, ''))
    )
    (flat,) = evaluate_parameters(context, normalize_parameters([parameters]))
    return flat, lines(entities, context)


def test_the_costmap_gets_the_parameters_of_the_file(launch_file, monkeypatch):
    packages = NAV2 | {'semantic_segmentation_layer'}
    flat, said = costmap_of(launch_file, monkeypatch, packages, base_frame='body')
    assert said == []
    assert list(flat['plugins']) == ['semantic_layer', 'obstacle_layer', 'inflation_layer']
    assert flat['robot_base_frame'] == 'body'
    assert flat['obstacle_layer.obstacles.topic'] == '/obstacles'
    assert flat['semantic_layer.camera.moving.base_cost'] == 254
    assert type(flat['width']) is int
    assert type(flat['semantic_layer.camera.observation_persistence']) is float
    assert 'traffic light' in flat['semantic_layer.camera.standing.classes']


def test_without_the_semantic_layer_the_other_one_runs_alone(launch_file, monkeypatch):
    flat, said = costmap_of(launch_file, monkeypatch, NAV2)
    assert list(flat['plugins']) == ['obstacle_layer', 'inflation_layer']
    assert said == [
        'semantic_segmentation_layer not found: the costmap is made without semantic_layer'
    ]


def test_topics_follow_the_namespace_of_perception(launch_file, monkeypatch):
    flat, _ = costmap_of(launch_file, monkeypatch, NAV2, namespace='/front')
    assert flat['obstacle_layer.ground.topic'] == '/front/points'
    assert flat['semantic_layer.camera.labels_topic'] == '/front/labels/label_info'


def test_transforms_are_published_only_where_they_are_asked_for(launch_file, monkeypatch):
    entities, _ = started(launch_file, monkeypatch, set())
    assert executables(entities) == []
    asked = {'static_odom': 'true', 'camera_frame': 'camera_optical'}
    entities, _ = started(launch_file, monkeypatch, set(), **asked)
    assert executables(entities) == ['static_transform_publisher'] * 2


@pytest.mark.parametrize(('pitch', 'yaw'), [(0, 0), (20, 0), (0, 30), (-7, 110)])
def test_the_camera_looks_where_the_arguments_say(launch_file, pitch, yaw):
    roll, tilt, turn = launch_file.optical_angles(pitch, yaw)

    def about(axis, angle):
        c, s = math.cos(angle), math.sin(angle)
        return {
            'x': np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
            'y': np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
            'z': np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
        }[axis]

    found = about('z', turn) @ about('y', tilt) @ about('x', roll)
    wanted = robot_pose(pitch=math.radians(pitch), yaw=math.radians(yaw), roll=0)[:3, :3]
    np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'camera_frame': 'c', 'camera_z': 'high'}, "camera_z is 'high': give a number"),
        ({'costmap_params': '/missing.yaml'}, 'missing.yaml has no local_costmap'),
    ],
)
def test_a_wrong_argument_is_named(launch_file, monkeypatch, arguments, message):
    with pytest.raises(RuntimeError, match=message):
        started(launch_file, monkeypatch, NAV2, **arguments)


def test_a_file_that_is_no_costmap_s_is_named(launch_file, monkeypatch, tmp_path):
    path = tmp_path / 'other.yaml'
    path.write_text('local_costmap: 3\n')
    with pytest.raises(RuntimeError, match=r'other\.yaml has no local_costmap\.local_costmap'):
        started(launch_file, monkeypatch, NAV2, costmap_params=str(path))
