"""The worker and its slot, without ROS: the newest message first, and nothing ends it."""

import threading
import time
from types import SimpleNamespace

import numpy as np

from dsn_ros.diagnostics import NEWER, TOO_OLD, Statistics
from dsn_ros.errors import MessageError
from dsn_ros.latest import Latest
from dsn_ros.lighting import LightingState
from dsn_ros.pipeline import PipelineOptions
from dsn_ros.scale import Scale
from dsn_ros.watched_engine import FAILED, HUNG, NoAnswerError
from dsn_ros.worker import Channel, Settings, Worker

SECOND = 10**9


def message(seconds, encoding='rgb8', nanoseconds=0):
    stamp = SimpleNamespace(sec=seconds, nanosec=nanoseconds)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=stamp, frame_id='camera'), encoding=encoding
    )


class Bench:
    """A worker between stand-ins: an engine that waits to be let go, and a list for a sink.

    Pictures are 4 x 6, at odd nanoseconds upright, and hold the seconds of their stamp, by which
    the engine knows them.
    """

    def __init__(self, max_age=0.0, wanted=True, cameras=('',)):
        self.wanted, self.max_age = wanted, max_age
        self.go = threading.Event()
        self.begun = threading.Event()
        self.out, self.batches, self.forgotten = [], [], 0
        self.trouble, self.interrupted = {}, False
        self.statistics = {name: Statistics() for name in cameras}
        self.worker = Worker(
            self,
            {name: self.channel(name) for name in cameras},
            lambda: 100 * SECOND,
        )

    def channel(self, name):
        return Channel(
            self,
            self,
            self.decode,
            lambda: Settings(PipelineOptions(), self.max_age, None),
            self.statistics[name],
            lambda *_: None,
        )

    def decode(self, message):
        if message.encoding != 'rgb8':
            raise MessageError(f'no {message.encoding}')
        size = (6, 4) if message.header.stamp.nanosec % 2 else (4, 6)
        return np.full((*size, 3), message.header.stamp.sec, np.uint8)

    def show(self, frame):
        return SimpleNamespace(frame=frame, image=frame.image)

    def infer(self, images):
        self.begun.set()
        assert self.go.wait(10)
        if self.interrupted:
            raise NoAnswerError(HUNG, 'interrupted')
        seconds = [int(image[0, 0, 0]) for image in images]
        for each in seconds:
            if each in self.trouble:
                raise self.trouble[each]
        if 66 in seconds:
            raise NoAnswerError(FAILED, 'the engine broke')
        self.batches.append(seconds)
        return seconds

    def interrupt(self):
        self.interrupted = True
        self.go.set()

    def finish(self, shown, prediction, index, infer_ms):
        assert prediction[index] == shown.frame.stamp_ns // SECOND
        return SimpleNamespace(
            stamp_ns=shown.frame.stamp_ns,
            faults=(),
            scale=Scale(1.0, True, ''),
            camera=None,
            lighting=LightingState('day', 0.0, 'day'),
            latency_ms={'infer': infer_ms},
        )

    def forget(self):
        self.forgotten += 1

    def any_wanted(self):
        return self.wanted

    def publish(self, seen):
        self.out.append(seen.stamp_ns // SECOND)

    def run(self, *messages):
        """Hand over messages while the worker is busy with the first; the report at the end."""
        return self.run_cameras(*(('', each) for each in messages))['']

    def run_cameras(self, *messages):
        """The same for (camera, message) pairs; the reports by camera."""
        for camera, each in messages:
            self.worker.put(camera, each)
            if self.wanted and each is messages[0][1]:
                self.begun.wait(1)
        self.go.set()
        for statistics in self.statistics.values():
            self.wait_for(statistics)
        self.worker.stop(10)
        return {name: each.report() for name, each in self.statistics.items()}

    def wait_for(self, statistics):
        for _ in range(1000):
            came, out, dropped = statistics.totals()
            if out + dropped + statistics.report().unwatched == came:
                break
            threading.Event().wait(0.005)


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
    report = Bench().run(message(1, 'rgb\n\x1b[2J99'))
    assert report.dropped == {r'unreadable rgb\n\x1b[2J99': 1}  # no text that commands a terminal
    bench = Bench()
    report = bench.run(message(66), message(67))
    assert bench.out == [67]
    assert report.dropped == {FAILED: 1}
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


def test_cameras_of_one_moment_go_through_the_engine_together():
    bench = Bench(cameras=('front', 'left', 'right'))
    bench.run_cameras(
        ('front', message(1)),
        ('front', message(2)),
        ('left', message(2, nanoseconds=9_000_000)),
        ('right', message(3)),
    )
    assert bench.batches == [[1], [2, 2], [3]]


def test_cameras_of_another_shape_go_through_it_by_themselves():
    bench = Bench(cameras=('front', 'left', 'right'))
    bench.run_cameras(
        ('front', message(1)),
        ('front', message(2)),
        ('left', message(2, nanoseconds=1)),
        ('right', message(2, nanoseconds=2)),
    )
    assert bench.batches == [[1], [2, 2], [2]]


def test_a_fast_camera_does_not_starve_a_slow_one():
    bench = Bench(cameras=('fast', 'slow'))
    reports = bench.run_cameras(
        ('fast', message(1)),
        ('slow', message(20)),
        *(('fast', message(i)) for i in range(2, 10)),
    )
    assert bench.out == [1, 20, 9]
    assert reports['slow'].frames_out == 1
    assert reports['fast'].dropped == {NEWER: 7}


def test_a_frame_that_breaks_the_engine_takes_no_other_camera_along():
    bench = Bench(cameras=('front', 'left'))
    reports = bench.run_cameras(
        ('front', message(1)), ('front', message(66)), ('left', message(67))
    )
    assert bench.out == [1, 67]
    assert reports['front'].dropped == {FAILED: 1}
    assert not reports['left'].dropped


def test_of_cameras_that_go_together_only_the_one_that_breaks_the_engine_is_dropped():
    bench = Bench(cameras=('front', 'left', 'right'))
    reports = bench.run_cameras(
        ('front', message(1)),
        ('front', message(66)),
        ('left', message(65, nanoseconds=999_000_000)),
        ('right', message(70)),
    )
    assert bench.batches == [[1], [65], [70]]
    assert reports['front'].dropped == {FAILED: 1}
    assert not reports['left'].dropped


def test_why_there_is_no_answer_is_what_frames_are_counted_by():
    bench = Bench()
    bench.trouble[5] = NoAnswerError(HUNG, 'no answer in 5 s')
    report = bench.run(message(5))
    assert report.dropped == {HUNG: 1}
    assert report.last_error == 'no answer in 5 s'
    bench = Bench()
    bench.trouble[6] = MemoryError('no room for a stack')
    report = bench.run(message(6), message(7))
    assert report.dropped == {FAILED: 1}
    assert bench.out == [7]


def test_a_worker_that_is_stopped_waits_for_no_engine_that_hangs():
    bench = Bench()
    bench.worker.put('', message(1))
    assert bench.begun.wait(5)
    before = time.monotonic()
    bench.worker.stop(0.2)
    assert time.monotonic() - before < 5
    assert bench.statistics[''].report().dropped == {HUNG: 1}


def test_when_time_jumps_what_was_known_of_the_frames_before_is_forgotten():
    bench = Bench()
    bench.worker.forget()
    bench.run(message(1))
    assert bench.forgotten == 1


def test_slots_that_are_closed_let_the_taker_go():
    slots = Latest()
    taken = []
    taker = threading.Thread(target=lambda: taken.append(slots.take()))
    taker.start()
    slots.close()
    taker.join(5)
    assert taken == [None]
    slots.put('front', 'late')
    assert slots.take() is None


def test_a_slot_forgets():
    slots = Latest()
    assert not slots.put('front', 1)
    slots.clear()
    assert not slots.put('front', 2)
    assert slots.put('front', 3)
    assert not slots.put('left', 4)
    assert slots.take() == {'front': 3, 'left': 4}


def test_who_began_to_wait_first_is_taken_first():
    slots = Latest()
    for source, item in (('slow', 1), ('fast', 2), ('fast', 3), ('slow', 4)):
        slots.put(source, item)
    assert list(slots.take().items()) == [('slow', 4), ('fast', 3)]
