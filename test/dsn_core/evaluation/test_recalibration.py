"""Tables of confidence: what they say, that they never fall, and what they mend."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsn_core.evaluation.calibration import Calibration
from dsn_core.evaluation.recalibration import STEPS, Reliability


def drawn(rng, count, truth):
    """``count`` pixels whose label is right with probability ``truth(confidence)``."""
    confidence = rng.integers(0, 256, count) / 255
    return confidence, rng.random(count) < truth(confidence)


def test_the_table_is_the_share_of_right_labels():
    reliability = Reliability()
    reliability.add(*drawn(np.random.default_rng(1), 400_000, lambda c: c**2))
    assert reliability.table() == pytest.approx(np.linspace(0, 1, STEPS) ** 2, abs=0.035)


def test_a_believable_network_keeps_its_confidence():
    reliability = Reliability()
    reliability.add(*drawn(np.random.default_rng(2), 400_000, lambda c: c))
    assert reliability.table() == pytest.approx(np.linspace(0, 1, STEPS), abs=0.02)


def test_a_table_mends_other_pixels_of_the_same_network():
    rng = np.random.default_rng(3)
    fitted, others = Reliability(), Reliability()
    fitted.add(*drawn(rng, 200_000, np.sqrt))  # underconfident
    others.add(*drawn(rng, 200_000, np.sqrt))
    assert others.error() > 0.15
    assert others.error(fitted.table()) < 0.01


def test_the_error_is_that_of_the_evaluation():
    confidence, right = drawn(np.random.default_rng(4), 5000, lambda c: c**3)
    reliability, calibration = Reliability(), Calibration()
    reliability.add(confidence.reshape(50, 100), right.reshape(50, 100))
    calibration.add(confidence, right)
    assert reliability.error() == pytest.approx(calibration.error(), rel=1e-12)


def test_without_pixels_confidence_stays_and_the_error_is_unknown():
    assert Reliability().table() == pytest.approx(np.linspace(0, 1, STEPS))
    assert math.isnan(Reliability().error())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), st.booleans()), max_size=300))
def test_a_table_never_falls_and_stays_within_0_and_1(pixels):
    reliability = Reliability()
    level = np.array([p[0] for p in pixels], dtype=np.float64)
    reliability.add(level / 255, np.array([p[1] for p in pixels], dtype=np.bool_))
    table = np.array(reliability.table())
    assert len(table) == STEPS
    assert (np.diff(table) >= 0).all()
    assert table[0] >= 0
    assert table[-1] <= 1


def test_pixels_of_another_light_count_as_told():
    ones, twos, both = Reliability(), Reliability(), Reliability()
    ones.add(np.full(100, 0.5), np.arange(100) < 80)
    twos.add(np.full(100, 0.5), np.arange(100) < 20)
    both.merge(ones)
    both.merge(twos, 0.5)
    # 80 + 10 right of 100 + 50; the doubt of a pixel moves it a little towards one half.
    assert both.table()[STEPS // 2] == pytest.approx((90 + 0.5) / 151, abs=0.01)


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match='differ in size'):
        Reliability().add(np.zeros(3), np.zeros(4, np.bool_))
