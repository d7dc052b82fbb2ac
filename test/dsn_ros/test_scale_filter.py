"""The scale over time: a median that holds, fades and begins anew."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsn_ros.scale_estimate import Estimate
from dsn_ros.scale_filter import ScaleFilter

SECOND = 10**9
factors = st.floats(0.01, 100)


def measure(factor, sigma=0.02):
    return Estimate(factor, sigma, 100)


BAD = Estimate.none('no road')


@settings(max_examples=60, deadline=None)
@given(st.lists(factors, min_size=1, max_size=30), st.floats(0.1, 10))
def test_it_is_the_median_of_the_window_in_any_unit(values, unit):
    one, other = ScaleFilter(5.0, 10.0), ScaleFilter(5.0, 10.0)
    for i, value in enumerate(values):
        found = one.add(i * SECOND // 2, measure(value))
        scaled = other.add(i * SECOND // 2, measure(value * unit))
    window = np.log(values[-11:])  # half a second apart, both ends of the five seconds
    assert found.factor == pytest.approx(np.exp(np.median(window)), rel=1e-9)
    assert found.frames == len(window)
    assert scaled.factor == pytest.approx(found.factor * unit, rel=1e-9)
    assert scaled.spread == pytest.approx(found.spread, rel=1e-6, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.lists(factors, min_size=4, max_size=4), st.randoms(use_true_random=False))
def test_a_minority_of_wrong_measures_does_not_matter(wrong, order):
    values = [2.0] * 6 + wrong
    order.shuffle(values)
    scale = ScaleFilter(60.0, 10.0)
    for i, value in enumerate(values):
        found = scale.add(i * SECOND, measure(value))
    assert found.factor == pytest.approx(2.0)


def test_spread_is_that_of_the_measures():
    rng = np.random.default_rng(0)
    scale = ScaleFilter(1e4, 10.0)
    for i in range(2000):
        found = scale.add(i * SECOND, measure(float(rng.lognormal(0, 0.1))))
    assert found.spread == pytest.approx(0.1, rel=0.1)
    # A single measure is as uncertain as it says.
    assert ScaleFilter().add(0, measure(1.0, 0.07)).spread == pytest.approx(0.07)


def test_without_measures_it_holds_gets_less_certain_and_ends():
    scale = ScaleFilter(5.0, 10.0)
    known = scale.add(0, measure(3.0))
    spreads = [known.spread]
    for second in range(1, 11):
        held = scale.add(second * SECOND, BAD)
        assert held.factor == pytest.approx(3.0)
        assert held.age == pytest.approx(second)
        spreads.append(held.spread)
    assert np.all(np.diff(spreads) > 0)
    assert scale.add(11 * SECOND, BAD) is None
    assert scale.add(12 * SECOND, measure(4.0)).factor == pytest.approx(4.0)


def test_nothing_is_known_before_there_are_measures_enough():
    scale = ScaleFilter(5.0, 10.0, min_frames=3)
    assert scale.add(0, BAD) is None
    assert [scale.add(i * SECOND, measure(2.0)) is None for i in (1, 2, 3)] == [True, True, False]
    # Once known it holds while the window fills anew.
    assert scale.add(10 * SECOND, measure(5.0)).factor == pytest.approx(2.0)


def test_a_jump_back_in_time_begins_anew():
    scale = ScaleFilter(5.0, 10.0)
    for i in range(10):
        scale.add((100 + i) * SECOND, measure(2.0))
    assert scale.add(SECOND, BAD) is None
    assert scale.add(2 * SECOND, measure(7.0)).factor == pytest.approx(7.0)


def test_frames_a_little_out_of_order_do_no_harm():
    scale = ScaleFilter(5.0, 10.0)
    scale.add(SECOND, measure(2.0))
    found = scale.add(SECOND - 50_000_000, measure(2.0))
    assert (found.factor, found.frames) == (pytest.approx(2.0), 2)


def test_frames_are_out_of_order_by_a_fifth_of_a_second_at_most():
    for back, frames in ((200_000_000, 2), (200_000_001, 1)):
        scale = ScaleFilter(5.0, 10.0)
        scale.add(SECOND, measure(2.0))
        assert scale.add(SECOND - back, measure(2.0)).frames == frames


def test_spread_by_its_formula():
    scale = ScaleFilter(60.0, 10.0)
    logs, sigmas = [0.0, 0.1, 0.3, -0.2], [0.04, 0.08, 0.02, 0.3]
    for i, (log, sigma) in enumerate(zip(logs, sigmas, strict=True)):
        found = scale.add(i * SECOND, measure(float(np.exp(log)), sigma))
    # Deviations from the median 0.05 are 0.05, 0.05, 0.25 and 0.25; sigma's median is 0.06.
    spread = np.hypot(1.4826 * 0.15, 0.06 / np.sqrt(4))
    assert found.spread == pytest.approx(spread)
    assert (found.frames, found.age) == (4, 0.0)
    held = scale.add(8 * SECOND, BAD)
    assert held.spread == pytest.approx(np.hypot(spread, 0.02 * 5))
    assert (held.frames, held.age) == (4, pytest.approx(5.0))
    assert held.factor == pytest.approx(np.exp(0.05))


def test_a_measure_is_forgotten_after_the_window_and_not_at_its_end():
    scale = ScaleFilter()  # five seconds; one measure is enough
    assert scale.add(0, measure(2.0)).frames == 1
    assert scale.add(5 * SECOND, measure(2.0)).frames == 2
    assert scale.add(5 * SECOND + 1, measure(2.0)).frames == 2
    assert scale.add(15 * SECOND + 1, BAD).age == pytest.approx(10.0)
    assert scale.add(15 * SECOND + 1001, BAD) is None
    scale.add(16 * SECOND, measure(3.0))
    scale.forget()
    assert scale.add(16 * SECOND, BAD) is None
    assert scale.add(17 * SECOND, measure(4.0)).frames == 1
