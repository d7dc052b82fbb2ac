"""Depth errors against sums done by hand, and the identities that define them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsn_core.evaluation import depth_errors


def test_by_hand():
    truth = np.array([[2.0, 4.0], [10.0, 0.0]])
    guess = np.array([[3.0, 4.0], [5.0, 9.0]])
    errors = depth_errors(truth, guess, median_scaling=False)
    assert errors.abs_rel == pytest.approx((1 / 2 + 0 + 5 / 10) / 3)
    assert errors.sq_rel == pytest.approx((1 / 2 + 0 + 25 / 10) / 3)
    assert errors.rmse == pytest.approx(math.sqrt((1 + 0 + 25) / 3))
    logs = math.log(3 / 2) ** 2 + math.log(2) ** 2
    assert errors.rmse_log == pytest.approx(math.sqrt(logs / 3))
    # ratios 1.5, 1, 2 against 1.25, 1.5625, 1.953125
    assert (errors.a1, errors.a2, errors.a3) == pytest.approx((1 / 3, 2 / 3, 2 / 3))


def scene(seed=0, shape=(12, 16)):
    return np.random.default_rng(seed).uniform(2, 60, shape)


def test_perfect_prediction():
    assert depth_errors(scene(), scene()) == (0, 0, 0, 0, 1, 1, 1)


@given(st.floats(0.05, 20))
def test_median_scaling_forgives_any_scale(factor):
    scaled = depth_errors(scene(), scene() * factor)
    assert scaled.abs_rel == pytest.approx(0, abs=1e-9)
    if abs(factor - 1) > 0.01:
        assert depth_errors(scene(), scene() * factor, median_scaling=False).abs_rel > 0.005


def test_unmeasured_and_far_pixels_do_not_count():
    truth, guess = scene(), scene()
    truth[0] = (0, -1, np.nan, np.inf, 80, 200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    guess[0] = 1e6
    assert depth_errors(truth, guess).abs_rel == 0


def test_predicted_sky_counts_as_the_cap_and_unknown_not_at_all():
    truth, guess = np.full((2, 2), 40.0), np.full((2, 2), 40.0)
    guess[0, 0] = np.inf
    assert depth_errors(truth, guess, median_scaling=False).abs_rel == pytest.approx(1 / 4)
    guess[0, 0] = np.nan
    assert depth_errors(truth, guess, median_scaling=False).abs_rel == 0


def test_prediction_is_resized_to_the_truth():
    truth = np.full((8, 8), 20.0)
    assert depth_errors(truth, np.full((4, 4), 20.0)).abs_rel == pytest.approx(0)
    sky = np.full((4, 4), 20.0)
    sky[:2] = np.inf
    assert np.isfinite(depth_errors(truth, sky, median_scaling=False)).all()


def test_nothing_to_compare_is_said():
    with pytest.raises(ValueError, match='no pixel'):
        depth_errors(np.zeros((2, 2)), np.ones((2, 2)))
    with pytest.raises(ValueError, match=r'\(H, W\)'):
        depth_errors(np.zeros((1, 2, 2)), np.ones((1, 2, 2)))
