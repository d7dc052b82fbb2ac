"""Calibrations: what is read of ROS' YAML, what a resize makes of them, what is refused."""

import numpy as np
import pytest

from dsn_core.data.calibration import Calibration, camera_by_hand, check_camera_fields
from dsn_core.errors import ConfigError, UserError

WRITTEN = """\
image_width: 640
image_height: 480
camera_name: head_camera
camera_matrix:
  rows: 3
  cols: 3
  data: [438.783367, 0.000000, 305.593336, 0.000000, 437.302876, 243.738352, 0, 0, 1]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.361976, 0.110510, 0.001014, 0.000505, 0.000000]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
projection_matrix:
  rows: 3
  cols: 4
  data: [393.653800, 0, 322.797939, 0, 0, 393.653800, 241.090902, 0, 0, 0, 1, 0]
"""
ECHOED = """\
header:
  stamp:
    sec: 1
    nanosec: 2
  frame_id: camera
height: 480
width: 640
distortion_model: equidistant
d:
- -0.1
- 0.02
- 0.0
- 0.0
k: [400.0, 0.0, 320.0, 0.0, 401.0, 240.0, 0.0, 0.0, 1.0]
r: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
---
"""


def write(tmp_path, text):
    file = tmp_path / 'camera_info.yaml'
    file.write_text(text)
    return file


def test_reads_what_camera_calibration_writes(tmp_path):
    camera = Calibration.read(write(tmp_path, WRITTEN))
    assert (camera.width, camera.height) == (640, 480)
    expected = [[438.783367, 0, 305.593336], [0, 437.302876, 243.738352], [0, 0, 1]]
    np.testing.assert_array_equal(camera.matrix, expected)
    assert camera.distortion_model == 'plumb_bob'
    assert camera.d == (-0.361976, 0.110510, 0.001014, 0.000505, 0.0)
    assert camera.distorted


def test_reads_an_echoed_camera_info(tmp_path):
    camera = Calibration.read(write(tmp_path, ECHOED))
    assert camera == Calibration(
        640, 480, 400.0, 401.0, 320.0, 240.0, 'equidistant', (-0.1, 0.02, 0.0, 0.0)
    )


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (('image_width: 640\n', ''), 'image_width is missing'),
        (('data: [438.783367, ', 'data: ['), 'camera_matrix must hold 9 numbers, got 8'),
        (('438.783367', 'many'), 'camera_matrix must hold numbers'),
        (('438.783367', '0.0'), 'is no calibration'),
        (('plumb_bob', 'fisheye62'), "'fisheye62' is not known"),
        (('plumb_bob', 'equidistant'), 'has 5 coefficients, not 4'),
        (('camera_name: head_camera', '{'), 'is no YAML'),
    ],
)
def test_names_file_and_field(tmp_path, change, message):
    file = write(tmp_path, WRITTEN.replace(*change))
    with pytest.raises(ConfigError, match=message) as error:
        Calibration.read(file)
    assert str(file) in str(error.value)
    assert '\n' not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r'nothing\.yaml cannot be read'):
        Calibration.read(tmp_path / 'nothing.yaml')


def test_zero_coefficients_are_no_distortion_whatever_the_model():
    assert not Calibration(4, 3, 2, 2, 1, 1, 'made up', (0.0,)).distorted


def test_a_resize_moves_the_rays_along():
    camera = Calibration(640, 480, 400, 410, 320, 240)
    half = camera.resized(320, 240)
    # The left edge of the picture (u = -0.5) and its centre stay where they are.
    for u in (-0.5, 319.5):
        assert (u / 2 - 0.25 - half.cx) / half.fx == pytest.approx((u - camera.cx) / camera.fx)
    assert half.resized(640, 480) == camera
    with pytest.raises(UserError, match='640 x 480 pixels, which is another shape than 640 x 360'):
        camera.resized(640, 360)
    # Rounded to whole pixels, as 1226 x 370 is when made 640 wide.
    assert Calibration(1226, 370, 700, 700, 600, 180).resized(640, 193).width == 640


def test_angle_of_view():
    camera = camera_by_hand(200, 100, (), 90.0)
    np.testing.assert_allclose(camera.matrix, [[100, 0, 99.5], [0, 100, 49.5], [0, 0, 1]])
    # The edges, half a pixel outside the outermost centres, are 45 degrees away.
    assert (199.5 - camera.cx) / camera.fx == pytest.approx(1)
    assert camera_by_hand(200, 100, (10.0, 11.0, 12.0, 13.0), 0.0).matrix[1, 2] == 13
    assert camera_by_hand(200, 100, (), 0.0) is None


@pytest.mark.parametrize(
    ('intrinsics', 'fov', 'message'),
    [
        ((1.0, 2.0, 3.0), 0.0, 'intrinsics must be fx, fy, cx, cy'),
        ((0.0, 2.0, 3.0, 4.0), 0.0, 'intrinsics must be fx, fy, cx, cy'),
        ((), 180.0, 'fov must be 1 to 178 degrees'),
        ((), -3.0, 'fov must be 1 to 178 degrees'),
        ((1.0, 2.0, 3.0, 4.0), 70.0, 'fov must be left out'),
    ],
)
def test_fields_are_checked(intrinsics, fov, message):
    with pytest.raises(ConfigError, match=message):
        check_camera_fields(intrinsics, fov)
