"""JPEGs and PNGs in messages -> arrays, and what is refused before it is decoded."""

import array
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bag_factory import encode, jpeg, picture, png

from dsn_ros.compressed_images import _picture_head, compressed_to_rgb
from dsn_ros.errors import MessageError


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

    def marked(self, marker, before=b''):
        """A JPEG whose frame says ``marker``, with ``before`` it some segments more."""
        data = jpeg(picture())
        at = data.index(b'\xff\xc0')
        return data[:2] + before + data[2:at] + bytes([0xFF, marker]) + data[at + 2 :]

    @pytest.mark.parametrize(
        'before',
        [
            b'\xff\xff',
            b'\xff\xfe\x00\x07hello',
            b'\xff\xfe\x01\x02' + bytes(256),
        ],
        ids=['fill bytes', 'a comment', 'a long comment'],
    )
    def test_what_may_stand_before_a_jpeg_s_frame(self, before):
        plain = compressed_to_rgb(Compressed(self.marked(0xC0)))
        got = compressed_to_rgb(Compressed(self.marked(0xC0, before)))
        np.testing.assert_array_equal(got, plain)

    @pytest.mark.parametrize('alone', [0x01, 0xD0, 0xD7, 0xD8])
    def test_a_marker_without_a_length_is_passed(self, alone):
        data = self.marked(0xC0, bytes([0xFF, alone]))
        head = _picture_head(np.frombuffer(data, np.uint8))
        assert head == (48, 64, False, True)

    @pytest.mark.parametrize('marker', range(0xC0, 0xD0))
    def test_which_markers_begin_a_frame(self, marker):
        head = _picture_head(np.frombuffer(self.marked(marker), np.uint8))
        tables = (0xC4, 0xC8, 0xCC)  # of Huffman codes, reserved, and of arithmetic coding
        assert (head is None) is (marker in tables)

    def test_what_begins_like_a_picture_and_is_none(self):
        data = jpeg(picture())
        for broken in (
            data[:2] + b'\x00' + data[3:],
            data[: data.index(b'\xff\xc0') + 9],
            b'\xff\xd9' + data[2:],
            png(picture())[:25],
            png(picture())[:12] + b'IDAT' + png(picture())[16:],
            b'\x88' + png(picture())[1:],
        ):
            assert _picture_head(np.frombuffer(broken, np.uint8)) is None
        whole = data[: data.index(b'\xff\xc0') + 10]
        assert _picture_head(np.frombuffer(whole, np.uint8)) == (48, 64, False, True)
        whole = np.frombuffer(png(picture())[:26], np.uint8)
        assert _picture_head(whole) == (48, 64, False, False)

    @pytest.mark.parametrize('alpha', [False, True])
    def test_a_grey_png_with_alpha_may_be_a_mosaic_too(self, alpha):
        data = png(encode(picture(), 'bayer_rggb8'))
        if alpha:  # colour type 4; it is refused before anything is decoded
            data = data[:25] + b'\x04' + data[26:]
        with pytest.raises(MessageError, match=r"^compressed image format 'bayer_rggb8' is a raw"):
            compressed_to_rgb(Compressed(data, 'bayer_rggb8'))
        grey = cv2.imencode('.jpg', encode(picture(), 'mono8'))[1].tobytes()
        with pytest.raises(MessageError, match='Bayer'):
            compressed_to_rgb(Compressed(grey, 'bayer_rggb8; jpeg compressed '))
        in_colour = compressed_to_rgb(Compressed(png(picture()), 'bayer_rggb8; png compressed '))
        np.testing.assert_array_equal(in_colour, picture())

    def claimed(self, height, width, size):
        """The head of a PNG that claims to be so large, in a file of ``size`` bytes."""
        body = b'IHDR' + struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
        data = b'\x89PNG\r\n\x1a\n' + struct.pack('>I', 13) + body
        return Compressed(data.ljust(size, b'\0'), 'png')

    def test_sixty_four_megapixels_are_the_most(self):
        enough = 64 * 2**20 // 1100 + 1
        with pytest.raises(MessageError, match='is damaged: it does not decode'):
            compressed_to_rgb(self.claimed(8192, 8192, enough))
        with pytest.raises(MessageError, match='8192 x 8193 pixels, more than 64 megapixels'):
            compressed_to_rgb(self.claimed(8193, 8192, enough))
        with pytest.raises(MessageError, match='is damaged: it does not decode'):
            compressed_to_rgb(self.claimed(1100, 200, 200))
        with pytest.raises(MessageError, match='claims 200 x 1101 pixels in 200 bytes'):
            compressed_to_rgb(self.claimed(1101, 200, 200))

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
