"""The camera: its calibration, and how that follows the picture through a resize."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dsn_core.data.calibration import FISHEYE, Calibration
from dsn_core.data.lens import Lens
from dsn_core.errors import UserError
from dsn_ros.camera_info import CameraInfoFields
from dsn_ros.errors import MessageError

__all__ = ['Camera', 'is_rectified']

_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_LAST_ROW = (0.0, 0.0, 1.0)  # of K, and of P but for its last number
# What no lens has: pictures are from hundredths to thousands of focal lengths wide, and centres
# of windows lie within a hundred widths.
_SHORTEST, _LONGEST, _FARTHEST = 0.01, 10_000.0, 100.0
_TURNED = 0.01  # by how much R R^T of a rotation, in few digits, may differ from 1


@dataclass(frozen=True)
class Camera:
    """A calibrated camera, with the fields of ``sensor_msgs/CameraInfo``.

    ``k`` (9), ``r`` (9) and ``p`` (12) are row-major, in pixels of a ``width`` x ``height``
    picture; ``d`` are the coefficients of ``distortion_model`` (none: an undistorted picture).
    """

    height: int
    width: int
    distortion_model: str
    d: tuple[float, ...]
    k: tuple[float, ...]
    r: tuple[float, ...]
    p: tuple[float, ...]

    @classmethod
    def pinhole(
        cls, width: int, height: int, fx: float, fy: float, cx: float, cy: float
    ) -> 'Camera':
        """A camera without distortion, focal lengths and centre in pixels."""
        k = (fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0)
        p = (fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0)
        return cls(height, width, 'plumb_bob', (0.0,) * 5, k, _IDENTITY, p)

    @classmethod
    def of_view(cls, width: int, height: int, fov_degrees: float) -> 'Camera':
        """A camera without distortion that sees ``fov_degrees`` from its left to right edge."""
        focal = width / 2 / math.tan(math.radians(fov_degrees) / 2)
        return cls.pinhole(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)

    @classmethod
    def from_info(cls, info: CameraInfoFields, topic: str = '') -> 'Camera':
        """The camera that took pictures published with ``info`` on ``topic``.

        CameraInfo's calibration is that of the full sensor; the picture may be a window of it
        (``roi``) and several sensor pixels to one (``binning``). Where image_proc's names say that
        the pictures on ``topic`` are rectified, it is the pinhole of P.

        An uncalibrated camera is one, too (``calibrated`` says so). Raises MessageError naming
        the field of a calibration that no camera has: pictures would be bent by it, or points put
        where nothing is.
        """
        left, top, height, width = info.roi or (0, 0, info.height, info.width)
        height, width = height or info.height, width or info.width
        shift = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]], dtype=np.float64)
        bins = np.diag([1 / info.binning_x, 1 / info.binning_y, 1])
        with np.errstate(invalid='ignore'):  # infinities: `calibrated` will say so
            k = bins @ shift @ np.array(info.k).reshape(3, 3)
            p = bins @ shift @ np.array(info.p).reshape(3, 4)
        fisheye = info.distortion_model in FISHEYE  # some drivers fill its numbers up with zeros
        camera = cls(
            height=height // info.binning_y,
            width=width // info.binning_x,
            distortion_model=info.distortion_model,
            d=info.d[:4] if fisheye and not any(info.d[4:]) else info.d,
            k=tuple(map(float, k.ravel())),
            r=info.r,
            p=tuple(map(float, p.ravel())),
        )
        camera = camera.rectified() if is_rectified(topic) else camera
        if camera.calibrated:
            _check(camera)
        return camera

    def to_info(self) -> CameraInfoFields:
        """The fields of the CameraInfo to publish with pictures of this camera."""
        return CameraInfoFields(
            self.height, self.width, self.distortion_model, self.d, self.k, self.r, self.p
        )

    @property
    def calibrated(self) -> bool:
        """Whether this is a calibration at all: K[0] = 0 says that it is not (CameraInfo)."""
        numbers = (*self.k, *self.d)
        return bool(np.isfinite(numbers).all()) and self.k[0] > 0 and self.k[4] > 0

    @property
    def focal_length(self) -> float:
        """Geometric mean of the two focal lengths, pixels."""
        return float(np.sqrt(self.k[0] * self.k[4]))

    @property
    def distorted(self) -> bool:
        """Whether the lens bends straight lines."""
        return any(self.d)

    @property
    def has_projection(self) -> bool:
        """Whether P says what rectified pictures are like."""
        finite = bool(np.isfinite(self.p).all()) and self.p[8:11] == _LAST_ROW
        return finite and self.p[0] > 0 and self.p[5] > 0

    def rectified(self) -> 'Camera':
        """The pinhole that P says the rectified pictures (``image_rect``) of this camera have.

        Without a P, that of K.
        """
        k, p = self.k, self.p
        if self.has_projection:
            k = (*p[0:3], *p[4:7], *p[8:11])
        else:
            p = (k[0], 0.0, k[2], 0.0, 0.0, k[4], k[5], 0.0, 0.0, 0.0, 1.0, 0.0)
        return replace(self, distortion_model='plumb_bob', d=(0.0,) * 5, k=k, r=_IDENTITY, p=p)

    def window(self, left: int, top: int, height: int, width: int) -> 'Camera':
        """The camera of a window of the picture that begins at pixel (``left``, ``top``)."""
        shift = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]], dtype=np.float64)
        k = shift @ np.array(self.k).reshape(3, 3)
        p = shift @ np.array(self.p).reshape(3, 4)
        return self._with(height, width, k, p)

    def resized(self, height: int, width: int) -> 'Camera':
        """The camera of this picture resized to ``height`` x ``width``.

        Scales K and P as image_proc's resize node does; D and R have no pixels in them.
        """
        sx, sy = width / self.width, height / self.height
        k = np.array(self.k).reshape(3, 3) * [[sx], [sy], [1]]
        p = np.array(self.p).reshape(3, 4) * [[sx], [sy], [1]]
        return self._with(height, width, k, p)

    def _with(
        self, height: int, width: int, k: NDArray[np.float64], p: NDArray[np.float64]
    ) -> 'Camera':
        new_k, new_p = (tuple(map(float, each.ravel())) for each in (k, p))
        return replace(self, height=height, width=width, k=new_k, p=new_p)

    def rays(self) -> NDArray[np.float32]:
        """(H, W, 2) float32: x / z and y / z of the ray through every pixel, lens undone.

        Times the depth along the optical axis they are the point's x and y in the optical frame
        (REP 103: x right, y down, z forward). NaN where the lens model has no inverse: far out
        in the corners some calibrations fold over.
        """
        return _rays(self)


def _check(camera: Camera) -> None:
    """Raise MessageError if ``camera``, calibrated, is none that there could be."""
    k, p = camera.k, camera.p
    if k[6:] != _LAST_ROW:
        raise MessageError(f'camera_info field k ends in {k[6:]}, not in 0 0 1: calibrate again')
    _check_numbers('k', k[0], k[4], k[2], k[5], camera)
    if camera.has_projection:
        _check_numbers('p', p[0], p[5], p[2], p[6], camera)
    if not camera.distorted:
        return
    size = max(camera.width, camera.height, 1)  # any: there may be none
    try:
        Calibration(size, size, k[0], k[4], k[2], k[5], camera.distortion_model, camera.d)
    except UserError as error:
        raise MessageError(f'camera_info: {error}') from error
    turn = np.array(camera.r).reshape(3, 3)
    with np.errstate(over='ignore', invalid='ignore'):
        # All zeros is how careless publishers write "not turned".
        rotates = not turn.any() or np.allclose(turn @ turn.T, np.eye(3), atol=_TURNED)
    if not rotates:
        raise MessageError('camera_info field r is no rotation: calibrate again')


def _check_numbers(name: str, fx: float, fy: float, cx: float, cy: float, camera: Camera) -> None:
    """Raise MessageError if the numbers of field ``name`` are none of pictures of that size."""
    about = f'for pictures of {camera.width} x {camera.height}: calibrate again'
    size = max(camera.width, camera.height)
    if size and not all(_SHORTEST * size <= f <= _LONGEST * size for f in (fx, fy)):
        raise MessageError(
            f'camera_info field {name} has focal lengths of {fx:g} and {fy:g} pixels {about}'
        )
    if size and max(abs(cx), abs(cy)) > _FARTHEST * size:
        raise MessageError(f'camera_info field {name} has its centre at {cx:g}, {cy:g} {about}')


def is_rectified(topic: str) -> bool:
    """Whether image_proc's names say that a topic's pictures are rectified already."""
    return any(part.startswith('image_rect') for part in topic.split('/'))


@lru_cache(maxsize=8)
def _rays(camera: Camera) -> NDArray[np.float32]:
    k = np.array(camera.k, dtype=np.float64).reshape(3, 3)
    v, u = np.mgrid[0 : camera.height, 0 : camera.width].astype(np.float64)
    if not camera.distorted:
        x = (u - k[0, 2]) / k[0, 0]
        y = (v - k[1, 2]) / k[1, 1]
        planes = np.stack([x, y])
    else:
        lens = Lens(k, np.array(camera.d, dtype=np.float64), camera.distortion_model)
        rays = lens.rays(np.stack([u, v], axis=-1).reshape(-1, 2))
        planes = rays.T.reshape(2, camera.height, camera.width)
    # x and y lie in memory one after the other: each is multiplied by depth in one sweep.
    result = np.moveaxis(np.ascontiguousarray(planes, dtype=np.float32), 0, -1)
    result.flags.writeable = False  # shared by every caller
    return result
