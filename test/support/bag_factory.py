"""Writes small bags of synthetic frames, in every storage and encoding that tests need."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from dsn_ros.camera_info import CameraInfoFields
from dsn_ros.message_builders import BagMessages

START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 40_000_000
BAYER = {'rggb': 'RGGB', 'bggr': 'BGGR', 'gbrg': 'GBRG', 'grbg': 'GRBG'}
RAW_ENCODINGS = (
    'rgb8',
    'bgr8',
    'rgba8',
    'bgra8',
    'mono8',
    'mono16',
    *(f'bayer_{order}8' for order in BAYER),
    'yuv422',
    'yuv422_yuy2',
)


def picture(height=48, width=64, seed=0, posts=True):
    """A (H, W, 3) uint8 RGB picture whose channels differ and that no flip leaves alike.

    Smooth but for four dark ``posts``, without which there would be nothing to be seen in it.
    """
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    phase = 0.7 * seed
    planes = (
        200 * x / width + 20,
        120 + 80 * np.sin(y / 9 + phase),
        60 + 50 * np.cos((x + 2 * y) / 13 + phase),
    )
    dark = posts & (16 * x // width % 4 == 2) & (np.abs(4 * y - 2 * height) < height)
    return np.where(dark[..., None], 10, np.stack(planes, axis=-1)).astype(np.uint8)


def encode(rgb, encoding):
    """RGB -> (H, W[, C]) array as ``encoding`` lays it out (two bytes a pixel for YUV 4:2:2)."""
    if encoding.startswith('bayer_'):
        pattern = encoding[6:10]
        mosaic = np.empty(rgb.shape[:2], np.uint8)
        for i, letter in enumerate(pattern):
            row, column = divmod(i, 2)
            mosaic[row::2, column::2] = rgb[row::2, column::2, 'rgb'.index(letter)]
        return mosaic
    if encoding in ('yuv422', 'yuv422_yuy2'):
        # ITU-R BT.601, limited range, as cameras send it.
        yuv = rgb @ np.array([[66, -38, 112], [129, -74, -94], [25, 112, -18]]) / 256
        yuv = (yuv + (16.5, 128.5, 128.5)).astype(np.uint8)
        # U and V are shared by two neighbours.
        even = np.arange(rgb.shape[1]) % 2 == 0
        chroma = np.where(even, yuv[..., 1], np.roll(yuv[..., 2], 1, 1))
        pair = (chroma, yuv[..., 0]) if encoding == 'yuv422' else (yuv[..., 0], chroma)
        return np.stack(pair, axis=-1)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return {
        'rgb8': lambda: rgb,
        'bgr8': lambda: cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR),
        'rgba8': lambda: cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA),
        'bgra8': lambda: cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA),
        'mono8': lambda: grey,
        'mono16': lambda: grey.astype('<u2') * 256 + 17,
    }[encoding]()


@dataclass
class StandIn:
    """A message as far as its fields go; tests bend them at will."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


def laid_out(array, encoding, *, padding=0, big_endian=False, container=None):
    """Lay ``array`` (H, W[, C]) out as a message, ``padding`` bytes after each row.

    ``container`` makes ``data`` of bytes: by default the bag library's read-only uint8 array.
    """
    ordered = array.astype(array.dtype.newbyteorder('>' if big_endian else '<'))
    rows = np.frombuffer(ordered.tobytes(), np.uint8).reshape(array.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xAB)
    raw = rows.tobytes()
    data = container(raw) if container else np.frombuffer(raw, np.uint8)
    return StandIn(array.shape[0], array.shape[1], encoding, int(big_endian), rows.shape[1], data)


def jpeg(rgb):
    return cv2.imencode('.jpg', rgb[..., ::-1])[1].tobytes()


def png(array):
    """``array`` RGB or grey, 8 or 16 bits."""
    return cv2.imencode('.png', array[..., ::-1] if array.ndim == 3 else array)[1].tobytes()


def camera_fields(height=48, width=64):
    return CameraInfoFields(
        height=height,
        width=width,
        distortion_model='plumb_bob',
        d=(-0.2, 0.05, 0.0, 0.0, 0.0),
        k=(50.0, 0.0, 31.5, 0.0, 51.0, 23.5, 0.0, 0.0, 1.0),
        r=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        p=(49.0, 0.0, 31.0, 0.0, 0.0, 50.0, 23.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    )


class Recording:
    """Messages to be written to a bag: ``add`` some, then ``write``."""

    def __init__(self):
        self.make = BagMessages()
        self.entries = []  # (topic, type, receive_ns, CDR bytes)

    def add(self, topic, message, receive_ns):
        raw = bytes(self.make.serialize(message))
        self.entries.append((topic, message.__msgtype__, receive_ns, raw))
        return self

    def add_raw(self, topic, type_name, receive_ns, raw):
        self.entries.append((topic, type_name, receive_ns, raw))
        return self

    def frames(self, topic, count=5, encoding='rgb8', size=(48, 64), info=None):
        """Add ``count`` frames at 25 Hz; ``encoding`` may be 'jpeg' or 'png' as well."""
        for i in range(count):
            stamp = START_NS + i * PERIOD_NS
            header = self.make.header(stamp, 'camera')
            rgb = picture(*size, seed=i)
            if encoding in ('jpeg', 'png'):
                data = jpeg(rgb) if encoding == 'jpeg' else png(rgb)
                message = self.make.compressed_image(data, encoding, header)
            else:
                message = self.raw_image(encode(rgb, encoding), encoding, header)
            self.add(topic, message, stamp + 1_000_000)
            if info:
                self.add(info, self.make.camera_info(camera_fields(*size), header), stamp + 1000)
        return self

    def depth(self, topic, count=2, size=(48, 64)):
        """Add ``count`` frames of 32FC1 depth, all 3 metres."""
        for i in range(count):
            stamp = START_NS + i * PERIOD_NS
            array = np.full(size, 3, np.float32)
            message = self.make.image(array, '32FC1', self.make.header(stamp, 'camera'))
            self.add(topic, message, stamp + 2_000_000)
        return self

    def raw_image(self, array, encoding, header):
        """An Image message of any encoding, those included that BagMessages doesn't build."""
        shape = laid_out(array, encoding)
        return self.make.store.types['sensor_msgs/msg/Image'](header=header, **vars(shape))

    def write(self, path: Path, storage: str = 'mcap', *, compression: str | None = None) -> Path:
        """Write to ``path``: a folder for mcap and sqlite3, a .bag file for ros1.

        ``compression``: None, 'message' or 'file' (rosbag2), or 'storage' (mcap's zstd chunks).
        """
        if storage == 'ros1':
            return self._write_ros1(path)
        plugin = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}[storage]
        writer = Writer(path, version=9, storage_plugin=plugin)
        if compression:
            writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
        with writer:
            connections = {}
            for topic, type_name, receive_ns, raw in sorted(self.entries, key=lambda e: e[2]):
                if topic not in connections:
                    connections[topic] = writer.add_connection(
                        topic, type_name, typestore=self.make.store
                    )
                writer.write(connections[topic], receive_ns, raw)
        return path

    def _write_ros1(self, path):
        store = get_typestore(Stores.ROS1_NOETIC)
        with Ros1Writer(path) as writer:
            connections = {}
            for topic, type_name, receive_ns, raw in sorted(self.entries, key=lambda e: e[2]):
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, type_name, typestore=store)
                writer.write(
                    connections[topic], receive_ns, self.make.store.cdr_to_ros1(raw, type_name)
                )
        return path


def storage_file(bag: Path) -> Path:
    """The one .mcap or .db3 file in a bag folder."""
    (file,) = (f for f in bag.iterdir() if f.suffix in ('.mcap', '.db3'))
    return file
