"""Arrays <-> messages."""

import array
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support.bag_factory import (
    RAW_ENCODINGS,
    StandIn,
    encode,
    jpeg,
    laid_out,
    picture,
    png,
)
from support.message_worlds import ros_messages

from dsn_ros.errors import MessageError, UserError
from dsn_ros.message_builders import BagMessages
from dsn_ros.messages import (
    CONVERTED_ENCODINGS,
    DIRECT_ENCODINGS,
    PIXEL_FORMATS,
    bag_converter,
    compressed_to_rgb,
    cv_bridge_converter,
    image_to_rgb,
    image_view,
)

STAMP = 1_700_000_000_123_456_789


@st.composite
def arrays(draw):
    """(encoding, array that fits it)."""
    encoding = draw(st.sampled_from(sorted(PIXEL_FORMATS)))
    form = PIXEL_FORMATS[encoding]
    tail = () if form.channels == 1 else (form.channels,)
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)), *tail)
    return encoding, draw(hnp.arrays(form.dtype(), shape))


def same(view, expected):
    return view.shape == expected.shape and view.astype(expected.dtype).tobytes() == (
        expected.tobytes()
    )


class TestImageView:
    @pytest.mark.parametrize(
        'container',
        [None, bytes, lambda raw: array.array('B', raw)],
        ids=['bag library', 'bytes', 'ROS array'],
    )
    @given(case=arrays(), padding=st.integers(0, 5), big_endian=st.booleans())
    @settings(max_examples=60, deadline=None)
    def test_shows_what_was_laid_out(self, container, case, padding, big_endian):
        encoding, expected = case
        msg = laid_out(
            expected, encoding, padding=padding, big_endian=big_endian, container=container
        )
        view = image_view(msg)
        assert same(view, expected)
        assert np.shares_memory(view, np.frombuffer(msg.data, np.uint8))

    @given(case=arrays())
    @settings(max_examples=60, deadline=None)
    def test_undoes_building_with_the_bag_library(self, case):
        encoding, expected = case
        make = BagMessages()
        msg = make.image(expected, encoding, make.header(STAMP, 'camera'))
        stored = make.store.deserialize_cdr(make.serialize(msg), msg.__msgtype__)
        assert same(image_view(stored), expected)

    @given(case=arrays())
    @settings(max_examples=60, deadline=None)
    def test_undoes_building_with_ros(self, case):
        encoding, expected = case
        make = ros_messages()
        msg = make.image(expected, encoding, make.header(STAMP, 'camera'))
        assert isinstance(msg.data, array.array)
        assert same(image_view(msg), expected)

    def test_bears_a_last_row_without_padding(self):
        expected = picture(4, 5)
        msg = laid_out(expected, 'rgb8', padding=7)
        msg.data = msg.data[:-7]
        assert same(image_view(msg), expected)

    @pytest.mark.parametrize(
        ('field', 'value', 'words'),
        [
            ('height', 0, 'image height is 0'),
            ('width', 0, 'image width is 0'),
            ('height', 2**31, 'image height is 2147483648'),
            ('width', -3, 'image width is -3'),
            ('step', 14, 'step 14, but a row needs 15'),
            ('step', 0, 'step 0'),
            ('step', 16, 'has 60 bytes of data, but needs 63'),
            ('height', 5, 'has 60 bytes of data, but needs 75'),
            ('data', b'', 'has 0 bytes'),
            ('encoding', 'rgb9', "'rgb9'"),
            ('encoding', '', "''"),
        ],
    )
    def test_names_the_field_that_is_wrong(self, field, value, words):
        msg = laid_out(picture(4, 5), 'rgb8')
        setattr(msg, field, value)
        with pytest.raises(MessageError, match=r'^[^\n]+$') as caught:
            image_view(msg)
        assert words in str(caught.value)
        assert isinstance(caught.value, UserError)


class TestImageToRgb:
    def test_does_not_copy_packed_rgb8(self):
        msg = laid_out(picture(), 'rgb8')
        assert np.shares_memory(image_to_rgb(msg), msg.data)

    @pytest.mark.parametrize('padding', [0, 5])
    @pytest.mark.parametrize('encoding', RAW_ENCODINGS)
    def test_gives_the_picture_back(self, encoding, padding):
        rgb = picture(posts=False)
        msg = laid_out(encode(rgb, encoding), encoding, padding=padding)
        got = image_to_rgb(msg, bag_converter)
        assert got.shape == rgb.shape
        assert got.dtype == np.uint8
        assert got.flags.c_contiguous
        if encoding.startswith('mono'):
            rgb = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        # Demosaicing and shared chroma blur this smooth picture a little, and the borders more.
        error = np.abs(got.astype(int) - rgb)[2:-2, 2:-2]
        assert error.max() <= (0 if encoding in DIRECT_ENCODINGS else 12)

    @pytest.mark.parametrize('encoding', [e for e in RAW_ENCODINGS if e != 'mono16'])
    def test_equals_the_bag_library(self, encoding):
        from rosbags.image import image_to_cvimage

        msg = laid_out(encode(picture(), encoding), encoding)
        np.testing.assert_array_equal(
            image_to_rgb(msg, bag_converter), image_to_cvimage(msg, 'rgb8')
        )

    @pytest.mark.parametrize('encoding', [e for e in RAW_ENCODINGS if e != 'mono16'])
    def test_equals_cv_bridge(self, encoding):
        pytest.importorskip('cv_bridge', reason='cv_bridge is not sourced')
        make = ros_messages()
        source = laid_out(encode(picture(), encoding), encoding)
        msg = make._make(
            'sensor_msgs/msg/Image',
            source.data,
            **{k: v for k, v in vars(source).items() if k != 'data'},
        )
        bridged = cv_bridge_converter()(msg)
        np.testing.assert_array_equal(image_to_rgb(msg, bag_converter), bridged)

    @pytest.mark.parametrize('big_endian', [False, True])
    def test_takes_the_high_byte_of_mono16(self, big_endian):
        values = np.array([[0, 255, 256, 0x1234, 0xFFFF]], np.uint16)
        got = image_to_rgb(laid_out(values, 'mono16', big_endian=big_endian))
        np.testing.assert_array_equal(got[0, :, 0], [0, 0, 1, 0x12, 0xFF])
        assert (got == got[..., :1]).all()

    @pytest.mark.parametrize('encoding', ['8UC3', 'bayer_rggb8', 'nv24', 'nonsense', ''])
    def test_names_the_encoding_that_it_can_not_take(self, encoding):
        msg = StandIn(4, 6, encoding, 0, 18, bytes(72))
        with pytest.raises(MessageError, match=f"'{encoding}'.*supported are rgb8") as caught:
            image_to_rgb(msg)
        assert 'bayer' not in str(caught.value).replace(repr(encoding), '')

    @pytest.mark.parametrize('encoding', ['nv21', 'nv24', 'nonsense', '8UC3', '32FC1', '16UC1'])
    def test_names_the_encoding_that_the_converter_can_not_take(self, encoding):
        msg = StandIn(4, 6, encoding, 0, 24, bytes(96))
        with pytest.raises(MessageError, match=f"'{encoding}'.*bayer_rggb8"):
            image_to_rgb(msg, bag_converter)

    @pytest.mark.parametrize('encoding', CONVERTED_ENCODINGS)
    def test_checks_what_it_hands_to_the_converter(self, encoding):
        with pytest.raises(MessageError, match='step 5'):
            image_to_rgb(StandIn(4, 6, encoding, 0, 5, bytes(96)), bag_converter)
        with pytest.raises(MessageError, match='has 3 bytes'):
            image_to_rgb(StandIn(4, 6, encoding, 0, 48, bytes(3)), bag_converter)

    def test_refuses_a_converter_that_gives_another_shape(self):
        msg = laid_out(encode(picture(), 'bayer_rggb8'), 'bayer_rggb8')
        with pytest.raises(MessageError, match=r'bayer_rggb8.*\(3, 3\)'):
            image_to_rgb(msg, lambda _: np.zeros((3, 3), np.uint8))

    def test_odd_widths_have_no_yuv(self):
        msg = laid_out(np.zeros((4, 5, 2), np.uint8), 'yuv422')
        with pytest.raises(MessageError, match='yuv422'):
            image_to_rgb(msg, bag_converter)

    def test_says_what_is_lost_without_cv_bridge(self, monkeypatch):
        monkeypatch.setitem(__import__('sys').modules, 'cv_bridge', None)
        with pytest.raises(MessageError, match=r'cv_bridge does not import.*rgb8'):
            cv_bridge_converter()

    def test_says_what_is_lost_where_cv_bridge_fails(self, monkeypatch):
        class Bridge:
            def imgmsg_to_cv2(self, msg, desired_encoding):
                raise KeyError(16)  # what OpenCV 5 leads to

        module = type('cv_bridge', (), {'CvBridge': Bridge})
        monkeypatch.setitem(__import__('sys').modules, 'cv_bridge', module)
        msg = laid_out(encode(picture(), 'yuv422'), 'yuv422')
        with pytest.raises(MessageError, match=r"OpenCV.*'yuv422'.*KeyError"):
            image_to_rgb(msg, cv_bridge_converter())


class Compressed:
    def __init__(self, data, form='jpeg'):
        self.data, self.format = data, form


class TestCompressedToRgb:
    FORMATS = ('jpeg', 'png', 'bgr8; jpeg compressed bgr8', 'rgb8; png compressed bgr8', '')

    @pytest.mark.parametrize('form', FORMATS)
    def test_decodes_whatever_the_format_says(self, form):
        rgb = picture()
        np.testing.assert_array_equal(compressed_to_rgb(Compressed(png(rgb), form)), rgb)
        assert np.abs(compressed_to_rgb(Compressed(jpeg(rgb), form)).astype(int) - rgb).mean() < 3

    @pytest.mark.parametrize('container', [lambda raw: array.array('B', raw), bytearray])
    def test_equals_the_bag_library(self, container):
        from rosbags.image import compressed_image_to_cvimage

        msg = Compressed(container(jpeg(picture())))
        np.testing.assert_array_equal(
            compressed_to_rgb(msg), compressed_image_to_cvimage(msg, 'rgb8')
        )

    def test_spreads_grey(self):
        grey = encode(picture(), 'mono8')
        for data in (png(grey), cv2.imencode('.jpg', grey)[1].tobytes()):
            got = compressed_to_rgb(Compressed(data, 'mono8; jpeg compressed '))
            assert (got == got[..., :1]).all()
            assert np.abs(got[..., 0].astype(int) - grey).max() < 12

    def test_takes_the_high_byte_of_16_bits(self):
        rgb = picture()
        got = compressed_to_rgb(Compressed(png(rgb.astype(np.uint16) * 256 + 7), 'png'))
        np.testing.assert_array_equal(got, rgb)

    def test_does_not_swap_channels_that_were_stored_as_rgb(self):
        rgb = picture()
        stored = png(rgb[..., ::-1])
        got = compressed_to_rgb(Compressed(stored, 'rgb8; png compressed rgb8'))
        np.testing.assert_array_equal(got, rgb)

    def test_ignores_an_exif_orientation(self):
        data = jpeg(picture(48, 64))
        tiff = b'II*\0' + struct.pack('<IHHHIIH', 8, 1, 0x0112, 3, 1, 6, 0) + bytes(4)
        exif = b'Exif\0\0' + tiff
        turned = data[:2] + b'\xff\xe1' + struct.pack('>H', len(exif) + 2) + exif + data[2:]
        assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape[0] == 64
        assert compressed_to_rgb(Compressed(turned)).shape == (48, 64, 3)

    @pytest.mark.parametrize('form', ['16UC1; compressedDepth png', '32FC1; compressedDepth rvl'])
    def test_says_that_depth_is_no_picture(self, form):
        with pytest.raises(MessageError, match='depth topic'):
            compressed_to_rgb(Compressed(bytes(12) + png(encode(picture(), 'mono16')), form))

    def test_says_that_a_mosaic_is_no_picture(self):
        data = png(encode(picture(), 'bayer_rggb8'))
        with pytest.raises(MessageError, match='Bayer'):
            compressed_to_rgb(Compressed(data, 'bayer_rggb8; png compressed '))

    @pytest.mark.parametrize('fraction', [0, 0.001, 0.01, 0.05, 0.3, 0.9, 0.99])
    @pytest.mark.parametrize('whole', [jpeg(picture()), png(picture())], ids=['jpeg', 'png'])
    def test_refuses_what_is_cut_off(self, whole, fraction):
        with pytest.raises(MessageError, match=r'whole|damaged'):
            compressed_to_rgb(Compressed(whole[: int(len(whole) * fraction)]))

    @given(st.binary(max_size=200), st.sampled_from([b'', b'\xff\xd8', b'\x89PNG\r\n\x1a\n']))
    @settings(deadline=None)
    def test_refuses_noise(self, noise, magic):
        with pytest.raises(MessageError):
            compressed_to_rgb(Compressed(magic + noise))

    def test_refuses_a_decompression_bomb(self):
        body = b'IHDR' + struct.pack('>IIBBBBB', 60000, 60000, 8, 2, 0, 0, 0)
        bomb = b'\x89PNG\r\n\x1a\n' + struct.pack('>I', 13) + body
        with pytest.raises(MessageError, match=r'60000 x 60000 pixels.*64 megapixels'):
            compressed_to_rgb(Compressed(bomb + struct.pack('>I', zlib.crc32(body))))
        data = jpeg(picture())
        at = data.index(b'\xff\xc0') + 5
        bomb = data[:at] + struct.pack('>HH', 50000, 50001) + data[at + 4 :]
        with pytest.raises(MessageError, match='50001 x 50000'):
            compressed_to_rgb(Compressed(bomb))
