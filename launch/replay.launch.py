"""Plays a recorded bag through the real node, in RViz where that is installed.

ros2 launch dsn_ros replay.launch.py bag:=my_drive

Takes all arguments of perception.launch.py as well; image, camera_info and image_transport are
found in the bag. Time is the bag's.
"""

from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    SetLaunchConfiguration,
    Shutdown,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.event_handlers import OnStateTransition

from dsn_ros.installed import installed
from dsn_ros.parameters import Parameter, parameter
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

PERCEPTION = str(Path(__file__).resolve().parent / 'perception.launch.py')
CLOCK_HZ = '100'


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            *arguments(),
            OpaqueFunction(function=choose),
            IncludeLaunchDescription(PythonLaunchDescriptionSource(PERCEPTION)),
        ]
    )


def arguments() -> list[LaunchDescriptionEntity]:
    return [
        DeclareLaunchArgument(
            'bag', description='The recording: a bag folder, an .mcap or a .db3 file.'
        ),
        DeclareLaunchArgument(
            'image',
            default_value='',
            description='Topic of the camera images, raw or compressed; empty: the only one. Of '
            'several cameras: with {camera} where the name of each goes.',
        ),
        DeclareLaunchArgument('rate', default_value='1.0', description='Times as fast as it was.'),
        DeclareLaunchArgument(
            'loop',
            default_value='false',
            choices=['true', 'false'],
            description='Begin again at the end.',
        ),
        DeclareLaunchArgument(
            'start_offset', default_value='0.0', description='Seconds to leave out at the start.'
        ),
        DeclareLaunchArgument(
            'exit_at_end',
            default_value='false',
            choices=['true', 'false'],
            description='End everything when the bag ends; else the last frame stays in RViz.',
        ),
        DeclareLaunchArgument(
            'rviz',
            default_value='auto',
            choices=['auto', 'true', 'false'],
            description='Show the outputs in RViz; auto: where rviz2 is installed.',
        ),
    ]


def _row() -> Parameter:
    row = parameter('cameras')
    assert row is not None
    return row


def choose(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Find the camera in the bag, say so to the node, and play once the node is active."""

    # Here, so that --show-args needs no bag library.
    from dsn_ros.bags import choose_image_topic, find_camera_info_topic, open_bag

    def given(name: str) -> str:
        return str(context.launch_configurations.get(name, ''))

    # Relative to where the command was typed, which is where the player is started as well.
    path = Path(given('bag')).expanduser()
    cameras = [name for name in _row().read(given('cameras') or '[]') if name]
    pattern, camera_info = given('image'), given('camera_info')
    with open_bag(path) as bag:
        wanted = [pattern.replace('{camera}', camera) for camera in cameras] or [pattern]
        images = [choose_image_topic(bag, each or None) for each in wanted]
        if not cameras:
            pattern = images[0].name
            camera_info = camera_info or find_camera_info_topic(bag, pattern) or ''
    compressed = {each.type.endswith('CompressedImage') for each in images}
    if len(compressed) > 1:
        raise RuntimeError(
            f'{", ".join(each.name for each in images)}: play raw or compressed images, not both'
        )
    found = {
        'image': pattern.removesuffix('/compressed'),
        'image_transport': 'compressed' if compressed.pop() else 'raw',
        'camera_info': camera_info,
        'use_sim_time': 'true',
        'rviz': given('rviz') if given('rviz') != 'auto' else str(installed('rviz2')).lower(),
    }
    play = ['ros2', 'bag', 'play', str(path), '--clock', CLOCK_HZ, '--rate', given('rate')]
    play += ['--start-offset', given('start_offset'), '--disable-keyboard-controls']
    player = ExecuteProcess(
        cmd=play + (['--loop'] if given('loop') == 'true' else []),
        output='screen',
        on_exit=Shutdown(reason='the bag is played') if given('exit_at_end') == 'true' else None,
    )
    return [
        *(SetLaunchConfiguration(name, value) for name, value in found.items()),
        # Not before: the first frames would be lost.
        RegisterEventHandler(OnStateTransition(goal_state='active', entities=[player])),
    ]
