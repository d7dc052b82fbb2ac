"""Published confidence: calibrated by light, and lower where a camera sees nothing."""

import time

import cv2
import numpy as np
import pytest

from dsn_ros.confidence import UNLIT_FACTOR, calibrated, dimmed, light_share, lookup_tables


def night(noise=3.0, seed=5, height=320, width=576):
    """Noise about black, a lit road in the lower middle and a lamp."""
    rng = np.random.default_rng(seed)
    level = np.zeros((height, width))
    level[200:, 160:416] = 70
    level[40:56, 40:56] = 240
    image = np.clip(level[..., None] + rng.normal(0, noise, (height, width, 3)), 0, 255)
    return image.astype(np.uint8)


def test_a_table_is_read_between_its_steps():
    tables = lookup_tables({'night': (0.0, 0.2, 1.0), 'day': (0.5, 0.5)})
    assert set(tables) == {'night', 'day'}
    assert tables['night'].dtype == np.uint8
    # Steps at 0, 127.5 and 255: 51 is two fifths up to 0.2; 204 three fifths on from there.
    assert tables['night'][[0, 51, 204, 255]].tolist() == [0, round(0.08 * 255), 173, 255]
    assert (tables['day'] == 128).all()


def test_confidence_becomes_that_of_its_light():
    tables = lookup_tables({'night': (0.0, 0.5)})
    confidence = np.array([[0, 100], [200, 255]], np.uint8)
    assert calibrated(confidence, 'night', tables).tolist() == [[0, 50], [100, 128]]
    assert calibrated(confidence, 'day', tables) is confidence
    assert calibrated(confidence, 'night', {}) is confidence


def test_a_map_with_gaps_between_its_rows_is_taken():
    tables = lookup_tables({'dusk': (0.0, 0.5)})
    confidence = np.full((4, 6), 200, np.uint8)[:, ::2]
    assert (calibrated(confidence, 'dusk', tables) == 100).all()


@pytest.mark.parametrize('noise', [0.0, 1.0, 3.0, 8.0])
def test_black_is_unlit_whatever_the_camera_s_noise(noise):
    lit = light_share(night(noise))
    assert lit.shape == (320, 576)
    assert lit.dtype == np.float32
    assert (lit[216:, 176:400] == 1).all()  # the road
    assert (lit[44:52, 44:52] > 0.9).all()  # the lamp
    dark = lit[80:180, 80:]
    assert (dark < 0.5).mean() > 0.95
    assert 0 <= lit.min() <= lit.max() <= 1


def test_a_dark_wall_with_bricks_is_seen():
    image = night()
    bricks = 16 * (np.indices((64, 64)).sum(axis=0) // 4 % 2)
    image[64:128, 320:384] += bricks.astype(np.uint8)[..., None]
    lit = light_share(image)
    assert (lit[72:120, 328:376] > 0.9).mean() > 0.9
    assert (lit[72:120, 120:300] < 0.5).mean() > 0.9


@pytest.mark.parametrize('level', [60, 128, 255])
def test_by_day_everything_is_lit(level):
    image = np.full((96, 128, 3), level, np.uint8)
    assert (light_share(image) == 1).all()


def test_a_black_picture_is_unlit_and_any_size_is_taken():
    for size in ((1, 1), (7, 5), (97, 131), (320, 576)):
        lit = light_share(np.zeros((*size, 3), np.uint8))
        assert lit.shape == size
        assert (lit == 0).all()


def test_unlit_confidence_falls_and_lit_stays():
    confidence = np.array([[200, 200, 200, 0]], np.uint8)
    lit = np.array([[0.0, 0.5, 1.0, 0.0]], np.float32)
    half = 200 * (1 + UNLIT_FACTOR) / 2
    assert dimmed(confidence, lit).tolist() == [[200 * UNLIT_FACTOR, half, 200, 0]]
    assert dimmed(confidence, lit).dtype == np.uint8


def test_without_light_no_confidence_reaches_one_half():
    full = np.full((2, 2), 255, np.uint8)
    assert (dimmed(full, np.zeros((2, 2), np.float32)) < round(0.5 * 255)).all()
    every = np.arange(256, dtype=np.uint8)[None]
    assert (dimmed(every, np.full((1, 256), 0.99999994, np.float32)) == every).all()


def test_it_takes_no_time():
    image, confidence, times = night(), np.full((320, 576), 200, np.uint8), []
    for _ in range(30):
        start = time.process_time()
        dimmed(confidence, light_share(image))
        times.append(time.process_time() - start)
    assert min(times) < 5e-3  # 0.4 ms on an idle core


@pytest.mark.parametrize(
    ('pattern', 'least', 'most'),
    [
        ('night_zimmer/image/*.jpg', 0.5, 0.9),
        ('carnd_highway_day/image/*.jpg', 0.0, 0.03),
        ('camvid/train/0001TP_*.jpg', 0.0, 0.03),
    ],
)
def test_real_pictures(shared_data, pattern, least, most):
    files = sorted(shared_data.glob(pattern))[::25]
    pictures = [cv2.imread(str(each))[..., ::-1] for each in files]
    small = [cv2.resize(np.ascontiguousarray(each), (576, 320)) for each in pictures]
    share = np.mean([(light_share(each) < 0.5).mean() for each in small])
    assert least <= share <= most
