"""Messages -> arrays, for ROS's message classes and the rosbags library's alike.

Both worlds name the fields alike, so everything here looks at attributes only; ROS's ``data``
is an ``array.array('B')``, the bag library's a read-only uint8 array. Arrays -> messages is in
:mod:`dsn_ros.message_builders`; compressed images and calibrations are read in
:mod:`dsn_ros.compressed_images` and :mod:`dsn_ros.camera_info`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.errors import quoted
from dsn_ros.camera_info import CameraInfoFields, camera_info_fields
from dsn_ros.compressed_images import CompressedImageMessage, compressed_to_rgb
from dsn_ros.errors import MessageError

__all__ = [
    'CONVERTED_ENCODINGS',
    'DIRECT_ENCODINGS',
    'CameraInfoFields',
    'CompressedImageMessage',
    'Converter',
    'ImageMessage',
    'PixelFormat',
    'bag_converter',
    'camera_info_fields',
    'compressed_to_rgb',
    'cv_bridge_converter',
    'image_to_rgb',
    'image_view',
    'stamp_ns',
]

MAX_SIDE = 65535  # pixels; what a JPEG can hold, and more than any camera has


class ImageMessage(Protocol):
    """The fields of ``sensor_msgs/Image`` that are used here (``header`` aside)."""

    height: Any
    width: Any
    encoding: Any
    is_bigendian: Any
    step: Any
    data: Any


Converter = Callable[[ImageMessage], NDArray[np.uint8]]
"""An image message -> (H, W, 3) uint8 RGB, for the encodings that aren't taken directly."""


class PixelFormat(NamedTuple):
    """How an encoding lays out one pixel: a numpy type code and the number of channels."""

    type_code: str
    channels: int

    def dtype(self, is_bigendian: bool = False) -> np.dtype[Any]:
        """Type of one channel, in the byte order of the message."""
        return np.dtype(('>' if is_bigendian else '<') + self.type_code)


PIXEL_FORMATS = {
    'rgb8': PixelFormat('u1', 3),
    'bgr8': PixelFormat('u1', 3),
    'rgba8': PixelFormat('u1', 4),
    'bgra8': PixelFormat('u1', 4),
    'mono8': PixelFormat('u1', 1),
    'mono16': PixelFormat('u2', 1),
    '8UC1': PixelFormat('u1', 1),
    '8UC3': PixelFormat('u1', 3),
    '8UC4': PixelFormat('u1', 4),
    '16UC1': PixelFormat('u2', 1),
    '32FC1': PixelFormat('f4', 1),
}

# What a converter is known to take, with the bytes of a pixel (the rows of such an image are
# checked and unpadded before the bag library sees them: it ignores `step`).
_CONVERTED_BYTES = {
    **{f'bayer_{order}8': 1 for order in ('rggb', 'bggr', 'gbrg', 'grbg')},
    **{f'bayer_{order}16': 2 for order in ('rggb', 'bggr', 'gbrg', 'grbg')},
    **dict.fromkeys(('yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv'), 2),
    **{'rgb16': 6, 'bgr16': 6, 'rgba16': 8, 'bgra16': 8},
}

_TO_RGB = {
    'bgr8': cv2.COLOR_BGR2RGB,
    'rgba8': cv2.COLOR_RGBA2RGB,
    'bgra8': cv2.COLOR_BGRA2RGB,
    'mono8': cv2.COLOR_GRAY2RGB,
}

DIRECT_ENCODINGS = ('rgb8', *_TO_RGB, 'mono16')
"""Encodings that :func:`image_to_rgb` takes by itself."""

CONVERTED_ENCODINGS = tuple(_CONVERTED_BYTES)
"""Encodings that :func:`bag_converter` takes on top of those."""


def image_view(msg: ImageMessage) -> NDArray[Any]:
    """Look into an image message without copying it.

    Takes rgb8, bgr8, rgba8, bgra8, mono8, mono16, 8UC1, 8UC3, 8UC4, 16UC1 and 32FC1, padded
    rows (``step``) and either byte order.

    Returns:
        (H, W) or (H, W, C) view in the message's own type, byte order, channel order and unit;
        strided where rows are padded. It shares the message's memory: read-only if that is,
        and a ROS message can't be resized while it lives.

    Raises:
        MessageError: a field makes no sense; the text names it and its value.

    """
    form = PIXEL_FORMATS.get(msg.encoding)
    if form is None:
        raise MessageError(
            f'image encoding {quoted(msg.encoding)} has no plain array: use one of '
            f'{", ".join(PIXEL_FORMATS)}'
        )
    dtype = form.dtype(bool(msg.is_bigendian))
    pixel = dtype.itemsize * form.channels
    data = _checked_data(msg, pixel)
    shape, strides = (msg.height, msg.width), (msg.step, pixel)
    if form.channels > 1:
        return np.ndarray((*shape, form.channels), dtype, data, 0, (*strides, dtype.itemsize))
    return np.ndarray(shape, dtype, data, 0, strides)


def image_to_rgb(msg: ImageMessage, converter: Converter | None = None) -> NDArray[np.uint8]:
    """Convert an image message of any colour or grey encoding to RGB.

    rgb8 without row padding is not copied. mono16 keeps its high byte (``>> 8``): a camera of
    10 or 12 bits that doesn't use the upper ones comes out dark. Everything but
    ``DIRECT_ENCODINGS`` (Bayer, YUV, 16-bit colour) goes through ``converter``.

    Returns:
        (H, W, 3) uint8 RGB, C-contiguous; for rgb8 it may share the message's memory.

    Raises:
        MessageError: a field makes no sense, or nothing here can convert the encoding.

    """
    encoding = msg.encoding
    if encoding not in DIRECT_ENCODINGS:
        return _converted(msg, converter)
    view = image_view(msg)
    if encoding == 'rgb8':
        return np.ascontiguousarray(view)
    if encoding == 'mono16':
        grey = (view >> 8).astype(np.uint8)
        return _uint8(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB))
    return _uint8(cv2.cvtColor(view, _TO_RGB[encoding]))


def bag_converter(msg: ImageMessage) -> NDArray[np.uint8]:
    """Convert ``CONVERTED_ENCODINGS`` through rosbags-image, needing no ROS.

    Bayer is demosaiced bilinearly; 16 bits become 8 by ``* 255 / 65535``.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        MessageError: another encoding, a field that makes no sense, or no rosbags-image.
        cv2.error: OpenCV can't (YUV of odd width); a MessageError after :func:`image_to_rgb`.

    """
    try:
        from rosbags.image import image_to_cvimage
    except ImportError as error:
        raise MessageError(
            f'image encoding {quoted(msg.encoding)} needs rosbags-image: pip install rosbags-image'
        ) from error
    pixel = _CONVERTED_BYTES.get(msg.encoding)
    if pixel is None:  # the library takes 8UC3 for RGB, which OpenCV's users mean as BGR
        raise _unsupported(msg, (*DIRECT_ENCODINGS, *CONVERTED_ENCODINGS))
    data = _checked_data(msg, pixel)
    rows = np.ndarray((msg.height, msg.width * pixel), np.uint8, data, 0, (msg.step, 1))
    packed = _Packed(
        int(msg.height),
        int(msg.width),
        msg.encoding,
        bool(msg.is_bigendian),
        int(msg.width) * pixel,
        np.ascontiguousarray(rows).reshape(-1),
    )
    # The stand-in has every field that is looked at; the library's annotation wants its own class.
    return _uint8(image_to_cvimage(packed, 'rgb8'))  # type: ignore[arg-type]


def cv_bridge_converter() -> Converter:
    """Make a converter out of ROS's cv_bridge, for the node.

    cv_bridge takes what :func:`bag_converter` does, as far as it bears the OpenCV beside it:
    with OpenCV 5 it raises KeyError and the like, which become a MessageError.

    Raises:
        MessageError: cv_bridge can't be imported.

    """
    try:
        bridge = import_module('cv_bridge').CvBridge()
    except Exception as error:  # with a foreign OpenCV or numpy, more than ImportError comes
        raise MessageError(
            f'cv_bridge does not import ({type(error).__name__}: {error}), so only '
            f'{", ".join(DIRECT_ENCODINGS)} images can be taken: install ros-$ROS_DISTRO-cv-bridge'
        ) from error

    def convert(msg: ImageMessage) -> NDArray[np.uint8]:
        try:
            return _uint8(bridge.imgmsg_to_cv2(msg, desired_encoding='rgb8'))
        except Exception as error:  # CvBridgeError, KeyError (OpenCV 5), cv2.error, TypeError
            raise MessageError(
                f'cv_bridge (with OpenCV {cv2.__version__}) can not convert image encoding '
                f'{quoted(msg.encoding)} ({type(error).__name__}: {error}): publish one of '
                f'{", ".join(DIRECT_ENCODINGS)}, or install opencv-python < 5'
            ) from error

    return convert


def stamp_ns(header: Any) -> int:
    """Nanoseconds of a header's stamp (the bag library calls the parts alike for ROS 1).

    Raises MessageError where it is no time that an output could carry: before 1970, beyond what
    ``builtin_interfaces/Time`` holds, or with a whole second of nanoseconds.
    """
    sec, nanosec = int(header.stamp.sec), int(header.stamp.nanosec)
    if not (0 <= sec < 2**31 and 0 <= nanosec < 10**9):
        raise MessageError(
            f'header.stamp of {sec} s and {nanosec} ns is no time: check the clock of the driver'
        )
    return sec * 10**9 + nanosec


@dataclass
class _Packed:
    """Stand-in for an image message whose rows have no padding."""

    height: int
    width: int
    encoding: str
    is_bigendian: bool
    step: int
    data: NDArray[np.uint8]


def _uint8(array: Any) -> NDArray[np.uint8]:
    """Narrow the type of what OpenCV hands back."""
    return np.ascontiguousarray(array, dtype=np.uint8)


def _checked_data(msg: ImageMessage, pixel: int) -> NDArray[np.uint8]:
    """Return the message's bytes, if its fields fit them and ``pixel`` bytes per pixel."""
    name = f'{msg.encoding} image of {msg.width} x {msg.height}'
    for side in ('height', 'width'):
        if not 1 <= getattr(msg, side) <= MAX_SIDE:
            raise MessageError(
                f'image {side} is {getattr(msg, side)}, not within 1 to {MAX_SIDE}: '
                'check the driver'
            )
    row = msg.width * pixel
    if msg.step < row:
        raise MessageError(f'{name} has step {msg.step}, but a row needs {row} bytes')
    data = np.frombuffer(msg.data, np.uint8)
    # The padding of the last row may be missing: some drivers crop it.
    needed = msg.step * (msg.height - 1) + row
    if data.size < needed:
        raise MessageError(
            f'{name} with step {msg.step} has {data.size} bytes of data, but needs {needed}'
        )
    return data


def _unsupported(msg: ImageMessage, supported: Sequence[str], reason: str = '') -> MessageError:
    return MessageError(
        f'image encoding {quoted(msg.encoding)} can not be converted{reason and f" ({reason})"}: '
        f'supported are {", ".join(supported)}'
    )


def _converted(msg: ImageMessage, converter: Converter | None) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB by ``converter``, whose every failure becomes a MessageError."""
    if converter is None:
        raise _unsupported(msg, DIRECT_ENCODINGS)
    supported = (*DIRECT_ENCODINGS, *CONVERTED_ENCODINGS)
    try:
        rgb = np.asarray(converter(msg))
    except MessageError:
        raise
    except Exception as error:  # libraries differ; whatever it is, only this message is lost
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise _unsupported(msg, supported, reason) from error
    if rgb.shape != (msg.height, msg.width, 3) or rgb.dtype != np.uint8:
        raise _unsupported(msg, supported, f'it came out as {rgb.dtype} of shape {rgb.shape}')
    return np.ascontiguousarray(rgb)
