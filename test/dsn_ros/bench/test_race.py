"""Races: everybody has a turn in each round, and figures are those that one works out by hand."""

import itertools

import pytest

from dsn_ros.bench import race as race_module
from dsn_ros.bench.part import as_json, figure, with_spread
from dsn_ros.bench.race import Contender, Lap, Race, order, paired_ratios, spread


class Clock:
    """Time that passes only where a contender says so."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(race_module.time, 'perf_counter', lambda: self.now)
        monkeypatch.setattr(race_module.time, 'process_time', lambda: 2 * self.now)
        monkeypatch.setattr(race_module.time, 'sleep', lambda _: None)

    def taking(self, name, *seconds):
        """A contender whose runs take ``seconds``, one after the other and over again."""
        each = itertools.cycle(seconds)

        def run():
            self.now += next(each)

        return Contender(name, run)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_ratios_are_taken_within_a_round():
    # Each alone: medians 3 and 4, whose ratio 0.75 no round ever had.
    ours, theirs = [1.0, 3.0, 8.0], [2.0, 4.0, 4.0]
    assert paired_ratios(ours, theirs) == [0.5, 0.75, 2.0]
    assert spread(paired_ratios([2.0, 9.0, 3.0], [4.0, 3.0, 3.0])).median == 1.0


def test_rounds_that_are_missing_are_no_pairs():
    with pytest.raises(ValueError, match='zip'):
        paired_ratios([1.0, 2.0], [1.0])


def test_quartiles_by_hand():
    # 1, 2, 3, 4, 10: the quartiles lie on the second and the fourth value.
    assert spread([10.0, 2.0, 3.0, 1.0, 4.0]) == (3.0, 2.0, 4.0)
    # 1, 2, 3, 4: between the first two, and so on.
    assert spread([4.0, 1.0, 3.0, 2.0]) == (2.5, 1.75, 3.25)
    assert spread([7.0]) == (7.0, 7.0, 7.0)
    with pytest.raises(ValueError, match='at least one'):
        spread([])


def test_a_lap_is_the_mean_of_the_runs_of_a_turn(clock):
    race = Race([clock.taking('fast', 0.03), clock.taking('slow', 0.5)], turn=0.1)
    race.run(2)
    # Four runs of 30 ms fill 100 ms; one of 500 ms does by itself. CPU: two threads.
    assert race.walls('fast') == pytest.approx([0.03, 0.03])
    assert race.laps('slow') == [pytest.approx(Lap(0.5, 1.0))] * 2


def test_the_warm_up_is_not_counted(clock):
    race = Race([clock.taking('cold', 9.0, 1.0, 1.0)], turn=0.0)
    race.run(2)
    assert race.walls('cold') == pytest.approx([1.0, 1.0])


def test_everybody_begins_and_nobody_follows_the_same_one_always():
    names = ['a', 'b', 'c', 'd']
    contenders = [Contender(name, lambda: None) for name in names]
    rounds = [[c.name for c in order(contenders, number)] for number in range(8)]
    assert all(sorted(each) == names for each in rounds)
    assert {each[0] for each in rounds} == set(names)
    before_b = {each[each.index('b') - 1] for each in rounds if each[0] != 'b'}
    assert before_b == {'a', 'c'}
    assert order([], 3) == []


def test_who_fails_is_out_and_the_others_go_on(clock):
    calls = itertools.count()

    def fails():
        if next(calls) == 2:  # in the second round
            raise RuntimeError('out of\nmemory')

    race = Race([Contender('frail', fails), clock.taking('sturdy', 1.0)], turn=0.0)
    race.run(3)
    assert race.failed == {'frail': 'out of memory'}
    assert race.measured() == ['sturdy']
    assert race.laps('frail') == []
    assert race.walls('sturdy') == pytest.approx([1.0, 1.0, 1.0])


def test_who_fails_in_the_warm_up_has_no_laps(clock):
    def fails():
        raise MemoryError

    race = Race([Contender('frail', fails), clock.taking('sturdy', 1.0)], turn=0.0)
    race.run(1)
    assert race.failed == {'frail': 'MemoryError'}


def test_stopped_in_a_round_only_whole_rounds_are_kept(clock):
    calls = itertools.count()

    def interrupted():
        if next(calls) == 3:  # the warm-up, two rounds, and then
            raise KeyboardInterrupt

    race = Race([clock.taking('first', 1.0), Contender('second', interrupted)], turn=0.0)
    with pytest.raises(KeyboardInterrupt):
        race.run(10)
    assert race.measured() == ['first', 'second']
    assert len(race.walls('first')) == len(race.walls('second')) == 2


def test_progress_is_told(clock):
    told = []
    Race([clock.taking('a', 1.0)], turn=0.0).run(2, lambda *at: told.append(at))
    assert told == [(0, 2), (1, 2), (2, 2)]


def test_two_of_one_name_are_refused():
    with pytest.raises(ValueError, match='names of their own'):
        Race([Contender('a', print), Contender('a', print)])


def test_figures_are_written_with_three_digits():
    assert [figure(x) for x in (1234.5, 99.94, 9.876, 0.1234, None)] == [
        '1234',
        '99.9',
        '9.88',
        '0.12',
        '\u2013',
    ]
    found = as_json([0.1, 0.2, 0.4], 1e3)
    assert found == {'median': 200, 'low': 150, 'high': 300, 'rounds': [100, 200, 400]}
    assert with_spread(found) == '200 (150 to 300)'
    assert 'rounds' not in as_json([1.0], keep=False)
