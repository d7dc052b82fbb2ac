"""A procedural street by day, at dusk and by night, with exact depth, labels and poses.

Importing this package does not import MuJoCo; drawing the first frame does.
"""

from dsn_core.simulation.camera import PinholeCamera
from dsn_core.simulation.dataset import FORMAT_VERSION, draw_all, drive_name, simulate, split_of
from dsn_core.simulation.drive import SimulatedDrive, SimulatedFrame
from dsn_core.simulation.options import CONDITIONS, SimulationError, SimulationOptions

__all__ = [
    'CONDITIONS',
    'FORMAT_VERSION',
    'PinholeCamera',
    'SimulatedDrive',
    'SimulatedFrame',
    'SimulationError',
    'SimulationOptions',
    'draw_all',
    'drive_name',
    'simulate',
    'split_of',
]
