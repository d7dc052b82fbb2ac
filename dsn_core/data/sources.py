"""All kinds of frame sources that need no ROS; importing this makes them known.

``dsn_ros.bag_frames`` adds bags.
"""

from dsn_core.data.drive_source import DrivesSource
from dsn_core.data.nuscenes import NuScenesSource
from dsn_core.data.picture_source import PicturesSource
from dsn_core.data.robotcar import RobotCarSource
from dsn_core.data.simulation_source import SimulationSource

__all__ = [
    'DrivesSource',
    'NuScenesSource',
    'PicturesSource',
    'RobotCarSource',
    'SimulationSource',
]
