"""Scores of whole sets: what perfect, doubled, overconfident and flickering rows get."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.drive_factory import write_drive

from dsn_core.data.drive_source import DrivesSource
from dsn_core.errors import UserError
from dsn_core.evaluation.config import EvaluationConfig
from dsn_core.evaluation.folder_row import FolderRow
from dsn_core.evaluation.prediction import Prediction
from dsn_core.evaluation.samples import DrivesSet, EvaluationSample
from dsn_core.evaluation.score import score

CONFIG = EvaluationConfig(
    (DrivesSet(DrivesSource(Path('none'))),), (FolderRow(Path('none'), name='none'),)
)


class Predictor:
    def __init__(self, answer, metric=True):
        self.answer, self.metric = answer, metric

    def __call__(self, sample):
        return self.answer(sample)


def perfect(sample, factor=1.0):
    depth = np.where(sample.depth > 0, sample.depth * factor, np.inf)
    return Prediction(depth, sample.labels, np.ones(sample.labels.shape, np.float32))


@pytest.fixture
def samples(tmp_path):
    for i, condition in enumerate(('day', 'night')):
        write_drive(tmp_path, f'town{i}_{condition}', 'test', condition, frames=3, height=48)
    return list(DrivesSet(DrivesSource(tmp_path, split='test')).samples(tmp_path))


def test_a_perfect_prediction_scores_perfectly(samples):
    ticks = []
    figures = score(Predictor(perfect), samples, CONFIG, lambda: ticks.append(1))
    assert set(figures) == {'day', 'night'}
    assert len(ticks) == 6
    for each in figures.values():
        assert each['frames'] == 3
        for protocol in ('table_1', 'table_2'):
            for scaling in ('median_scaled', 'unscaled'):
                errors = list(each['depth'][protocol][scaling].values())
                assert errors == pytest.approx([0, 0, 0, 0, 1, 1, 1], abs=1e-6)
        assert each['scale'] == pytest.approx({'median': 1, 'spread': 0}, abs=1e-6)
        assert each['labels']['miou'] == 1
        assert set(each['labels']['iou']) == {'road', 'building', 'sky', 'car'}
        assert each['calibration']['ece'] == 0
        assert each['temporal']['pairs'] == 0  # these drives have no poses


def test_twice_the_depth_is_perfect_with_median_scaling_and_not_without(samples):
    figures = score(Predictor(lambda s: perfect(s, 2)), samples, CONFIG, lambda: None)['day']
    scaled, unscaled = (figures['depth']['table_2'][k] for k in ('median_scaled', 'unscaled'))
    assert scaled['abs_rel'] == pytest.approx(0, abs=1e-6)
    # Twice as far, but for what lies beyond 40 m, which is clamped to 80.
    by_hand = []
    for sample in samples[:3]:
        d = sample.depth[(sample.depth > 1e-3) & (sample.depth < 80)].astype(np.float64)
        by_hand.append(np.mean(np.abs(np.minimum(2 * d, 80) - d) / d))
    assert unscaled['abs_rel'] == pytest.approx(np.mean(by_hand))
    assert unscaled['abs_rel'] > 0.8
    assert unscaled['a1'] < 0.1
    assert figures['scale'] == pytest.approx({'median': 2, 'spread': 0}, abs=1e-6)


def test_the_protocols_have_their_own_caps(samples):
    d = samples[0].depth.astype(np.float64)

    def wrong_from_50_metres_on(sample):
        return Prediction(np.where(sample.depth > 50, 10.0, sample.depth))

    one = score(Predictor(wrong_from_50_metres_on), samples[:1], CONFIG, lambda: None)['day']
    assert (d > 50).any()
    assert one['depth']['table_1']['unscaled']['rmse'] == pytest.approx(0, abs=1e-6)
    valid = d[(d > 1e-3) & (d < 80)]
    rmse = math.sqrt(np.mean(np.where(valid > 50, valid - 10, 0) ** 2))
    assert one['depth']['table_2']['unscaled']['rmse'] == pytest.approx(rmse)
    assert one['labels'] is None
    assert one['calibration'] is None


def test_a_row_without_metres_is_not_scored_unscaled(samples):
    figures = score(Predictor(perfect, metric=False), samples, CONFIG, lambda: None)['day']
    assert set(figures['depth']['table_2']) == {'median_scaled'}


def test_scale_and_its_spread(samples):
    factors = iter((0.5, 1.0, 2.0))
    three = samples[:3]
    figures = score(Predictor(lambda s: perfect(s, next(factors))), three, CONFIG, lambda: None)
    expected = {'median': 1.0, 'spread': float(np.std([0.5, 1, 2]))}
    assert figures['day']['scale'] == pytest.approx(expected, abs=1e-6)


def test_overconfidence_is_the_gap(samples):
    def road_everywhere(sample):
        return Prediction(
            labels=np.zeros_like(sample.labels),
            confidence=np.ones(sample.labels.shape, np.float32),
        )

    three = samples[:3]
    figures = score(Predictor(road_everywhere), three, CONFIG, lambda: None)['day']
    right = np.mean([sample.labels == 0 for sample in three])
    assert figures['calibration']['ece'] == pytest.approx(1 - right)
    assert figures['depth']['table_2']['median_scaled'] is None
    assert figures['labels']['iou']['road'] == pytest.approx(right)


def test_unlabelled_and_unmeasured_pictures_do_not_count(samples):
    bare = replace(
        samples[0],
        depth=np.zeros_like(samples[0].depth),
        labels=np.full_like(samples[0].labels, 255),
    )

    def nonsense(sample):
        return Prediction(np.full((2, 2), 7.0), np.zeros((2, 2), np.uint8))

    figures = score(Predictor(nonsense), [bare], CONFIG, lambda: None)['day']
    assert figures['depth']['table_2']['unscaled'] is None
    assert figures['scale'] is None
    assert figures['labels'] is None


def walk(frames, flicker=1.0):
    """A camera that walks towards a wall; the row's depth flickers by a factor."""
    k = np.array([[40.0, 0, 19.5], [0, 40.0, 9.5], [0, 0, 1]])
    for i in range(frames):
        pose = np.hstack([np.eye(3), [[0], [0], [float(i)]]])
        depth = np.full((20, 40), 30.0 - i, np.float32)
        image = np.zeros((20, 40, 3), np.uint8)
        labels = np.full((20, 40), 2, np.uint8)
        yield EvaluationSample(f'{i}', image, k, depth, labels, 'day', 'walk', pose)


def test_steadiness_along_a_sequence():
    state = iter(range(9))

    def flickering(sample):
        even = next(state) % 2 == 0
        labels = sample.labels.copy()
        if not even:
            labels[:, :10] = 3
        return Prediction(sample.depth * (1.2 if even else 1 / 1.2), labels)

    steady = score(Predictor(perfect), walk(3), CONFIG, lambda: None)['day']['temporal']
    assert steady == pytest.approx({'pairs': 2, 'depth': 0, 'labels': 1, 'true_labels': 1})
    shaken = score(Predictor(flickering), walk(3), CONFIG, lambda: None)['day']['temporal']
    assert shaken['depth'] == pytest.approx(2 * math.log(1.2), abs=1e-6)
    assert 0.7 < shaken['labels'] < 0.8  # a quarter of the columns flickers
    assert shaken['true_labels'] == 1


def test_a_cut_is_no_change():
    cut = [s if i < 2 else replace(s, sequence='other') for i, s in enumerate(walk(4))]
    figures = score(Predictor(perfect), cut, CONFIG, lambda: None)
    assert figures['day']['temporal']['pairs'] == 2


def test_a_prediction_without_any_depth_is_named(samples):
    nothing = Predictor(lambda s: Prediction(np.full(s.depth.shape, np.nan)))
    with pytest.raises(UserError, match=r'town0_day/000000'):
        score(nothing, samples, CONFIG, lambda: None)
