"""``sensor_msgs/CompressedImage`` -> array: JPEG and PNG, with the size checked beforehand."""

from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.errors import quoted
from dsn_ros.errors import MessageError

__all__ = ['CompressedImageMessage', 'compressed_to_rgb']

MAX_PIXELS = 64 * 2**20  # of a compressed picture: a few kB may claim to be gigabytes
# Pixels times scans of a JPEG: each scan costs the decoder a walk through all pixels, and only
# some sixty bytes. Progressive ones have about ten; the largest picture may have sixteen.
MAX_WORK = 16 * MAX_PIXELS
MAX_DENSITY = 1100  # pixels to a byte: a JPEG of one colour has 500, a grey PNG of one 1000
_START_OF_SCAN = b'\xff\xda'


class CompressedImageMessage(Protocol):
    """The fields of ``sensor_msgs/CompressedImage`` that are used here (``header`` aside)."""

    format: Any
    data: Any


def compressed_to_rgb(msg: CompressedImageMessage) -> NDArray[np.uint8]:
    """Decode a ``sensor_msgs/CompressedImage`` that holds a JPEG or a PNG.

    What it holds is read from the data: ``format`` is written in many ways ('jpeg', 'bgr8; jpeg
    compressed bgr8', 'rgb8; png compressed bgr8', nothing at all). It matters only where it says
    that channels were stored as 'compressed rgb', which are then not swapped, as in
    compressed_image_transport. Grey becomes RGB, 16 bits their high byte; an EXIF orientation is
    ignored, since camera_info describes the sensor's own rows.

    Returns:
        (H, W, 3) uint8 RGB, C-contiguous.

    Raises:
        MessageError: a depth topic, a Bayer mosaic, a damaged picture, one of more than 64
            megapixels, or of so many scans that it would take minutes to decode.

    """
    form = str(msg.format)
    if 'compresseddepth' in form.lower():
        raise MessageError(
            f'compressed image format {quoted(form)} is a depth topic: choose the colour image '
            'instead'
        )
    data = np.frombuffer(msg.data, np.uint8)
    head = _picture_head(data)
    if head is None:
        raise MessageError(
            f'compressed image (format {quoted(form)}, {data.size} bytes) is no whole JPEG or '
            'PNG: publish jpeg or png'
        )
    if head.height * head.width > MAX_PIXELS:
        raise MessageError(
            f'compressed image claims {head.width} x {head.height} pixels, more than '
            f'{MAX_PIXELS // 2**20} megapixels: refused'
        )
    if head.height * head.width > data.size * MAX_DENSITY:
        raise MessageError(
            f'compressed image claims {head.width} x {head.height} pixels in {data.size} bytes: '
            'it is damaged'
        )
    scans = data.tobytes().count(_START_OF_SCAN) if head.jpeg else 1
    if head.height * head.width * scans > MAX_WORK:
        raise MessageError(
            f'compressed image of {head.width} x {head.height} pixels has {scans} scans, which '
            'would take minutes to decode: refused'
        )
    if form.startswith('bayer_') and head.grey:
        raise MessageError(
            f'compressed image format {quoted(form)} is a raw Bayer mosaic: debayer before '
            'compressing (image_proc), or take the raw topic'
        )
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        bgr = None
    if bgr is None:
        raise MessageError(
            f'compressed image (format {quoted(form)}, {data.size} bytes) is damaged: it does not '
            'decode'
        )
    if 'compressed rgb' in form:
        return np.asarray(bgr, dtype=np.uint8)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr), dtype=np.uint8)


class _Head(NamedTuple):
    """What the first bytes of a picture say about it."""

    height: int
    width: int
    grey: bool
    jpeg: bool


def _picture_head(data: NDArray[np.uint8]) -> _Head | None:
    """Read a JPEG's or PNG's size from its header; None if there is no such header."""
    head = data[:26].tobytes()
    if head[:8] == b'\x89PNG\r\n\x1a\n' and head[12:16] == b'IHDR' and len(head) == 26:
        width, height = (int.from_bytes(head[i : i + 4], 'big') for i in (16, 20))
        return _Head(height, width, head[25] in (0, 4), False)  # colour type: grey, grey + alpha
    if head[:2] != b'\xff\xd8':
        return None
    at = 2
    while at + 10 <= data.size:  # walk the JPEG's segments to the start of frame
        if data[at] != 0xFF:
            return None
        marker = int(data[at + 1])
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # segments without a length
            at += 2
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame = data[at + 5 : at + 10].tobytes()
            height, width = (int.from_bytes(frame[i : i + 2], 'big') for i in (0, 2))
            return _Head(height, width, frame[4] == 1, True)
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4].tobytes(), 'big')
    return None
