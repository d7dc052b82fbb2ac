"""Nav2's local costmap from one camera, in RViz where that is installed.

ros2 launch dsn_ros nav2_demo.launch.py image:=/camera/image_raw

Takes all arguments of perception.launch.py as well. On a table, with no robot around:

ros2 launch dsn_ros nav2_demo.launch.py image:=/camera/image_raw static_odom:=true \
    camera_frame:=camera_optical camera_z:=1.2 camera_pitch:=10
"""

import math
from pathlib import Path
from typing import Any

import yaml
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, LogInfo, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

from dsn_ros.installed import installed
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

HERE = Path(__file__).resolve().parent
CONFIG = HERE.parent / 'config'
COSTMAP_PARAMS = str(CONFIG / 'nav2_semantic.yaml')
SEMANTIC = 'semantic_segmentation_layer'
# nav2_costmap_2d's own executable has a fixed name; in Nav2 the local costmap has this one.
COSTMAP, LOCAL_COSTMAP = '/costmap', '/local_costmap'
MOUNTING = {
    'camera_x': ('0.0', 'Metres from base_frame ahead to the camera; with camera_frame.'),
    'camera_y': ('0.0', 'Metres from base_frame to the left to the camera; with camera_frame.'),
    'camera_z': ('1.0', 'Metres from base_frame up to the camera; with camera_frame.'),
    'camera_pitch': ('0.0', 'Degrees that the camera looks down; with camera_frame.'),
    'camera_yaw': ('0.0', 'Degrees that the camera looks to the left; with camera_frame.'),
}


def generate_launch_description() -> LaunchDescription:
    perception = PythonLaunchDescriptionSource(str(HERE / 'perception.launch.py'))
    return LaunchDescription(
        [
            *arguments(),
            OpaqueFunction(function=nodes),
            # Its own RViz shows no costmap.
            IncludeLaunchDescription(perception, launch_arguments={'rviz': 'false'}.items()),
        ]
    )


def arguments() -> list[LaunchDescriptionEntity]:
    def text(name: str, default: str, description: str) -> DeclareLaunchArgument:
        return DeclareLaunchArgument(name, default_value=default, description=description)

    return [
        text(
            'costmap_params',
            COSTMAP_PARAMS,
            "YAML file with Nav2's parameters of local_costmap.",
        ),
        text('odom_frame', 'odom', 'Frame in which the robot moves: global_frame of the costmap.'),
        text('base_frame', 'base_link', 'Frame of the robot: robot_base_frame of the costmap.'),
        text(
            'camera_frame',
            '',
            'frame_id of the images: a fixed transform from base_frame to it is published, as the '
            "camera_... arguments say. Empty: the robot's own tf has one.",
        ),
        *(text(name, default, about) for name, (default, about) in MOUNTING.items()),
        DeclareLaunchArgument(
            'static_odom',
            default_value='false',
            choices=['true', 'false'],
            description='Publish that base_frame stands at odom_frame: a camera on a table.',
        ),
        DeclareLaunchArgument(
            'rviz',
            default_value='auto',
            choices=['auto', 'true', 'false'],
            description='Show costmap and outputs in RViz; auto: where rviz2 is installed.',
        ),
    ]


def nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    def given(name: str) -> str:
        return str(context.launch_configurations.get(name, ''))

    if given('cameras') and given('costmap_params') == COSTMAP_PARAMS:
        raise RuntimeError(
            f'launch argument cameras: {COSTMAP_PARAMS} has the topics of one camera without a '
            'name; copy it, name those of each camera, and give it as costmap_params'
        )
    time = {'use_sim_time': given('use_sim_time') == 'true'}
    started = [*transforms(given, time), *costmap(given, time)]
    if given('rviz') == 'true' or (given('rviz') == 'auto' and installed('rviz2')):
        rviz = Node(
            package='rviz2',
            executable='rviz2',
            namespace=given('namespace'),  # perception's topics in the configuration are relative
            arguments=['-d', str(CONFIG / 'nav2.rviz'), '-f', given('odom_frame')],
            parameters=[time],
        )
        started.append(rviz)
    return started


def transforms(given, time: dict) -> list[LaunchDescriptionEntity]:
    """Publishers of what the robot's own tf does not have."""

    def fixed(parent: str, child: str, *numbers: float) -> Node:
        names = ('x', 'y', 'z', 'roll', 'pitch', 'yaw')
        words = [
            part for n, v in zip(names, numbers, strict=True) for part in (f'--{n}', f'{v:.9f}')
        ]
        return Node(
            package='tf2_ros',
            executable='static_transform_publisher',
            arguments=[*words, '--frame-id', parent, '--child-frame-id', child],
            parameters=[time],
        )

    base, made = given('base_frame'), []
    if given('static_odom') == 'true':
        made.append(fixed(given('odom_frame'), base, 0, 0, 0, 0, 0, 0))
    if given('camera_frame'):
        x, y, z, pitch, yaw = (_number(given, name) for name in MOUNTING)
        made.append(fixed(base, given('camera_frame'), x, y, z, *optical_angles(pitch, yaw)))
    return made


def optical_angles(pitch: float, yaw: float) -> tuple[float, float, float]:
    """Roll, pitch, yaw (radians) of the optical frame of a camera turned down and left (degrees).

    Level and ahead they turn REP 103's body axes (x ahead, z up) into optical ones (z ahead, y
    down). Looking down turns about the camera's own x, which is the last of fixed-axis angles.
    """
    return -math.pi / 2 - math.radians(pitch), 0.0, math.radians(yaw) - math.pi / 2


def costmap(given, time: dict) -> list[LaunchDescriptionEntity]:
    """Nav2's costmap by itself, or a line that says what is not installed."""
    missing = [p for p in ('nav2_costmap_2d', 'nav2_lifecycle_manager') if not installed(p)]
    if missing:
        packages = ' '.join(f'ros-$ROS_DISTRO-{p.replace("_", "-")}' for p in missing)
        return [
            LogInfo(msg=f'no costmap: {" and ".join(missing)} not found; apt install {packages}')
        ]
    parameters, notes = costmap_parameters(given)
    return [
        *(LogInfo(msg=note) for note in notes),
        Node(
            package='nav2_costmap_2d',
            executable='nav2_costmap_2d',
            output='screen',
            parameters=[parameters, time],
            remappings=[
                (f'{COSTMAP}/{topic}', f'{LOCAL_COSTMAP}/{topic}')
                for topic in ('costmap', 'costmap_raw', 'costmap_updates')
            ],
        ),
        Node(
            package='nav2_lifecycle_manager',
            executable='lifecycle_manager',
            name='lifecycle_manager_local_costmap',
            output='screen',
            parameters=[
                {
                    'autostart': True,
                    'node_names': [f'{COSTMAP}{COSTMAP}'.lstrip('/')],
                    'bond_timeout': 0.0,  # a costmap by itself has no bond
                },
                time,
            ],
        ),
    ]


def costmap_parameters(given) -> tuple[dict[str, Any], list[str]]:
    """The file's parameters of local_costmap, made to fit the arguments and what is installed."""
    path = Path(given('costmap_params')).expanduser()
    try:
        text = path.read_text(encoding='utf-8')
        parameters = yaml.safe_load(text)['local_costmap']['local_costmap']['ros__parameters']
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        why = f'{type(error).__name__}: {error}'.splitlines()[0]
        raise RuntimeError(
            f'costmap_params {path} has no local_costmap.local_costmap.ros__parameters ({why})'
        ) from error
    parameters = _below(parameters, given('namespace').strip('/'))
    parameters['global_frame'] = given('odom_frame')
    parameters['robot_base_frame'] = given('base_frame')
    if installed(SEMANTIC):
        return parameters, []
    plugins = parameters['plugins']
    kept = [p for p in plugins if not parameters[p]['plugin'].startswith(f'{SEMANTIC}::')]
    left_out = ', '.join(p for p in plugins if p not in kept)
    note = f'{SEMANTIC} not found: the costmap is made without {left_out}'
    return {**parameters, 'plugins': kept}, [note] if left_out else []


def _below(parameters: dict[str, Any], namespace: str) -> dict[str, Any]:
    """``parameters`` with perception's topics in its namespace."""
    moved = {}
    for key, value in parameters.items():
        if isinstance(value, dict):
            moved[key] = _below(value, namespace)
        elif namespace and (key == 'topic' or key.endswith('_topic')):
            moved[key] = f'/{namespace}{value}'
        else:
            moved[key] = value
    return moved


def _number(given, name: str) -> float:
    try:
        return float(given(name))
    except ValueError:
        raise RuntimeError(f'launch argument {name} is {given(name)!r}: give a number') from None
