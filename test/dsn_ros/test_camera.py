"""Calibration through windows, binning and resizing, and the rays of distorted lenses."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsn_ros.camera import Camera
from dsn_ros.camera_info import CameraInfoFields

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
