"""Messages that no camera sends: real ones with their fields bent, cut and overwritten.

All values are such as the wire can carry, so that ROS's message classes take them as well as the
bag library's. The same seed gives the same messages.
"""

import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from dsn_ros.message_builders import BagMessages, Messages
from dsn_ros.messages import CONVERTED_ENCODINGS, PIXEL_FORMATS
from support.bag_factory import RAW_ENCODINGS, camera_fields, encode, jpeg, laid_out, picture, png

Fields = dict[str, Any]

START = (1_700_000_000, 123_456_789)
IMAGE, COMPRESSED, INFO, CLOUD = (
    'sensor_msgs/msg/Image',
    'sensor_msgs/msg/CompressedImage',
    'sensor_msgs/msg/CameraInfo',
    'sensor_msgs/msg/PointCloud2',
)
UINT32 = (0, 1, 2, 3, 63, 65, 2**15, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
NUMBERS = (0.0, -0.0, 1.0, -1.0, 1e-300, 1e300, 0.5, 700.0, np.nan, np.inf, -np.inf, 1e-9, 3e38)
ENCODINGS = (
    *PIXEL_FORMATS,
    *CONVERTED_ENCODINGS,
    *('nv21', 'nv24', '64FC1', '8SC1', '32SC2', 'rgb9', 'RGB8', '', ' ', 'rgb8\n', 'ü' * 40),
    *('../../etc', '%s%n', "'; --", '\0rgb8', 'x' * 5000),
)
FORMATS = (
    *(
        'jpeg',
        'png',
        '',
        'bgr8; jpeg compressed bgr8',
        'rgb8; png compressed rgb8',
        'tiff',
        'h264',
    ),
    *('16UC1; compressedDepth png', 'bayer_rggb8; jpeg compressed ', 'bayer', '%s\n' * 2000, 'ß'),
)
FRAMES = ('camera', '', '/camera', 'a/b/c', ' ', 'x' * 5000, 'ü', 'a\nb', '\0', '<script>')
MODELS = (
    *('plumb_bob', 'rational_polynomial', 'equidistant', 'fisheye', '', 'thin\nprism', 'x' * 3000),
)


class MessageFuzzer:
    """Gives one bent message after the other, in the world of ``make``.

    ``pictures`` are bytes of real JPEGs and PNGs to begin with now and then; most are drawn.
    """

    def __init__(self, seed: int, make: Messages, pictures: Sequence[bytes] = ()) -> None:
        self.random = random.Random(seed)
        self.make = make
        self._pictures = pictures if pictures and seed % 8 == 0 else _drawn_pictures()

    def image(self) -> Any:
        """A ``sensor_msgs/Image``."""
        fields = {**self.random.choice(_raw_images()), **self._header()}
        rows: Sequence[Callable[[Fields], None]] = (
            *(self._setter(name, UINT32) for name in ('height', 'width', 'step')),
            self._shift_size,
            self._setter('encoding', ENCODINGS),
            self._setter('is_bigendian', (0, 1, 2, 255)),
            self._bend_data,
            self._bend_header,
        )
        return self._built(IMAGE, self._bent(fields, rows))

    def compressed_image(self) -> Any:
        """A ``sensor_msgs/CompressedImage``."""
        data = np.frombuffer(self.random.choice(self._pictures), np.uint8)
        fields = {'format': 'jpeg', 'data': data, **self._header()}
        rows = (
            self._setter('format', FORMATS),
            *[self._bend_data] * 3,
            self._bend_size_in_file,
            self._bend_header,
        )
        return self._built(COMPRESSED, self._bent(fields, rows))

    def camera_info(self, height: int = 48, width: int = 64) -> Any:
        """A ``sensor_msgs/CameraInfo`` of pictures of that size, before it was bent."""
        fields = {**vars(camera_fields(height, width)), **self._header()}
        fields['roi'] = dict.fromkeys(('x_offset', 'y_offset', 'height', 'width'), 0)
        fields['roi']['do_rectify'] = False
        rows = (
            *(self._setter(name, UINT32) for name in ('height', 'width')),
            *(self._setter(name, (0, 1, 2, 7, 2**32 - 1)) for name in ('binning_x', 'binning_y')),
            *[self._bend_numbers] * 4,
            self._bend_roi,
            self._setter('distortion_model', MODELS),
            self._bend_lens,
            self._bend_header,
        )
        return self._built(INFO, self._bent(fields, rows))

    def point_cloud(self) -> Any:
        """A ``sensor_msgs/PointCloud2``."""
        cloud = np.zeros((3, 5), [(n, '<f4') for n in 'xyz'] + [('t', '<u4')])
        for axis in 'xyz':
            cloud[axis] = np.linspace(-5, 5, 15).reshape(3, 5)
        message = self.make.point_cloud(cloud, self.make.header(0, ''))
        names = ('height', 'width', 'is_bigendian', 'point_step', 'row_step', 'is_dense')
        fields = {name: getattr(message, name) for name in names}
        fields |= {'data': np.frombuffer(message.data, np.uint8), **self._header()}
        fields['fields'] = [
            {name: getattr(f, name) for name in ('name', 'offset', 'datatype', 'count')}
            for f in message.fields
        ]
        steps = ('height', 'width', 'point_step', 'row_step')
        rows = (
            *(self._setter(name, (*UINT32, 5, 15, 16, 80)) for name in steps),
            self._setter('is_bigendian', (False, True)),
            *[self._bend_field] * 3,
            self._bend_data,
            self._bend_header,
        )
        return self._built(CLOUD, self._bent(fields, rows))

    def bytes_bent(self, raw: bytes) -> bytes:
        """``raw`` with bytes flipped, cut, doubled or overwritten."""
        data = bytearray(raw)
        for _ in range(self.random.randint(1, 4)):
            if not data:
                break
            at = self.random.randrange(min(len(data), self.random.choice((64, 512, len(data)))))
            length = self.random.randint(1, 16)
            how = self.random.randrange(5)
            if how == 0:
                data[at] ^= 1 << self.random.randrange(8)
            elif how == 1:
                data[at : at + length] = self.random.randbytes(length)
            elif how == 2:
                del data[at : at + length]
            elif how == 3:
                data[at:at] = data[at : at + length]
            else:
                del data[at:]
        return bytes(data)

    # How fields are bent

    def _bent(self, fields: Fields, rows: Sequence[Callable[[Fields], None]]) -> Fields:
        for _ in range(self.random.choice((0, 1, 1, 1, 2, 3, 5))):
            self.random.choice(rows)(fields)
        return fields

    def _setter(self, name: str, values: Sequence[Any]) -> Callable[[Fields], None]:
        def bend(fields: Fields) -> None:
            fields[name] = self.random.choice(values)

        return bend

    def _shift_size(self, fields: Fields) -> None:
        name = self.random.choice(('height', 'width', 'step'))
        fields[name] = (fields[name] + self.random.choice((-2, -1, 1, 2))) % 2**32

    def _bend_data(self, fields: Fields) -> None:
        raw, how = fields['data'].tobytes(), self.random.randrange(5)
        if how == 0:
            raw = b''
        elif how == 1:
            raw = raw[: self.random.randrange(len(raw) + 1)]
        elif how == 2:
            raw += self.random.randbytes(self.random.randint(1, 64))
        elif how == 3:
            raw = self.random.randbytes(self.random.randint(1, 256))
        else:
            raw = self.bytes_bent(raw)
        fields['data'] = np.frombuffer(raw, np.uint8)

    def _bend_size_in_file(self, fields: Fields) -> None:
        """Other numbers where a JPEG or a PNG says how large it is."""
        data = bytearray(fields['data'].tobytes())
        sizes = (0, 1, 8, 63, 1000, 2**14, 2**15, 2**16 - 1)
        at = data.find(b'\xff\xc0')
        if at >= 0 and len(data) > at + 9:
            for offset in (5, 7):
                data[at + offset : at + offset + 2] = self.random.choice(sizes).to_bytes(2, 'big')
        elif len(data) > 26:
            for offset in (16, 20):
                data[offset : offset + 4] = self.random.choice((*sizes, 2**31)).to_bytes(4, 'big')
        fields['data'] = np.frombuffer(bytes(data), np.uint8)

    def _bend_numbers(self, fields: Fields) -> None:
        name = self.random.choice(('k', 'r', 'p', 'd'))
        numbers = list(fields[name])
        for _ in range(self.random.choice((1, 1, 2, len(numbers)))):
            if numbers:
                numbers[self.random.randrange(len(numbers))] = self._number()
        fields[name] = tuple(numbers)

    def _bend_lens(self, fields: Fields) -> None:
        count = self.random.choice((0, 1, 3, 4, 5, 8, 12, 14, 15, 100))
        scale = self.random.choice((1e-3, 0.1, 1.0, 1e6))
        fields['d'] = tuple(self.random.gauss(0, scale) for _ in range(count))
        if self.random.random() < 0.5:
            fields['p'] = (0.0,) * 12

    def _bend_roi(self, fields: Fields) -> None:
        for name in ('x_offset', 'y_offset', 'height', 'width'):
            if self.random.random() < 0.5:
                fields['roi'][name] = self.random.choice(UINT32)

    def _bend_field(self, fields: Fields) -> None:
        if not fields['fields']:
            return
        field = self.random.choice(fields['fields'])
        how = self.random.randrange(6)
        if how == 0:
            field['offset'] = self.random.choice((*UINT32, 4, 8, 12, 13, 16))
        elif how == 1:
            field['datatype'] = self.random.choice((*range(10), 255))
        elif how == 2:
            names = ('x', 'y', '', 'timestamp', 'time', 't', 'ü', '\0', 'a\nb', 'n' * 5000)
            field['name'] = self.random.choice(names)
        elif how == 3:
            field['count'] = self.random.choice(UINT32)
        elif how == 4:
            fields['fields'].remove(field)
        else:
            fields['fields'].append(dict(field))

    def _bend_header(self, fields: Fields) -> None:
        header = fields['header']
        how = self.random.randrange(3)
        if how == 0:
            header['sec'] = self.random.choice((0, 1, -1, -(2**31), 2**31 - 1, START[0] - 10**7))
        elif how == 1:
            header['nanosec'] = self.random.choice((0, 1, 10**9 - 1, 10**9, 2**32 - 1))
        else:
            header['frame_id'] = self.random.choice(FRAMES)

    def _number(self) -> float:
        special = self.random.random() < 0.7
        return self.random.choice(NUMBERS) if special else self.random.gauss(0, 1000)

    # Messages of fields

    def _header(self) -> Fields:
        # Around one time, forward and back, as frames of a bag that loops.
        sec = START[0] + self.random.choice((0, 0, 0, 1, -5, 3600))
        nanosec = self.random.randrange(10**9)
        return {'header': {'sec': sec, 'nanosec': nanosec, 'frame_id': 'camera'}}

    def _built(self, type_name: str, fields: Fields) -> Any:
        make, fields = self.make, dict(fields)
        header = fields.pop('header')
        sec, nanosec, frame_id = (header[name] for name in ('sec', 'nanosec', 'frame_id'))
        stamp = make._make('builtin_interfaces/msg/Time', sec=sec, nanosec=nanosec)
        fields['header'] = make._make('std_msgs/msg/Header', stamp=stamp, frame_id=frame_id)
        if 'roi' in fields:
            fields['roi'] = make._make('sensor_msgs/msg/RegionOfInterest', **fields['roi'])
        for name in ('d', 'k', 'r', 'p'):
            if name in fields:
                fields[name] = make._numbers(fields[name])
        if 'fields' in fields:
            fields['fields'] = [
                make._make('sensor_msgs/msg/PointField', **each) for each in fields['fields']
            ]
        return make._make(type_name, fields.pop('data', None), **fields)


@cache
def _drawn_pictures() -> tuple[bytes, ...]:
    return jpeg(picture()), png(picture())


@cache
def _raw_images() -> tuple[Fields, ...]:
    return tuple(
        vars(laid_out(encode(picture(seed=i), encoding), encoding, padding=i % 3))
        for i, encoding in enumerate(RAW_ENCODINGS)
    )


def wire(make: BagMessages, message: Any) -> bytes:
    """CDR of a message."""
    return bytes(make.serialize(message))
