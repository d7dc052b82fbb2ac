"""Intersection over union against a count by hand."""

import numpy as np
import pytest

from dsn_core.evaluation import LabelScore


def test_by_hand():
    score = LabelScore(['road', 'car', 'sky'])
    truth = np.array([[0, 0, 0, 1], [1, 1, 255, 0]], np.uint8)
    guess = np.array([[0, 0, 1, 1], [1, 255, 0, 2]], np.uint8)
    score.add(truth, guess)
    # road: hit 2, true 4, guessed 2 → 2 / 4; car: hit 2, true 3, guessed 3 → 2 / 4
    assert score.iou() == {'road': pytest.approx(0.5), 'car': pytest.approx(0.5)}
    assert score.mean_iou() == pytest.approx(0.5)


def test_counts_add_up_over_pictures():
    rng = np.random.default_rng(0)
    truth, guess = rng.integers(0, 3, (2, 10, 20), dtype=np.uint8)
    whole, halves = LabelScore('abc'), LabelScore('abc')
    whole.add(truth, guess)
    halves.add(truth[:5], guess[:5])
    halves.add(truth[5:], guess[5:])
    assert whole.iou() == halves.iou()


def test_nothing_counted_is_not_a_score():
    assert np.isnan(LabelScore(['road']).mean_iou())


def test_sizes_must_agree():
    with pytest.raises(ValueError, match='size'):
        LabelScore(['road']).add(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))
