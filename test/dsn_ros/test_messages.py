"""Arrays <-> messages."""

import array

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
    laid_out,
    picture,
)
from support.message_worlds import ros_messages

from dsn_ros.errors import MessageError, UserError
from dsn_ros.message_builders import BagMessages
from dsn_ros.messages import (
    CONVERTED_ENCODINGS,
    DIRECT_ENCODINGS,
    PIXEL_FORMATS,
    bag_converter,
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

    @pytest.mark.parametrize('side', ['height', 'width'])
    def test_a_side_is_as_long_as_a_jpeg_s_at_most(self, side):
        shape = (65535, 1) if side == 'height' else (1, 65535)
        msg = laid_out(np.zeros(shape, np.uint8), 'mono8')
        assert image_view(msg).shape == shape
        setattr(msg, side, 65536)
        with pytest.raises(MessageError, match=f'^image {side} is 65536, not within 1 to 65535'):
            image_view(msg)


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

    @pytest.mark.parametrize(
        ('gives', 'said'),
        [
            (np.zeros((48, 64, 3), np.float32), 'it came out as float32 of shape (48, 64, 3)'),
            (np.zeros((48, 64), np.uint8), 'it came out as uint8 of shape (48, 64)'),
            (KeyError(16), '16'),
            (ValueError('no\nluck  at all'), 'no luck at all'),
            (RuntimeError(), 'RuntimeError'),
        ],
    )
    def test_says_why_a_converter_failed(self, gives, said):
        def convert(_):
            if isinstance(gives, Exception):
                raise gives
            return gives

        msg = laid_out(encode(picture(), 'bayer_rggb8'), 'bayer_rggb8')
        with pytest.raises(MessageError) as caught:
            image_to_rgb(msg, convert)
        everything = ', '.join((*DIRECT_ENCODINGS, *CONVERTED_ENCODINGS))
        assert str(caught.value) == (
            f"image encoding 'bayer_rggb8' can not be converted ({said}): "
            f'supported are {everything}'
        )

    def test_what_a_converter_refuses_by_name_is_passed_on(self):
        def convert(_):
            raise MessageError('the lid is on')

        msg = laid_out(encode(picture(), 'bayer_rggb8'), 'bayer_rggb8')
        with pytest.raises(MessageError, match=r'^the lid is on$'):
            image_to_rgb(msg, convert)

    def test_what_a_converter_gives_in_strides_comes_out_packed(self):
        msg = laid_out(encode(picture(), 'bayer_rggb8'), 'bayer_rggb8')
        got = image_to_rgb(msg, lambda _: picture()[..., ::-1])
        assert got.flags.c_contiguous
        np.testing.assert_array_equal(got, picture()[..., ::-1])

    @pytest.mark.parametrize(('encoding', 'channels'), [('rgb16', 3), ('bgra16', 4)])
    @pytest.mark.parametrize('big_endian', [False, True])
    def test_sixteen_bits_of_colour_become_eight(self, encoding, channels, big_endian):
        values = np.zeros((2, 4, channels), '>u2' if big_endian else '<u2')
        values[..., :3] = (0x0101 * np.array([10, 20, 30])).astype(values.dtype)
        pixel = 2 * channels
        rows = np.zeros((2, 4 * pixel + 6), np.uint8)
        rows[:, :-6] = values.view(np.uint8).reshape(2, -1)
        msg = StandIn(2, 4, encoding, int(big_endian), 4 * pixel + 6, rows.tobytes())
        order = [10, 20, 30] if encoding.startswith('rgb') else [30, 20, 10]
        np.testing.assert_array_equal(image_to_rgb(msg, bag_converter)[1, 3], order)

    def test_odd_widths_have_no_yuv(self):
        msg = laid_out(np.zeros((4, 5, 2), np.uint8), 'yuv422')
        with pytest.raises(MessageError, match='yuv422'):
            image_to_rgb(msg, bag_converter)

    def test_says_what_is_lost_without_cv_bridge(self, monkeypatch):
        monkeypatch.setitem(__import__('sys').modules, 'cv_bridge', None)
        said = r'^cv_bridge does not import \(ModuleNotFoundError: .*rgb8'
        with pytest.raises(MessageError, match=said):
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
