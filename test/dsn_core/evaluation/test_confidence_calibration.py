"""Expected calibration error against closed forms and a float64 sum by hand."""

import math

import numpy as np
import pytest

from dsn_core.evaluation.calibration import BINS, Calibration


def test_a_predictor_that_is_right_as_often_as_it_says():
    calibration = Calibration()
    for percent in (10, 30, 50, 70, 90):  # of 1000 pixels, exactly that share is right
        right = np.arange(1000) < 10 * percent
        calibration.add(np.full(1000, percent / 100), right)
    assert calibration.error() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(('says', 'share'), [(1.0, 0.6), (0.9, 0.25), (0.2, 0.7)])
def test_the_gap_of_one_that_always_says_the_same(says, share):
    calibration = Calibration()
    calibration.add(np.full((20, 50), says), (np.arange(1000) < 1000 * share).reshape(20, 50))
    assert calibration.error() == pytest.approx(abs(says - share))


def test_random_pixels_in_pieces_against_a_loop():
    rng = np.random.default_rng(3)
    steps = rng.integers(0, 256, 4000)
    right = rng.random(4000) < (steps / 255) ** 2  # overconfident
    calibration = Calibration()
    for part in np.split(np.arange(4000), 8):
        calibration.add(steps[part].astype(np.float32) / np.float32(255), right[part])
    expected = 0.0
    for b in range(BINS):  # step / 255 in (b / 15, (b + 1) / 15], in whole numbers
        inside = (steps > 17 * b) & (steps <= 17 * (b + 1))
        if b == 0:
            inside |= steps == 0
        gap = np.mean(steps[inside] / 255) - np.mean(right[inside])
        expected += inside.sum() / 4000 * abs(gap)
        assert calibration.bins()[b].pixels == inside.sum()
        assert calibration.bins()[b].accuracy == pytest.approx(np.mean(right[inside]))
        assert calibration.bins()[b].confidence == pytest.approx(np.mean(steps[inside]) / 255)
    assert expected > 0.05
    assert calibration.error() == pytest.approx(expected, abs=1e-7)


def test_nothing_and_sizes_that_differ():
    assert math.isnan(Calibration().error())
    with pytest.raises(ValueError, match='differ in size'):
        Calibration().add(np.zeros((2, 3)), np.zeros((3, 2), bool))
