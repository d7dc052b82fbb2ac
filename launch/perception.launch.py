"""Starts the perception node, and by default configures and activates it.

ros2 launch dsn_ros perception.launch.py image:=/camera/image_raw rviz:=true
ros2 launch dsn_ros perception.launch.py cameras:='[front,left]' image:='/{camera}/image_raw'
"""

from pathlib import Path

from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction, RegisterEventHandler
from launch.conditions import IfCondition
from launch.events import matches_action
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

from dsn_ros.errors import UserError
from dsn_ros.parameters import Parameter, parameter
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

# Beside this file both in the source tree and in share/dsn_ros.
CONFIG = Path(__file__).resolve().parents[1] / 'config'

# Launch argument: the node's parameter that it sets. The text and the choices are the table's.
PARAMETER_ARGUMENTS = {
    'cameras': 'cameras',
    'image_transport': 'image_transport',
    'model': 'model',
    'engine': 'engine',
    'precision': 'precision',
    'output_size': 'output_size',
    'fov_degrees': 'camera.fov_degrees',
    'scale_mode': 'scale.mode',
    'scale_factor': 'scale.factor',
    'camera_height': 'scale.camera_height',
}
CAMERA = '{camera}'  # in a topic: the name of each camera


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*arguments(), OpaqueFunction(function=nodes)])


def arguments() -> list[LaunchDescriptionEntity]:
    def text(name: str, default: str, description: str) -> DeclareLaunchArgument:
        return DeclareLaunchArgument(name, default_value=default, description=description)

    def switch(name: str, default: str, description: str) -> DeclareLaunchArgument:
        return DeclareLaunchArgument(
            name, default_value=default, description=description, choices=['true', 'false']
        )

    return [
        text('namespace', '', 'Namespace of the node and of all its topics.'),
        text(
            'image',
            'image',
            'Topic of the camera images; with image_transport:=compressed /compressed is added. '
            'Of several cameras: with {camera} where the name of each goes.',
        ),
        text(
            'camera_info',
            '',
            "Topic of the camera's calibration, with {camera} as in image; empty: camera_info "
            'beside the image topic.',
        ),
        *(
            text(name, '', f'{_row(key).description} (Empty: as in params_file.)')
            for name, key in PARAMETER_ARGUMENTS.items()
        ),
        text(
            'params_file',
            str(CONFIG / 'perception.yaml'),
            'YAML file with the parameters of the node.',
        ),
        switch('autostart', 'true', 'Configure and activate the node, so that it runs.'),
        switch('use_sim_time', 'false', 'Take the time from /clock, as for bags and simulators.'),
        text('log_level', 'info', 'debug, info, warn, error or fatal.'),
        switch('rviz', 'false', 'Show the outputs in RViz (package rviz2).'),
        text(
            'rviz_frame',
            'camera',
            "RViz's fixed frame: the frame_id of the images, or any frame that tf connects to it.",
        ),
    ]


def nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    def given(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    overrides = _overrides(given)
    cameras = [name for name in overrides.get('cameras', ()) if name]
    use_sim_time = given('use_sim_time') == 'true'
    node = LifecycleNode(
        package='dsn_ros',
        executable='perception_node',
        name='perception',
        namespace=given('namespace'),
        output='screen',
        parameters=[
            given('params_file'),
            {'use_sim_time': use_sim_time, **overrides},
        ],
        remappings=_remappings(given, cameras),
        arguments=['--ros-args', '--log-level', given('log_level')],
    )
    rviz = Node(
        package='rviz2',
        executable='rviz2',
        # The topics in the configuration are relative: those of the first camera.
        namespace='/'.join(part for part in (given('namespace'), *cameras[:1]) if part),
        arguments=['-d', str(CONFIG / 'perception.rviz'), '-f', given('rviz_frame')],
        parameters=[{'use_sim_time': use_sim_time}],
        condition=IfCondition(LaunchConfiguration('rviz')),
    )
    if given('autostart') != 'true':
        return [node, rviz]
    return [*_autostart(node), node, rviz]


def _remappings(given, cameras: list[str]) -> list[tuple[str, str]]:
    """From the node's names of its input topics, of each of the ``cameras``, to those given."""
    image = given('image')
    camera_info = given('camera_info') or '/'.join([*image.split('/')[:-1], 'camera_info'])
    if not cameras:
        return [('image', image), ('camera_info', camera_info)]
    if image == 'image':  # the default: the node's own names
        image = f'{CAMERA}/image'
        camera_info = given('camera_info') or f'{CAMERA}/camera_info'
    for name, topic in (('image', image), ('camera_info', camera_info)):
        if len(cameras) > 1 and CAMERA not in topic:
            raise RuntimeError(
                f'launch argument {name} is {topic!r}, one topic for {len(cameras)} cameras: put '
                f"{CAMERA} where the camera's name goes"
            )
    return [
        (f'{camera}/{name}', topic.replace(CAMERA, camera))
        for camera in cameras
        for name, topic in (('image', image), ('camera_info', camera_info))
    ]


def _overrides(given) -> dict:
    """The parameters given as launch arguments, in their own types."""
    overrides = {}
    for name, key in PARAMETER_ARGUMENTS.items():
        text = given(name)
        if text:
            try:
                overrides[key] = _row(key).read(text)
            except UserError as error:
                raise RuntimeError(f'launch argument {name}: {error}') from None
    return overrides


def _row(key: str) -> Parameter:
    row = parameter(key)
    assert row is not None, key
    return row


def _autostart(node: LifecycleNode) -> list[LaunchDescriptionEntity]:
    """Configure, then activate. (LifecycleNode's own autostart is younger than Humble.)"""

    def change(transition: int) -> EmitEvent:
        return EmitEvent(
            event=ChangeState(
                lifecycle_node_matcher=matches_action(node), transition_id=transition
            )
        )

    return [
        RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=node,
                start_state='configuring',
                goal_state='inactive',
                entities=[change(Transition.TRANSITION_ACTIVATE)],
            )
        ),
        change(Transition.TRANSITION_CONFIGURE),
    ]
