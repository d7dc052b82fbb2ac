"""A camera's calibration: ROS' YAML, intrinsics by hand, or an angle of view."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from dsn_core.errors import ConfigError, UserError, quoted, require

__all__ = ['FISHEYE', 'REMEDY', 'Calibration', 'camera_by_hand', 'check_camera_fields']

REMEDY = 'give fov=70 (degrees, horizontal) or intrinsics=[fx, fy, cx, cy] (pixels)'
"""What to do about an unknown camera, for messages of sources with these fields."""

FISHEYE = ('equidistant', 'fisheye')
"""Names of the one model of fisheye lenses."""

_POLYNOMIAL = (4, 5, 8, 12, 14)  # k1 k2 p1 p2 [k3 [k4 k5 k6 [s1 s2 s3 s4 [tau_x tau_y]]]]
_COEFFICIENTS = {
    'plumb_bob': _POLYNOMIAL,
    'rational_polynomial': _POLYNOMIAL,
    **dict.fromkeys(FISHEYE, (4,)),
}


@dataclass(frozen=True)
class Calibration:
    """Focal lengths and centre of a ``width`` x ``height`` picture in pixels, and its lens.

    Pixel (0, 0) is the centre of the first pixel. ``d`` are the coefficients of
    ``distortion_model``, named as in ``sensor_msgs/CameraInfo`` (plumb_bob, rational_polynomial,
    equidistant); none, or zeros: a pinhole. Raises UserError for what is no calibration.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion_model: str = 'plumb_bob'
    d: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        numbers = (self.fx, self.fy, self.cx, self.cy, *self.d)
        if self.width < 1 or self.height < 1:
            raise UserError(f'a picture of {self.width} x {self.height} pixels: calibrate again')
        if not all(math.isfinite(n) for n in numbers) or self.fx <= 0 or self.fy <= 0:
            raise UserError(f'K = fx {self.fx:g}, fy {self.fy:g} is no calibration')
        if not self.distorted:
            return
        counts = _COEFFICIENTS.get(self.distortion_model)
        if counts is None:
            raise UserError(
                f'distortion model {quoted(self.distortion_model)} is not known: calibrate with '
                f'one of {", ".join(_COEFFICIENTS)}, or give undistorted pictures'
            )
        if len(self.d) not in counts:
            raise UserError(
                f'distortion model {self.distortion_model} has {len(self.d)} coefficients, not '
                f'{" or ".join(map(str, counts))}'
            )

    @classmethod
    def of_view(cls, width: int, height: int, fov: float) -> 'Calibration':
        """A pinhole that sees ``fov`` degrees from its left to its right edge."""
        focal = width / 2 / math.tan(math.radians(fov) / 2)
        return cls(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)

    @classmethod
    def read(cls, file: Path) -> 'Calibration':
        """Read a YAML file as ROS' camera_calibration writes it, or a CameraInfo echoed to YAML.

        The first has image_width, image_height, camera_matrix.data, distortion_model and
        distortion_coefficients.data; the second width, height, k, d and distortion_model.
        Raises ConfigError naming the file and the field.
        """
        try:
            # `ros2 topic echo` ends each message with `---`.
            data = next(iter(yaml.safe_load_all(file.read_text(encoding='utf-8'))), None)
        except OSError as error:
            raise ConfigError(f'calibration {file} cannot be read: {error.strerror}') from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f'{file} is no YAML: {" ".join(str(error).split())}') from error
        if not isinstance(data, dict):
            raise ConfigError(f'{file} must hold the fields of a camera_info')
        try:
            k = _numbers(data, ('camera_matrix', 'k', 'K'), 9)
            d = _numbers(data, ('distortion_coefficients', 'd', 'D'))
            return cls(
                width=int(_field(data, ('image_width', 'width'))),
                height=int(_field(data, ('image_height', 'height'))),
                fx=k[0],
                fy=k[4],
                cx=k[2],
                cy=k[5],
                distortion_model=str(_field(data, ('distortion_model',))),
                d=d,
            )
        except (KeyError, TypeError, ValueError, UserError) as error:
            reason = error.args[0] if isinstance(error, KeyError) else error
            raise ConfigError(f'{file}: {reason}') from error

    @property
    def distorted(self) -> bool:
        """Whether the lens bends straight lines."""
        return any(self.d)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """K (3, 3), pixels."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])

    def resized(self, width: int, height: int) -> 'Calibration':
        """The calibration of this picture resized; raises UserError if that changes its shape."""
        sx, sy = width / self.width, height / self.height
        if abs(height - self.height * sx) > 1 and abs(width - self.width * sy) > 1:
            raise UserError(
                f'the calibration is for {self.width} x {self.height} pixels, which is another '
                f'shape than {width} x {height}: calibrate the camera at that size'
            )
        # A picture begins half a pixel before the centre of its first pixel.
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=(self.cx + 0.5) * sx - 0.5,
            cy=(self.cy + 0.5) * sy - 0.5,
        )


def check_camera_fields(intrinsics: Sequence[float], fov: float) -> None:
    """Raise ConfigError unless a source's fields ``intrinsics`` and ``fov`` can be used."""
    if intrinsics:
        good = len(intrinsics) == 4 and all(map(math.isfinite, intrinsics))
        good = good and min(intrinsics[:2]) > 0
        require(good, 'intrinsics', 'fx, fy, cx, cy in pixels', list(intrinsics))
    require(fov == 0 or 1 <= fov < 179, 'fov', '1 to 178 degrees, or 0: not given', fov)
    require(not (intrinsics and fov), 'fov', 'left out where intrinsics are given', fov)


def camera_by_hand(
    width: int, height: int, intrinsics: Sequence[float], fov: float
) -> Calibration | None:
    """The pinhole that a source's fields ``intrinsics`` or ``fov`` describe, if either does."""
    if intrinsics:
        fx, fy, cx, cy = intrinsics
        return Calibration(width, height, fx, fy, cx, cy)
    return Calibration.of_view(width, height, fov) if fov else None


def _field(data: dict[str, Any], names: Sequence[str]) -> Any:
    for name in names:
        if name in data:
            return data[name]
    raise KeyError(f'field {names[0]} is missing: write it as camera_calibration does')


def _numbers(
    data: dict[str, Any], names: Sequence[str], count: int | None = None
) -> tuple[float, ...]:
    value = _field(data, names)
    values = _field(value, ('data',)) if isinstance(value, dict) else value
    try:
        numbers = tuple(float(v) for v in values)
    except (TypeError, ValueError) as error:
        raise ValueError(f'field {names[0]} must hold numbers, got {values!r}') from error
    if count is not None and len(numbers) != count:
        raise ValueError(f'field {names[0]} must hold {count} numbers, got {len(numbers)}')
    return numbers
