"""Stages: in order, beside each other, bounded, and errors where they belong."""

import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsn_ros.stages import Stages

_PATIENCE = 20.0  # seconds: only a deadlock takes so long


def _put_all(stages: Stages, count: int, then: Callable[[], None] = lambda: None) -> None:
    with stages:
        for thing in range(count):
            stages.put(thing)
        then()
        stages.drain()


@given(things=st.lists(st.integers(), max_size=30), ahead=st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_all_go_through_all_functions_in_their_order(things: list[int], ahead: int) -> None:
    out: list[str] = []
    with Stages(lambda x: x + 1, str, out.append, ahead=ahead) as stages:
        for thing in things:
            stages.put(thing)
        stages.drain()
        assert out == [str(thing + 1) for thing in things]


def test_the_next_is_read_while_one_is_looked_at_and_another_is_written() -> None:
    # Three threads that wait for each other get on only if all three are at work.
    together = threading.Barrier(3, timeout=_PATIENCE)

    def wait_in(stage: int):  # type: ignore[no-untyped-def]
        def work(thing: int) -> int:
            if thing + stage == 2:
                together.wait()
            return thing

        return work

    with Stages(wait_in(0), wait_in(1), wait_in(2)) as stages:
        for thing in range(3):
            stages.put(thing)
        stages.drain()


def test_no_more_are_under_way_than_allowed() -> None:
    go_on = threading.Event()
    begun: list[int] = []

    def read(thing: int) -> int:
        begun.append(thing)
        return thing

    with Stages(read, lambda _: go_on.wait(_PATIENCE), ahead=2) as stages:
        stages.put(0)
        stages.put(1)
        third = threading.Thread(target=stages.put, args=(2,))
        third.start()
        third.join(0.2)
        assert third.is_alive()
        assert 2 not in begun
        go_on.set()
        third.join(_PATIENCE)
        stages.drain()
    assert begun == [0, 1, 2]


@pytest.mark.parametrize('stage', [0, 1, 2])
def test_an_error_comes_out_as_it_is_when_what_was_before_it_is_done(stage: int) -> None:
    out: list[int] = []

    def failing(here: int):  # type: ignore[no-untyped-def]
        def work(thing: int) -> int:
            if here == stage and thing == 3:
                raise OSError(28, 'No space left on device')
            if here == 2:
                out.append(thing)
            return thing

        return work

    stages = Stages(failing(0), failing(1), failing(2))
    with pytest.raises(OSError, match='No space left'):
        _put_all(stages, 4)
    assert out == [0, 1, 2]


def test_an_error_is_told_soon_and_not_only_at_the_end() -> None:
    def fail(thing: int) -> None:
        raise ValueError(f'no. {thing} is bad')

    with pytest.raises(ValueError, match=r'no\. 0 is bad'):
        _put_all(Stages(fail), 10**6)


def test_leaving_early_ends_all_threads_and_begins_nothing_more() -> None:
    before = threading.active_count()
    go_on = threading.Event()
    written: list[int] = []

    def read(thing: int) -> int:
        go_on.wait(_PATIENCE)
        return thing

    def interrupt() -> None:
        threading.Timer(0.1, go_on.set).start()
        raise KeyboardInterrupt

    stages = Stages(read, written.append, ahead=4)
    with pytest.raises(KeyboardInterrupt):
        _put_all(stages, 4, interrupt)
    assert written in ([], [0])  # the one that was begun may have gone through
    assert threading.active_count() <= before + 1  # but for the timer
    with pytest.raises(RuntimeError):
        stages.put(9)


def test_stages_need_functions_and_room() -> None:
    with pytest.raises(ValueError, match='need functions'):
        Stages()
    with pytest.raises(ValueError, match='room'):
        Stages(str, ahead=0)
