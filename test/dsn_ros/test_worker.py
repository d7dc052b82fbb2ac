"""The worker and its slot, without ROS: the newest message first, and nothing ends it."""

import threading
from types import SimpleNamespace

import numpy as np

from dsn_ros.diagnostics import NEWER, TOO_OLD, Statistics
from dsn_ros.errors import MessageError
from dsn_ros.latest import Latest
from dsn_ros.pipeline import PipelineOptions
from dsn_ros.scale import Scale
from dsn_ros.worker import Settings, Worker

SECOND = 10**9


def message(seconds, encoding='rgb8'):
    stamp = SimpleNamespace(sec=seconds, nanosec=0)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=stamp, frame_id='camera'), encoding=encoding
    )


class Bench:
    """A worker between stand-ins: a pipeline that waits to be let go, and a list for a sink."""

    def __init__(self, max_age=0.0, wanted=True):
        self.wanted, self.max_age = wanted, max_age
        self.go = threading.Event()
        self.begun = threading.Event()
        self.out, self.options = [], None
        self.statistics = Statistics()
        self.worker = Worker(
            self,
            self,
            self.decode,
            lambda: Settings(PipelineOptions(), self.max_age, None),
            lambda: 100 * SECOND,
            self.statistics,
            lambda *_: None,
        )

    def decode(self, message):
        if message.encoding != 'rgb8':
            raise MessageError(f'no {message.encoding}')
        return np.zeros((4, 6, 3), np.uint8)

    def process(self, frame):
        self.begun.set()
        assert self.go.wait(10)
        if frame.stamp_ns == 66 * SECOND:
            raise RuntimeError('the engine broke')
        return SimpleNamespace(
            stamp_ns=frame.stamp_ns, scale=Scale(1.0, True, ''), camera=None, latency_ms={}
        )

    def any_wanted(self):
        return self.wanted

    def publish(self, seen):
        self.out.append(seen.stamp_ns // SECOND)

    def run(self, *messages):
        """Hand over messages while the worker is busy with the first; the report at the end."""
        for each in messages:
            self.worker.put(each)
            if self.wanted and each is messages[0]:
                self.begun.wait(1)
        self.go.set()
        self.finish()
        return self.statistics.report()

    def finish(self):
        for _ in range(1000):
            report = self.statistics.totals()
            done = report[1] + report[2] + self.statistics.report().unwatched
            if done == report[0]:
                break
            threading.Event().wait(0.005)
        self.worker.stop()


def test_while_it_is_busy_only_the_newest_message_is_kept():
    bench = Bench()
    report = bench.run(*(message(i) for i in range(1, 6)))
    assert bench.out == [1, 5]
    assert report.dropped == {NEWER: 3}


def test_what_can_not_be_decoded_is_counted_and_the_next_is_seen():
    bench = Bench()
    report = bench.run(message(1, 'rgb99'))
    assert report.dropped == {'unreadable rgb99': 1}
    assert report.last_error == 'no rgb99'
    bench = Bench()
    report = bench.run(message(66), message(67))
    assert bench.out == [67]
    assert report.dropped == {'failed': 1}
    assert 'the engine broke' in report.last_error


def test_old_frames_are_dropped_and_frames_of_the_future_are_not():
    bench = Bench(max_age=10.0)
    report = bench.run(message(50))
    assert report.dropped == {TOO_OLD: 1}
    bench = Bench(max_age=10.0)
    bench.run(message(200))
    assert bench.out == [200]


def test_nothing_is_seen_while_nobody_listens():
    bench = Bench(wanted=False)
    assert bench.run(message(1)).unwatched == 1
    assert not bench.out


def test_a_slot_that_is_closed_lets_the_taker_go():
    slot = Latest()
    taken = []
    taker = threading.Thread(target=lambda: taken.append(slot.take()))
    taker.start()
    slot.close()
    taker.join(5)
    assert taken == [None]
    slot.put('late')
    assert slot.take() is None


def test_a_slot_forgets():
    slot = Latest()
    assert not slot.put(1)
    slot.clear()
    assert not slot.put(2)
    assert slot.put(3)
    assert slot.take() == 3
