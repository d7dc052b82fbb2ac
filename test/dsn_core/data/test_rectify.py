"""What comes out is what a pinhole would have seen: checked by the lens formulas themselves."""

import cv2
import numpy as np
import pytest

from dsn_core.data.calibration import Calibration
from dsn_core.data.rectify import rectifier
from dsn_core.errors import UserError

HIGHWAY = Calibration(
    320, 180, 288.9, 287.6, 167.8, 96.9, 'plumb_bob', (-0.2485, -0.0195, -0.0006, 0.0002, 0.0086)
)
WIDE = Calibration(320, 240, 190, 192, 158, 121, 'plumb_bob', (-0.3, 0.1, 0.001, -0.002, -0.015))
RATIONAL = Calibration(
    320,
    180,
    150,
    150,
    160,
    90,
    'rational_polynomial',
    (4.2, 1.5, 1e-4, -1e-4, 0.03, 4.6, 2.6, 0.3),
)
FISHEYE = Calibration(
    212, 200, 71.5, 71.6, 104.5, 100.0, 'equidistant', (-0.006, 0.04, -0.037, 0.006)
)
LENSES = {'highway': HIGHWAY, 'wide': WIDE, 'rational': RATIONAL, 'fisheye': FISHEYE}
lens = pytest.mark.parametrize('camera', LENSES.values(), ids=LENSES.keys())


def seen_at(camera, x, y):
    """Pixel of the ray (x, y, 1), by the published formulas (OpenCV's calib3d, Kannala-Brandt)."""
    r2 = x * x + y * y
    if camera.distortion_model == 'equidistant':
        r = np.sqrt(r2)
        angle = np.arctan(r)
        k1, k2, k3, k4 = camera.d
        bent = angle * (1 + k1 * angle**2 + k2 * angle**4 + k3 * angle**6 + k4 * angle**8)
        scale = np.where(r > 0, bent / np.maximum(r, 1e-12), 1.0)
        x, y = x * scale, y * scale
    else:
        k1, k2, p1, p2, k3, k4, k5, k6 = (*camera.d, 0.0, 0.0, 0.0)[:8]
        radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
        x, y = (
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        )
    return camera.fx * x + camera.cx, camera.fy * y + camera.cy


def pattern(u, v):
    """A smooth picture (..., 3), known between its pixels too; 0.1 pixels are a grey level."""
    return np.stack(
        [128 + 100 * np.sin(u / 9), 128 + 100 * np.cos(v / 9), 128 + 80 * np.sin((u + v) / 13)],
        axis=-1,
    )


@lens
def test_every_pixel_shows_what_the_pinhole_sees_there(camera):
    rectify = rectifier(camera)
    (fx, _, cx), (_, fy, cy), _ = rectify.intrinsics
    v, u = np.mgrid[0.0 : camera.height, 0.0 : camera.width]
    found = rectify(np.rint(pattern(u, v)).astype(np.uint8))
    expected = pattern(*seen_at(camera, (u - cx) / fx, (v - cy) / fy))
    # The border may lie half a pixel outside, where the last pixel is repeated.
    np.testing.assert_allclose(found[2:-2, 2:-2], expected[2:-2, 2:-2], atol=2)


@lens
def test_no_border_is_empty_and_no_more_is_cut_than_must_be(camera):
    (fx, _, cx), (_, fy, cy), _ = rectifier(camera).intrinsics
    w, h = camera.width - 1, camera.height - 1
    u, v = np.linspace(0, w, 400), np.linspace(0, h, 400)
    sides = [(0 * v, v), (0 * v + w, v), (u, 0 * u), (u, 0 * u + h)]
    at = [seen_at(camera, (a - cx) / fx, (b - cy) / fy) for a, b in sides]
    for found_u, found_v in at:
        assert found_u.min() > -1
        assert found_u.max() < w + 1
        assert found_v.min() > -1
        assert found_v.max() < h + 1
    # Each side touches the picture's edge, unless the view is as wide as a pinhole should be.
    touches = (at[0][0].min(), w - at[1][0].max(), at[2][1].min(), h - at[3][1].max())
    edges = (cx / fx, (w - cx) / fx, cy / fy, (h - cy) / fy)
    for gap, edge in zip(touches, edges, strict=True):
        assert gap < 1 or edge == pytest.approx(np.tan(np.radians(60)))


def test_the_view_is_opencvs_alpha_0():
    size = (HIGHWAY.width, HIGHWAY.height)
    theirs, _ = cv2.getOptimalNewCameraMatrix(HIGHWAY.matrix, np.array(HIGHWAY.d), size, 0)
    np.testing.assert_allclose(rectifier(HIGHWAY).intrinsics, theirs, atol=0.3)


def test_a_pinhole_is_left_as_it_is():
    camera = Calibration(8, 6, 5.0, 6.0, 3.0, 2.0, d=(0.0,) * 5)
    image = np.zeros((6, 8, 3), np.uint8)
    rectify = rectifier(camera)
    assert rectify(image) is image
    np.testing.assert_array_equal(rectify.intrinsics, [[5, 0, 3], [0, 6, 2], [0, 0, 1]])
    assert rectifier(camera) is rectify


def test_a_lens_that_folds_the_picture_over_is_kept_clear_of():
    # x (1 - 0.3 r²) turns back at r² = 1.11, within this picture's corners.
    camera = Calibration(320, 180, 125, 125, 160, 90, 'plumb_bob', (-0.3, 0.0, 0.0, 0.0, 0.0))
    (fx, _, cx), (_, fy, cy), _ = rectifier(camera).intrinsics
    for u in (0, 319):
        for v in (0, 179):
            assert ((u - cx) / fx) ** 2 + ((v - cy) / fy) ** 2 < 1 / 0.9


def test_nonsense_is_refused():
    nonsense = Calibration(320, 240, 200, 200, 160, 120, 'plumb_bob', (5.0,) * 5)
    with pytest.raises(UserError, match='calibrate the camera again'):
        rectifier(nonsense)
    outside = Calibration(320, 240, 200, 200, 1600, 120, 'plumb_bob', (-0.1, 0.0, 0.0, 0.0))
    with pytest.raises(UserError, match='calibrate the camera again'):
        rectifier(outside)
