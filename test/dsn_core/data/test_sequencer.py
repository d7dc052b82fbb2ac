"""Where sequences end, and how far the camera came within them."""

import numpy as np
import pytest

from dsn_core.data.sequencer import Sequencer, Track


def places(times, positions=None, breaks=None, max_gap=float('inf')):
    sequencer = Sequencer('drive', max_gap)
    positions = positions or [None] * len(times)
    breaks = breaks or [0] * len(times)
    return [
        sequencer.place(t, None if p is None else np.array(p, dtype=float), b)
        for t, p, b in zip(times, positions, breaks, strict=True)
    ]


def names(found):
    return [int(p.sequence.removeprefix('drive.')) for p in found]


def test_time_that_falls_stands_or_leaps_begins_a_new_sequence():
    assert names(places([5.0, 5.1, 5.2])) == [0, 0, 0]
    assert names(places([5.0, 5.1, 5.1, 5.2, 4.0, 4.1])) == [0, 0, 1, 1, 2, 2]
    assert names(places([0.0, 0.5, 1.1, 1.6], max_gap=0.5)) == [0, 0, 1, 1]


def test_breaks_and_cuts_begin_a_new_sequence():
    assert names(places([0, 1, 2, 3], breaks=[0, 0, 1, 1])) == [0, 0, 1, 1]
    sequencer = Sequencer('x')
    sequencer.place(0.0)
    sequencer.cut()
    assert sequencer.place(1.0).sequence == 'x.1'
    assert sequencer.place(2.0).sequence == 'x.1'


def test_the_way_is_measured_from_frame_to_frame_of_a_sequence():
    found = places([0, 1, 2, 3], [(0, 0), (3, 4), (3, 4), (3, 16)])
    assert [p.travelled for p in found] == [0, 5, 5, 17]
    found = places([0, 1, 2, 3], [(0, 0), (3, 4), (100, 4), (101, 4)], [0, 0, 1, 1])
    assert [p.travelled for p in found] == [0, 5, 0, 1]


def test_an_unknown_position_is_bridged():
    found = places([0, 1, 2, 3], [None, (1.0,), (float('nan'),), (4.0,)])
    np.testing.assert_array_equal([p.travelled for p in found], [np.nan, 0, np.nan, 3])
    assert names(found) == [0, 0, 0, 0]


def test_track_interpolates_and_knows_nothing_beyond_its_ends():
    track = Track.through([2.0, 0.0, 1.0], [(10.0, 2.0), (0.0, 0.0), (4.0, 0.0)], max_gap=5)
    np.testing.assert_allclose(track.at(0.25), (1, 0))
    np.testing.assert_allclose(track.at(1.5), (7, 1))
    for time, place in ((0.0, (0, 0)), (1.0, (4, 0)), (2.0, (10, 2))):
        np.testing.assert_array_equal(track.at(time), place)
    assert track.at(-0.01) is None
    assert track.at(2.01) is None
    assert {track.breaks(t) for t in (-1, 0, 0.5, 2, 3)} == {0}


def test_one_position_is_a_track():
    track = Track.through([1.0], [(3.0, 4.0)], 1.0)
    np.testing.assert_array_equal(track.at(1.0), (3, 4))
    assert track.at(1.1) is None
    assert track.breaks(5.0) == 0


@pytest.mark.parametrize(
    ('times', 'positions'),
    [
        ([0.0, 1.0, 3.0, 4.0], [0.0, 5.0, 15.0, 20.0]),  # a hole of two seconds
        ([0.0, 1.0, 2.0, 3.0], [800.0, 805.0, 0.0, 5.0]),  # a reset to zero
    ],
)
def test_track_breaks_at_holes_and_resets(times, positions):
    track = Track.through(times, np.array(positions)[:, None], max_gap=1.5)
    middle = (times[1] + times[2]) / 2
    assert track.at(middle) is None
    np.testing.assert_allclose(track.at(0.5), (positions[0] + 2.5,))
    np.testing.assert_allclose(track.at(times[2] + 0.5), (positions[2] + 2.5,))
    assert [track.breaks(t) for t in (0.5, 1.0, middle, times[2], times[3])] == [0, 0, 1, 1, 1]


@pytest.mark.parametrize('later_first', [False, True])
def test_track_of_steps_adds_them_up_and_breaks_where_one_is_missing(later_first):
    steps = np.array([(0, 1, 2.0), (1, 2, 3.0), (4, 5, 1.0), (4, 5, 9.0), (5, 6, 4.0)])
    given = steps[:, [1, 0, 2]] if later_first else steps.copy()
    track = Track.of_steps(given)
    assert track.at(0.5) == pytest.approx(1)
    assert track.at(2.0) == pytest.approx(5)
    assert track.at(3.0) is None
    # The doubled step counts once.
    assert track.at(6.0) - track.at(4.0) == pytest.approx(5)
    assert [track.breaks(t) for t in (1, 2, 3, 4, 6)] == [0, 0, 1, 1, 1]
