"""Where the car of Oxford RobotCar was, and where its sensors sit, from the published files.

The car's frame has x forward, y right and z down. Its visual odometry is of that frame; ins.csv
and rtk.csv are of the inertial unit's.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsn_core.data.poses import PoseTrack, inverse, of_euler
from dsn_core.errors import UserError

__all__ = ['POSES', 'columns', 'read_extrinsics', 'vehicle_track']

POSES = {'vo': 'vo/vo.csv', 'ins': 'gps/ins.csv', 'rtk': 'gps/rtk.csv'}
"""Files of a traversal that say how the car moved."""
MAX_GAP = 1.0  # seconds between two poses over which nobody knows how the car moved

_ANGLES = ('roll', 'pitch', 'yaw')


def columns(file: Path, names: Sequence[str]) -> NDArray[np.float64]:
    """Columns ``names`` (N, len(names)) of a CSV file with a header; raises UserError."""
    try:
        with file.open(newline='') as stream:
            rows = [[float(row[name]) for name in names] for row in csv.DictReader(stream)]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f'{file} must have the columns {", ".join(names)} in every row ({error!r}): '
            'extract it again'
        ) from error
    if not rows:
        raise UserError(f'{file} has no rows: extract it again')
    return np.array(rows)


def read_extrinsics(file: Path) -> NDArray[np.float64]:
    """The motion (4, 4) in a file of the development kit: x y z roll pitch yaw in one line.

    Of lms_front and ins: the sensor's frame to the car's; of a camera: the car's to the camera's.
    Raises UserError naming the file that cannot be used.
    """
    try:
        return of_euler([float(value) for value in file.read_text().split()])
    except (ValueError, OSError) as error:
        raise UserError(f'{file} must hold x y z roll pitch yaw: {error}') from error


def vehicle_track(file: Path, inertial_unit: NDArray[np.float64]) -> PoseTrack:
    """Where the car's frame was, from one of the files of POSES.

    ``inertial_unit``: the motion of ins.txt. Raises UserError naming the file that is damaged.
    """
    if file.name == 'vo.csv':
        names = ('source_timestamp', 'destination_timestamp', 'x', 'y', 'z', *_ANGLES)
        table = columns(file, names)
        steps = np.stack([of_euler(row) for row in table[:, 2:]])
        return PoseTrack.of_steps(table[:, :2].astype(np.int64), steps)
    table = columns(file, ('timestamp', 'northing', 'easting', 'down', *_ANGLES))
    to_unit = inverse(inertial_unit)
    poses = np.stack([of_euler(row) @ to_unit for row in table[:, 1:]])
    return PoseTrack.through(table[:, 0].astype(np.int64), poses, MAX_GAP)
