"""Predictions brought to the size of the truth."""

import numpy as np
import pytest

from dsn_core.evaluation.prediction import Prediction, resize_depth


def test_depth_is_enlarged_as_inverse_depth():
    depth = np.array([[2.0, 8.0]])
    enlarged = resize_depth(depth, 1, 4)
    # Centres at 0.25 and 0.75 between the two pixels, the ends repeated.
    expected = 1 / np.array([1 / 2, 0.75 / 2 + 0.25 / 8, 0.25 / 2 + 0.75 / 8, 1 / 8])
    assert enlarged[0] == pytest.approx(expected)


def test_sky_is_one_over_zero_and_unknown_stays_unknown():
    assert resize_depth(np.array([[np.inf, np.inf, 4.0]]), 2, 3)[0].tolist() == [np.inf, np.inf, 4]
    half = resize_depth(np.array([[np.inf, 4.0]]), 1, 3)[0]
    assert half[1] == pytest.approx(8)
    assert np.isnan(resize_depth(np.array([[np.nan, 4.0]]), 1, 4)[0, 0])


def test_what_has_the_size_is_left_as_it_is():
    depth = np.random.default_rng(0).uniform(1, 9, (3, 4)).astype(np.float32)
    assert resize_depth(depth, 3, 4) is depth


def test_labels_and_confidence_take_the_nearest_and_stay_together():
    labels = np.array([[0, 13]], np.uint8)
    confidence = np.array([[0.2, 0.9]], np.float32)
    big = Prediction(None, labels, confidence).resized(2, 4)
    assert big.depth is None
    assert big.labels.tolist() == [[0, 0, 13, 13]] * 2
    assert big.confidence == pytest.approx(np.array([[0.2, 0.2, 0.9, 0.9]] * 2))
