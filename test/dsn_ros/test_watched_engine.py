"""An engine that raises, hangs or runs out of memory: given up, counted and replaced."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from support.stand_in_engine import HEIGHT, WIDTH, StandInEngine

from dsn_ros import watched_engine
from dsn_ros.watched_engine import (
    DOWN,
    FAILED,
    FAILURES,
    HUNG,
    MOST_STUCK,
    NO_MEMORY,
    NoAnswerError,
    WatchedEngine,
    left_behind,
)

TIMEOUT = 0.5
PATIENCE = 20.0


class Faulty(StandInEngine):
    """Does in each call what ``faults`` says, in order: an exception to raise, or 'hang'."""

    def __init__(self, faults=(), memory=10, **changes):
        super().__init__(**changes)
        self.faults, self.memory = list(faults), memory
        self.go, self.closed = threading.Event(), threading.Event()

    def infer(self, images):
        fault = self.faults.pop(0) if self.faults else None
        if fault == 'hang':
            assert self.go.wait(PATIENCE)
        elif fault is not None:
            raise fault
        if len(images) > self.memory:
            raise RuntimeError('CUDA_ERROR_OUT_OF_MEMORY while executing')
        return super().infer(images)

    def close(self):
        self.closed.set()


class Garage:
    """Loads the engines that it is given, in order; the last one again and again."""

    def __init__(self, *engines):
        self.engines, self.loaded = list(engines), []

    def load(self):
        engine = self.engines.pop(0) if len(self.engines) > 1 else self.engines[0]
        self.loaded.append(engine)
        if isinstance(engine, Exception):
            raise engine
        return engine


@pytest.fixture
def watch():
    """Makes watched engines, whose engines are let go and closed in the end."""
    made = []

    def start(*engines, timeout=TIMEOUT):
        garage = Garage(*engines)
        seconds = timeout if callable(timeout) else lambda: timeout
        made.append((watched := WatchedEngine(garage.load, seconds), garage))
        return watched, garage

    yield start
    for watched, garage in made:
        for engine in garage.loaded:
            if isinstance(engine, Faulty):
                engine.go.set()
        watched.close()
    wait_for(lambda: not left_behind())


def pictures(number=1):
    return np.full((number, HEIGHT, WIDTH, 3), 90, np.uint8)


def wait_for(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, 'waited in vain'
        time.sleep(0.01)


def reason_of(watched, number=1):
    with pytest.raises(NoAnswerError) as caught:
        watched.infer(pictures(number))
    return caught.value.reason


def answered(watched):
    """Ask until there is an answer; the reasons why there was none before."""
    reasons = []
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            watched.infer(pictures())
        except NoAnswerError as error:
            reasons.append(error.reason)
            time.sleep(0.01)
        else:
            return reasons
    raise AssertionError(watched.trouble)


def test_a_sound_engine_answers_as_it_does_alone(watch):
    watched, garage = watch(Faulty())
    alone = StandInEngine().infer(pictures(2))
    for mine, its in zip(watched.infer(pictures(2)), alone, strict=True):
        np.testing.assert_array_equal(mine, its)
    engine = garage.loaded[0]
    for name in ('name', 'device', 'precision', 'metadata'):
        assert getattr(watched, name) == getattr(engine, name)
    assert (watched.restarts, watched.trouble, watched.stuck) == (0, '', 0)
    watched.close()
    assert engine.closed.is_set()


def test_the_first_answer_at_another_size_may_take_as_long_as_loading(watch):
    class Slow(Faulty):
        def size_for(self, height, width):
            return WIDTH, HEIGHT

        def infer(self, images):
            if images.shape[1:3] == (WIDTH, HEIGHT):
                time.sleep(slow)
                images = pictures(len(images))
            return super().infer(images)

    slow = 4 * TIMEOUT
    watched, _ = watch(Slow())
    assert watched.size_for(4, 3) == (WIDTH, HEIGHT)
    upright = np.ascontiguousarray(pictures().swapaxes(1, 2))
    watched.infer(upright)
    with pytest.raises(NoAnswerError):  # from then on it is there, and as fast as any
        watched.infer(upright)
    assert watched.restarts == 1


def test_what_loading_raises_is_raised(watch):
    with pytest.raises(ValueError, match='no such model'):
        watch(ValueError('no such model'))


def test_who_is_not_wanted_while_loading_waits_no_longer():
    go = threading.Event()
    before = time.monotonic()
    with pytest.raises(RuntimeError, match='stopped while'):
        WatchedEngine(lambda: go.wait(PATIENCE) and StandInEngine(), wanted=lambda: False)
    assert time.monotonic() - before < 5
    assert left_behind()
    go.set()
    wait_for(lambda: not left_behind())


def test_after_a_failure_the_next_picture_is_tried_with_the_same_engine(watch):
    watched, garage = watch(Faulty([RuntimeError('once')]))
    assert reason_of(watched) == FAILED
    watched.infer(pictures())
    assert len(garage.loaded) == 1
    assert watched.trouble == ''


def test_repeated_failure_makes_a_fresh_engine(watch):
    broken = Faulty([RuntimeError('the device is gone')] * FAILURES)
    watched, garage = watch(broken, Faulty())
    assert [reason_of(watched) for _ in range(FAILURES)] == [FAILED] * FAILURES
    assert f'{FAILURES} times in a row' in watched.trouble
    assert 'the device is gone' in watched.trouble
    assert set(answered(watched)) <= {DOWN}
    assert (len(garage.loaded), watched.restarts, watched.trouble) == (2, 1, '')
    assert broken.closed.wait(PATIENCE)


def test_an_engine_that_hangs_is_left_behind_and_replaced(watch):
    stuck = Faulty(['hang'])
    watched, garage = watch(stuck, Faulty())
    before = time.monotonic()
    assert reason_of(watched) == HUNG
    assert TIMEOUT <= time.monotonic() - before < 5
    assert f'no answer in {TIMEOUT:g} s' in watched.trouble
    assert set(answered(watched)) <= {DOWN}
    assert (watched.stuck, watched.restarts, watched.trouble) == (1, 1, '')
    # It comes round after all, closes what it held, and its answer is nobody's.
    stuck.go.set()
    assert stuck.closed.wait(PATIENCE)
    wait_for(lambda: watched.stuck == 0)
    assert len(garage.loaded) == 2


@pytest.mark.slow
def test_engines_that_hang_for_ever_are_replaced_so_many_times_and_no_more(watch):
    hanging = [Faulty(['hang']) for _ in range(MOST_STUCK + 2)]
    timeout = [0.02]
    watched, garage = watch(*hanging, timeout=lambda: timeout[0])
    end = time.monotonic() + PATIENCE
    while watched.stuck < MOST_STUCK:
        assert reason_of(watched) in (HUNG, DOWN)
        assert time.monotonic() < end
        time.sleep(0.01)
    for _ in range(5):
        assert reason_of(watched) == DOWN
    assert len(garage.loaded) == MOST_STUCK
    assert 'restart the node' in watched.trouble
    # One that comes round makes room for another try.
    timeout[0] = PATIENCE
    hanging[0].go.set()
    hanging[MOST_STUCK].faults.clear()
    wait_for(lambda: watched.stuck < MOST_STUCK)
    answered(watched)
    assert watched.trouble == ''


def test_what_does_not_help_is_tried_less_and_less_often(watch, monkeypatch):
    clock = type('Clock', (), {'now': 0.0})
    monkeypatch.setattr(watched_engine.time, 'monotonic', lambda: clock.now)
    watched, garage = watch(Faulty([RuntimeError('gone')] * FAILURES), RuntimeError('still gone'))
    for _ in range(FAILURES):
        reason_of(watched)
    tries = []
    for second in range(0, 200):
        clock.now = float(second)
        for _ in range(3):
            assert reason_of(watched) == DOWN
            runner = watched._runner
            if runner is not None:
                runner.loaded.wait(PATIENCE)
        tries.append(len(garage.loaded))
    assert 'still gone' in watched.trouble
    # After 1, 3, 7, ... seconds, and every minute in the end.
    assert 6 <= tries[-1] <= 10
    assert tries[199] - tries[130] <= 2


def test_where_memory_holds_no_two_pictures_they_go_one_by_one(watch):
    watched, garage = watch(Faulty(memory=1))
    images = pictures(3)
    images[1, :, :, 0] = 255
    seen = watched.infer(images)
    for mine, its in zip(seen, StandInEngine().infer(images), strict=True):
        np.testing.assert_array_equal(mine, its)
    assert watched.one_by_one
    calls = garage.loaded[0].calls
    watched.infer(images)
    assert garage.loaded[0].calls == calls + 3  # the three are not even tried together
    assert (watched.restarts, watched.trouble) == (0, '')


@pytest.mark.parametrize(
    'error',
    [
        MemoryError(),
        RuntimeError('CUDA out of memory. Tried to allocate 20.00 MiB'),
        RuntimeError('cuMemAlloc_v2 returned CUDA_ERROR_OUT_OF_MEMORY'),
        RuntimeError('[ONNXRuntimeError] : 6 : Failed to allocate memory for requested buffer'),
        RuntimeError('std::bad_alloc'),
    ],
)
def test_no_memory_for_one_picture_is_told_and_the_engine_made_anew(watch, error):
    watched, _ = watch(Faulty([error] * FAILURES), Faulty())
    assert [reason_of(watched) for _ in range(FAILURES)] == [NO_MEMORY] * FAILURES
    assert watched.trouble
    answered(watched)
    assert (watched.restarts, watched.trouble) == (1, '')


def test_another_model_in_the_file_is_not_taken_for_the_old_one(watch):
    broken = Faulty([RuntimeError('gone')] * FAILURES)
    watched, _ = watch(broken, Faulty(class_names=('road', 'sky')))
    for _ in range(FAILURES):
        reason_of(watched)
    wait_for(lambda: reason_of(watched) == DOWN and 'reload_model' in watched.trouble)
    assert watched.metadata is broken.metadata


def test_a_call_can_be_interrupted(watch):
    watched, _ = watch(Faulty(['hang']), Faulty(), timeout=0)
    timer = threading.Timer(0.2, watched.interrupt)
    timer.start()
    assert reason_of(watched) == HUNG
    answered(watched)
    watched.interrupt()  # nobody waits: nothing happens
    watched.infer(pictures())


def test_a_process_with_an_engine_that_hangs_in_native_code_can_end():
    """As ``run_node`` does; without ``os._exit`` a library is taken down under its own thread."""
    script = """
import os
from support.stand_in_engine import StandInEngine
from dsn_ros.watched_engine import NoAnswerError, WatchedEngine, left_behind
import numpy as np

class Native(StandInEngine):
    def infer(self, images):
        import ctypes
        ctypes.CDLL(None).sleep(60)

watched = WatchedEngine(Native, lambda: 0.1)
try:
    watched.infer(np.zeros((1, 64, 96, 3), np.uint8))
except NoAnswerError as error:
    print(error.reason, flush=True)
watched.close()
os._exit(0 if left_behind() else 1)
"""
    before = time.monotonic()
    done = subprocess.run(
        [sys.executable, '-c', script],
        capture_output=True,
        text=True,
        timeout=50,
        env={'PYTHONPATH': ':'.join(p for p in sys.path if p)},
    )
    assert (done.returncode, done.stdout.strip()) == (0, HUNG), done.stderr
    assert time.monotonic() - before < 50
