"""What the network is shown of a camera's picture: the lens taken out, cut to shape, resized.

All maps that come out of the pipeline belong to that view, and so does the camera that is
published with them.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.data.calibration import Calibration
from dsn_core.data.lens import Lens
from dsn_core.data.rectify import rectifier
from dsn_core.errors import UserError
from dsn_ros.camera import Camera
from dsn_ros.errors import MessageError

__all__ = ['Fit', 'View', 'resize_picture', 'view_of']

Fit = Literal['stretch', 'crop']

_IDENTITY = np.eye(3)
_HARDLY = 1.2  # times


@dataclass(frozen=True)
class View:
    """A window of the pictures of one camera; made by ``view_of``.

    ``height`` and ``width``: of the window at the camera's resolution. ``camera``: of a pinhole
    that sees just the window, None where the calibration is unknown. ``left``, ``top``: where the
    window begins in the picture, or in the rectified picture where ``source`` is given: the
    camera, whose lens is to be taken out.
    """

    height: int
    width: int
    left: int
    top: int
    camera: Camera | None
    source: Camera | None = None

    def picture(self, image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
        """The window of ``image`` (H, W, 3) at ``height`` x ``width``."""
        if self.source is None:
            window = image[self.top : self.top + self.height, self.left : self.left + self.width]
            return resize_picture(window, height, width)
        # Shrunk first: one remap of few pixels instead of one of many, and no aliasing.
        near = min(1.0, max(height / self.height, width / self.width))
        rows, columns = round(image.shape[0] * near), round(image.shape[1] * near)
        small = resize_picture(image, rows, columns)
        maps = _maps(self, rows, columns, height, width)
        seen = cv2.remap(small, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(seen, dtype=np.uint8)

    def unseen(self, height: int, width: int) -> NDArray[np.bool_] | None:
        """(height, width) where the camera saw nothing; None if it saw all of the window."""
        return None if self.source is None else _unseen(self, height, width)


@lru_cache(maxsize=16)
def view_of(
    height: int, width: int, camera: Camera | None, rectify: bool, fit: Fit, aspect: float
) -> View:
    """The view of pictures of ``height`` x ``width`` that a network of ``aspect`` (w / h) has.

    ``stretch`` shows it all of the picture, whatever its shape; ``crop`` the middle of it in the
    network's own shape. With ``rectify`` the lens of ``camera`` is taken out: the rectified
    picture is that of its P and R, as image_proc makes it, or, where there is no P, the widest
    without empty borders. Raises MessageError where the distortion coefficients fit no picture.
    """
    source = camera if camera is not None and rectify and camera.distorted else None
    straight = camera if source is None else _straight(source)
    rows, columns, top, left = height, width, 0, 0
    if fit == 'crop':
        rows = max(1, min(height, round(width / aspect)))
        columns = max(1, min(width, round(height * aspect)))
        top, left = (height - rows) // 2, (width - columns) // 2
    window = None if straight is None else straight.window(left, top, rows, columns)
    return View(rows, columns, left, top, window, source)


def resize_picture(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """(H, W, 3) → (height, width, 3), contiguous; averaged where it shrinks.

    Halved first as often as it goes, which OpenCV does six times as fast as any other averaging.
    """
    how = cv2.INTER_AREA
    rows, columns = image.shape[:2]
    while rows >= 2 * height and columns >= 2 * width and not (rows % 2 or columns % 2):
        rows, columns = rows // 2, columns // 2
        image = np.asarray(cv2.resize(image, (columns, rows), interpolation=how), np.uint8)
        if rows < _HARDLY * height and columns < _HARDLY * width:
            how = cv2.INTER_LINEAR  # averaged as it is, it hardly shrinks any more
    if (rows, columns) == (height, width):
        return np.ascontiguousarray(image)
    if rows < height or columns < width:
        how = cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=how).astype(np.uint8, copy=False)


def _straight(camera: Camera) -> Camera:
    """The pinhole of the rectified pictures of ``camera``; raises MessageError."""
    found = camera.rectified() if camera.has_projection else _widest(camera)
    if isinstance(found, str):
        raise MessageError(found)
    return found


@lru_cache(maxsize=16)
def _widest(camera: Camera) -> Camera | str:
    """The pinhole that sees nothing but what ``camera`` saw, or why there is none.

    Failures are kept, too: to find that nothing fits takes longer than a frame may.
    """
    k = camera.k
    try:
        found = rectifier(
            Calibration(
                camera.width,
                camera.height,
                k[0],
                k[4],
                k[2],
                k[5],
                camera.distortion_model,
                camera.d,
            )
        ).intrinsics
    except UserError as error:
        return f'camera_info: {error}'
    fx, fy, cx, cy = (float(found[i]) for i in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return Camera.pinhole(camera.width, camera.height, fx, fy, cx, cy)


@lru_cache(maxsize=16)
def _maps(view: View, rows: int, columns: int, height: int, width: int) -> tuple[Any, Any]:
    """Tables for cv2.remap from the camera's picture at ``rows`` x ``columns`` to the view's."""
    assert view.source is not None
    assert view.camera is not None
    k = _shrunk(view.source, rows, columns)
    pinhole = np.array(view.camera.resized(height, width).k).reshape(3, 3)
    turn = np.array(view.source.r).reshape(3, 3) if view.source.has_projection else _IDENTITY
    d = np.array(view.source.d, dtype=np.float64)
    lens = Lens(k, d, view.source.distortion_model)
    return lens.maps(pinhole, (width, height), cv2.CV_32FC1, turn if turn.any() else None)


@lru_cache(maxsize=16)
def _unseen(view: View, height: int, width: int) -> NDArray[np.bool_] | None:
    assert view.source is not None
    rows, columns = view.source.height, view.source.width
    x, y = _maps(view, rows, columns, height, width)
    inside = (x >= -1) & (x <= columns) & (y >= -1) & (y <= rows)  # False for NaN
    outside = ~inside
    outside.flags.writeable = False  # shared by all frames
    return outside if outside.any() else None


def _shrunk(camera: Camera, rows: int, columns: int) -> NDArray[np.float64]:
    """K (3, 3) of pictures of ``camera`` that cv2.resize made ``rows`` x ``columns``."""
    sx, sy = columns / camera.width, rows / camera.height
    k = np.array(camera.k).reshape(3, 3) * [[sx], [sy], [1]]
    # A pixel's place is its centre's: cv2.resize keeps the edges of the picture, not those.
    k[:2, 2] += (sx - 1) / 2, (sy - 1) / 2
    return np.asarray(k, dtype=np.float64)
