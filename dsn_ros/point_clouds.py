"""sensor_msgs/PointCloud2 → where a LiDAR's points are, and when each of them was measured."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_core.errors import quoted
from dsn_ros.errors import MessageError
from dsn_ros.messages import stamp_ns

__all__ = ['POINT_CLOUD', 'TIME_FIELDS', 'Points', 'read_points']

POINT_CLOUD = 'sensor_msgs/msg/PointCloud2'
TIME_FIELDS = ('t', 'time', 'timestamp', 'time_offset', 'offset_time')

# sensor_msgs/PointField's datatype -> numpy type code.
_TYPES = {1: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', 5: 'i4', 6: 'u4', 7: 'f4', 8: 'f8'}
_LONGEST_NS = 10 * 10**9  # what lies further from the stamp is no time within one sweep


@dataclass(frozen=True)
class Points:
    """Points of one cloud.

    ``xyz`` (N, 3) float64 metres in ``frame_id``, all finite; ``stamp_ns`` the header's;
    ``times_ns`` (N,) int64, when each point was measured, or None: all at the stamp, for all that
    is known.
    """

    xyz: NDArray[np.float64]
    stamp_ns: int
    frame_id: str
    times_ns: NDArray[np.int64] | None


def read_points(message: Any) -> Points:
    """Take the points out of a PointCloud2, whatever else is in it.

    Fields may lie in any order with gaps between them, in either byte order; x, y and z are
    float32 or float64; points that are not finite are left out; organised or not is the same.
    The time of a point is the first of ``TIME_FIELDS`` that there is: whole numbers are
    nanoseconds, floating ones seconds; counted from the header's stamp if they are within 10 s,
    else from 1970 (float64: seconds, or nanoseconds as Livox has them). Times that are neither
    are ignored.

    Raises MessageError naming what does not fit.
    """
    fields = {str(f.name): f for f in message.fields}
    missing = [axis for axis in 'xyz' if axis not in fields]
    if missing:
        there = quoted(', '.join(fields)) if fields else 'none'
        raise MessageError(
            f'a point cloud without field {", ".join(missing)} (it has {there}): choose another '
            'topic with --lidar'
        )
    axes = [_column(message, fields[axis]) for axis in 'xyz']
    for axis, values in zip('xyz', axes, strict=True):
        if values.dtype.kind != 'f':
            raise MessageError(f'field {axis} of a point cloud is {values.dtype}, not float')
    xyz = np.stack(axes, axis=-1).astype(np.float64)
    finite = np.isfinite(xyz).all(axis=1)
    stamp = stamp_ns(message.header)
    times = None
    for name in TIME_FIELDS:
        if name in fields:
            times = _times(_column(message, fields[name])[finite], stamp)
            break
    return Points(xyz[finite], stamp, str(message.header.frame_id).lstrip('/'), times)


def _column(message: Any, field: Any) -> NDArray[Any]:
    """(N,) values of one field, row by row."""
    code = _TYPES.get(int(field.datatype))
    if code is None:
        raise MessageError(
            f'field {field.name} of a point cloud has the unknown datatype {field.datatype}'
        )
    dtype = np.dtype(('>' if message.is_bigendian else '<') + code)
    height, width, step = int(message.height), int(message.width), int(message.point_step)
    row, offset = int(message.row_step), int(field.offset)
    if offset + dtype.itemsize > step:
        raise MessageError(
            f'field {field.name} of a point cloud ends at byte {offset + dtype.itemsize} of '
            f'points of {step} bytes'
        )
    if height > 1 and row < width * step:
        raise MessageError(f'a point cloud has row_step {row} for {width} points of {step} bytes')
    if not height * width:
        return np.empty(0, dtype=dtype.newbyteorder('='))
    data = np.frombuffer(message.data, np.uint8)
    needed = (height - 1) * row + width * step
    if data.size < needed:
        raise MessageError(f'a point cloud has {data.size} bytes of data, but needs {needed}')
    view = np.ndarray((height, width), dtype, data, offset, (row, step))
    return view.reshape(-1).astype(dtype.newbyteorder('='))


def _times(values: NDArray[Any], stamp: int) -> NDArray[np.int64] | None:
    """Stamps of points (N,) by their time field; None where it makes no sense."""
    if not values.size or not np.isfinite(values).all():
        return None
    whole = values.dtype.kind in 'iu'
    largest = float(np.abs(values.astype(np.float64)).max())
    if largest <= (_LONGEST_NS if whole else _LONGEST_NS * 1e-9):
        since = values.astype(np.float64) * (1 if whole else 1e9)
        return stamp + np.rint(since).astype(np.int64)
    if values.dtype != np.float64:
        return None
    for unit in (1e9, 1.0):  # seconds, nanoseconds
        # Doubles hold today's seconds to 0.2 us; nanoseconds to 256 of them.
        since = (values - stamp / unit) * unit
        if np.abs(since).max() <= _LONGEST_NS:
            return stamp + np.rint(since).astype(np.int64)
    return None
