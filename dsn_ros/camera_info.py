"""The calibration in a CameraInfo message, of ROS's classes and the rosbags library's alike."""

from dataclasses import dataclass
from typing import Any

from dsn_ros.errors import MessageError

__all__ = ['CameraInfoFields', 'camera_info_fields']


@dataclass(frozen=True)
class CameraInfoFields:
    """The calibration in a ``sensor_msgs/CameraInfo``, whichever ROS it came from.

    ``k`` (3 x 3), ``r`` (3 x 3) and ``p`` (3 x 4) are row-major; k, p and the ROI are in pixels.
    ``binning`` is 1 for none; ``roi`` is (x_offset, y_offset, height, width) in unbinned pixels,
    None for the full picture. k[0] = 0 means uncalibrated.
    """

    height: int
    width: int
    distortion_model: str
    d: tuple[float, ...]
    k: tuple[float, ...]
    r: tuple[float, ...]
    p: tuple[float, ...]
    binning_x: int = 1
    binning_y: int = 1
    roi: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        for name, count in (('k', 9), ('r', 9), ('p', 12)):
            if len(getattr(self, name)) != count:
                raise MessageError(
                    f'camera_info field {name} has {len(getattr(self, name))} numbers, not {count}'
                )


def camera_info_fields(msg: Any) -> CameraInfoFields:
    """Read a ``sensor_msgs/CameraInfo``: ROS 2's (``k``) or ROS 1's (``K``).

    Raises:
        MessageError: a field is missing or has the wrong length.

    """

    def numbers(name: str) -> tuple[float, ...]:
        values = getattr(msg, name, None)
        if values is None:
            values = getattr(msg, name.upper(), None)
        if values is None:
            raise MessageError(f'camera_info has no field {name}: not a CameraInfo message')
        return tuple(float(v) for v in values)

    roi = msg.roi
    window = (int(roi.x_offset), int(roi.y_offset), int(roi.height), int(roi.width))
    return CameraInfoFields(
        height=int(msg.height),
        width=int(msg.width),
        distortion_model=str(msg.distortion_model),
        d=numbers('d'),
        k=numbers('k'),
        r=numbers('r'),
        p=numbers('p'),
        binning_x=int(msg.binning_x) or 1,
        binning_y=int(msg.binning_y) or 1,
        roi=window if any(window) else None,
    )
