"""Calibration through windows, binning and resizing, and the rays of distorted lenses."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsn_ros.camera import Camera, is_rectified
from dsn_ros.camera_info import CameraInfoFields
from dsn_ros.errors import MessageError

K = (500.0, 0.0, 320.0, 0.0, 510.0, 180.0, 0.0, 0.0, 1.0)
P = (500.0, 0.0, 320.0, 7.0, 0.0, 510.0, 180.0, 0.0, 0.0, 0.0, 1.0, 0.0)
R = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def info(**changes):
    fields = {
        'height': 360,
        'width': 640,
        'distortion_model': 'plumb_bob',
        'd': (-0.25, 0.08, 0.001, -0.002, 0.0),
        'k': K,
        'r': R,
        'p': P,
    }
    return CameraInfoFields(**{**fields, **changes})


def test_round_trip():
    assert Camera.from_info(info()).to_info() == info()


def test_resizing_scales_k_and_p_and_leaves_d_and_r():
    small = Camera.from_info(info()).resized(180, 160)
    assert small.k == pytest.approx((125, 0, 80, 0, 255, 90, 0, 0, 1))
    assert small.p == pytest.approx((125, 0, 80, 1.75, 0, 255, 90, 0, 0, 0, 1, 0))
    assert (small.d, small.r) == (info().d, R)
    assert (small.height, small.width) == (180, 160)


def test_binning_and_window():
    camera = Camera.from_info(info(binning_x=2, binning_y=2, roi=(100, 60, 240, 400)))
    assert (camera.height, camera.width) == (120, 200)
    assert camera.k == pytest.approx((250, 0, 110, 0, 255, 60, 0, 0, 1))


@pytest.mark.parametrize(
    ('changes', 'calibrated'),
    [
        ({}, True),
        ({'k': (0.0,) * 9}, False),
        ({'k': (float('nan'), *K[1:])}, False),
        ({'k': (float('inf'), *K[1:])}, False),
        ({'d': (float('nan'),) * 5}, False),
    ],
)
def test_what_counts_as_calibrated(changes, calibrated):
    assert Camera.from_info(info(**changes)).calibrated is calibrated


@settings(max_examples=20, deadline=None)
@given(st.floats(-0.3, 0.1), st.floats(-0.05, 0.1))
def test_rays_projected_with_the_lens_fall_on_their_pixels(k1, k2):
    camera = Camera.from_info(info(d=(k1, k2, 0.001, -0.001, 0.0))).resized(90, 160)
    rays = camera.rays()
    points = np.concatenate([rays.reshape(-1, 2), np.ones((90 * 160, 1))], axis=1)
    k, d = np.array(camera.k).reshape(3, 3), np.array(camera.d)
    seen, _ = cv2.projectPoints(points.astype(np.float64), np.zeros(3), np.zeros(3), k, d)
    v, u = np.mgrid[0:90, 0:160]
    error = np.abs(seen.reshape(90, 160, 2) - np.stack([u, v], axis=-1))
    known = np.isfinite(rays).all(axis=-1)
    assert known[20:70, 20:140].all()  # only far corners may be beyond the lens model
    assert error[known].max() < 0.5
    assert np.median(error[known]) < 1e-4


def test_fisheye_rays():
    d = (0.02, -0.01, 0.0, 0.0)
    camera = Camera.from_info(info(distortion_model='equidistant', d=d)).resized(90, 160)
    rays = camera.rays()
    k = np.array(camera.k).reshape(3, 3)
    x, y = rays[20, 30].astype(float)
    r = np.hypot(x, y)
    theta = np.arctan(r)
    bent = theta * (1 + d[0] * theta**2 + d[1] * theta**4)  # the model's definition
    u, v = k[0, 0] * bent / r * x + k[0, 2], k[1, 1] * bent / r * y + k[1, 2]
    assert (u, v) == pytest.approx((30, 20), abs=0.02)


def test_rays_are_shared_and_read_only():
    camera = Camera.pinhole(32, 16, 20, 20, 15.5, 7.5)
    assert camera.rays() is camera.rays()
    with pytest.raises(ValueError, match='read-only'):
        camera.rays()[0, 0] = 1


def test_a_window_and_bins_that_differ_shift_and_shrink_k_and_p():
    camera = Camera.from_info(info(binning_x=2, binning_y=3, roi=(100, 60, 240, 400)))
    assert (camera.height, camera.width) == (80, 200)
    assert camera.k == pytest.approx((250, 0, 110, 0, 170, 40, 0, 0, 1))
    assert camera.p == pytest.approx((250, 0, 110, 3.5, 0, 170, 40, 0, 0, 0, 1, 0))
    assert (camera.d, camera.r, camera.distortion_model) == (info().d, R, 'plumb_bob')
    # A window without a size is as large as the picture.
    shifted = Camera.from_info(info(roi=(10, 20, 0, 0)))
    assert (shifted.height, shifted.width) == (360, 640)
    assert shifted.k == pytest.approx((500, 0, 310, 0, 510, 160, 0, 0, 1))


def test_a_window_of_a_camera_sees_the_same_rays():
    camera = Camera.pinhole(64, 48, 40, 42, 31, 20)
    part = camera.window(12, 5, 20, 30)
    assert (part.height, part.width) == (20, 30)
    np.testing.assert_array_equal(part.rays(), camera.rays()[5:25, 12:42])
    assert part.p == (40, 0, 19, 0, 0, 42, 15, 0, 0, 0, 1, 0)


def test_the_angle_of_view_is_from_edge_to_edge():
    camera = Camera.of_view(100, 50, 90)
    # Half a pixel beyond the outermost centres the ray is at 45 degrees: x / z = 1.
    x, y = camera.rays()[..., 0], camera.rays()[..., 1]
    assert x[0, 0] - (x[0, 1] - x[0, 0]) / 2 == pytest.approx(-1)
    assert x[0, -1] + (x[0, 1] - x[0, 0]) / 2 == pytest.approx(1)
    assert y[0, 0] - (y[1, 0] - y[0, 0]) / 2 == pytest.approx(-0.5)
    assert camera.focal_length == pytest.approx(50)
    assert Camera.pinhole(64, 48, 4, 9, 31, 20).focal_length == pytest.approx(6)


def test_rectified_is_the_pinhole_of_p_or_without_one_that_of_k():
    changed = (450.0, 0.0, 300.0, 7.0, 0.0, 460.0, 170.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    turned = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0)
    camera = Camera.from_info(info(p=changed, r=turned))
    assert camera.distorted
    flat = camera.rectified()
    assert (flat.k, flat.p) == ((450, 0, 300, 0, 460, 170, 0, 0, 1), changed)
    assert (flat.d, flat.r, flat.distortion_model) == ((0.0,) * 5, R, 'plumb_bob')
    assert not flat.distorted
    bare = Camera.from_info(info(p=(0.0,) * 12)).rectified()
    assert (bare.k, bare.d) == (K, (0.0,) * 5)
    assert bare.p == (500, 0, 320, 0, 0, 510, 180, 0, 0, 0, 1, 0)


@pytest.mark.parametrize(
    ('place', 'number'), [(0, 0.0), (5, 0.0), (5, -1.0), (8, 1.0), (10, 2.0), (3, float('nan'))]
)
def test_a_p_that_projects_nothing_is_none(place, number):
    p = list(P)
    p[place] = number
    assert Camera.from_info(info()).has_projection
    assert not Camera(360, 640, 'plumb_bob', (), K, R, tuple(p)).has_projection


@pytest.mark.parametrize(
    ('topic', 'rectified'),
    [
        ('/camera/image_rect', True),
        ('/camera/image_rect_color/compressed', True),
        ('image_rect', True),
        ('/camera/image_raw', False),
        ('/camera/my_image_rect', False),
        ('', False),
    ],
)
def test_image_proc_s_names_say_what_is_rectified(topic, rectified):
    assert is_rectified(topic) is rectified
    assert Camera.from_info(info(), topic).distorted is not rectified


def test_a_fisheye_s_numbers_are_cut_to_four_only_if_the_rest_is_zero():
    filled = info(distortion_model='equidistant', d=(0.1, 0.02, 0.0, 0.0, 0.0, 0.0))
    assert Camera.from_info(filled).d == (0.1, 0.02, 0.0, 0.0)
    with pytest.raises(MessageError, match='has 5 coefficients, not 4'):
        Camera.from_info(info(distortion_model='equidistant', d=(0.1, 0.02, 0.0, 0.0, 0.3)))
    assert len(Camera.from_info(info()).d) == 5


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        # Pictures are 640 wide: 0.01 and 10,000 of that, and a hundred.
        ({0: 6.4}, None),
        ({4: 6.4}, None),
        ({0: 6.39}, 'k has focal lengths of 6.39 and 510 pixels for pictures of 640 x 360'),
        ({4: 6.39}, 'k has focal lengths of 500 and 6.39 pixels'),
        ({0: 6_400_000.0}, None),
        ({0: 6_400_001.0}, 'k has focal lengths'),
        ({2: -64_000.0}, None),
        ({2: -64_001.0}, 'k has its centre at -64001, 180 for pictures of 640 x 360'),
        ({5: 64_001.0}, 'k has its centre at 320, 64001'),
        ({8: 2.0}, r'k ends in \(0.0, 0.0, 2.0\), not in 0 0 1'),
    ],
)
def test_what_no_lens_has_is_refused_and_the_last_that_one_has_is_not(changes, said):
    k = tuple(changes.get(i, number) for i, number in enumerate(K))
    if said is None:
        assert Camera.from_info(info(k=k)).k == k
        return
    with pytest.raises(MessageError, match=f'^camera_info field {said}'):
        Camera.from_info(info(k=k))


def test_p_and_r_are_held_to_the_same():
    with pytest.raises(MessageError, match='field p has focal lengths of 500 and 1 pixels'):
        Camera.from_info(info(p=(*P[:5], 1.0, *P[6:])))
    with pytest.raises(MessageError, match='field p has its centre at 1e\\+06, 180'):
        Camera.from_info(info(p=(*P[:2], 1e6, *P[3:])))
    with pytest.raises(MessageError, match='field p has its centre at 320, 1e\\+06'):
        Camera.from_info(info(p=(*P[:6], 1e6, *P[7:])))
    nearly = (1.0, 0.004, 0.0, -0.004, 1.0, 0.0, 0.0, 0.0, 1.0)
    assert Camera.from_info(info(r=nearly)).r == nearly
    with pytest.raises(MessageError, match='field r is no rotation'):
        Camera.from_info(info(r=(1.01, *R[1:])))


def test_a_focal_length_below_zero_is_no_calibration():
    assert not Camera.from_info(info(k=(*K[:4], -510.0, *K[5:]))).calibrated
    assert not Camera.from_info(info(k=(*K[:4], 0.0, *K[5:]))).calibrated
    assert not Camera.from_info(info(k=(-500.0, *K[1:]))).calibrated
