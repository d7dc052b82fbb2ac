"""The thread that sees: takes the newest image messages, has them looked at and published.

Beside the executor's thread, so that services, parameters and transitions are answered while
the network computes. Knows ROS's messages by their fields only, and so runs without ROS.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dsn_core.errors import printable
from dsn_ros.camera import Camera
from dsn_ros.diagnostics import NEWER, TOO_OLD, Statistics
from dsn_ros.engines import Prediction
from dsn_ros.errors import MessageError
from dsn_ros.latest import Latest
from dsn_ros.messages import stamp_ns
from dsn_ros.pipeline import Frame, Perception, Pipeline, PipelineOptions, Shown
from dsn_ros.watched_engine import FAILED, NoAnswerError, WatchedEngine

__all__ = ['Channel', 'Settings', 'Worker']

REPEAT_LOG = 10.0  # seconds between two lines on dropped frames
TOGETHER_NS = 10_000_000  # stamps of cameras that were triggered at once differ by less

_logger = logging.getLogger(__name__)

Transform = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """What may change from one frame to the next.

    ``max_age`` in seconds, 0: any age. ``to_ground`` and ``to_odom``: as ``Frame`` has them, of
    (frame_id, stamp in nanoseconds).
    """

    options: PipelineOptions
    max_age: float
    camera: Camera | None
    to_ground: Callable[[str, int], Transform | None] = lambda *_: None
    to_odom: Callable[[str, int], Transform | None] = lambda *_: None


class Sink(Protocol):
    """Where outputs go."""

    def any_wanted(self) -> bool:
        """Whether anybody listens."""

    def publish(self, seen: Perception) -> None:
        """Publish what was seen in one frame."""


@dataclass(frozen=True)
class Channel:
    """One camera of the robot.

    ``pipeline`` is its own, as what is known of the frames before is; the engine is that of all.
    ``decode`` turns a message into (H, W, 3) uint8 RGB and may raise MessageError; ``settings``
    is asked for every frame; ``published`` is told of every frame that is out, with the message
    that it came in, its latencies (ms) and its age (s).
    """

    pipeline: Pipeline
    sink: Sink
    decode: Callable[[Any], NDArray[np.uint8]]
    settings: Callable[[], Settings]
    statistics: Statistics
    published: Callable[[Any, Perception, dict[str, float], float], None]


class _Arrival(NamedTuple):
    message: Any
    came: float  # seconds of time.perf_counter


class _Ready(NamedTuple):
    """A frame that waits for the engine."""

    channel: Channel
    arrival: _Arrival
    shown: Shown
    begun: float
    decoded: float


class Worker:
    """Runs ``engine`` on the newest messages of all ``channels``, each of which gets its turn.

    In a turn each camera's newest message is seen; those whose stamps are the same but for 10 ms
    go through the engine together. ``now_ns``: the clock that stamps are of.
    """

    def __init__(
        self, engine: WatchedEngine, channels: Mapping[str, Channel], now_ns: Callable[[], int]
    ) -> None:
        self._engine = engine
        self._channels = channels
        self._now_ns = now_ns
        self._slots: Latest[_Arrival] = Latest()
        self._jumped = False
        self._logged = -REPEAT_LOG
        self._thread = threading.Thread(target=self._run, name='perception', daemon=True)
        self._thread.start()

    def put(self, camera: str, message: Any) -> None:
        """Hand over a message of ``camera``, in place of one that was not begun."""
        statistics = self._channels[camera].statistics
        statistics.received()
        if self._slots.put(camera, _Arrival(message, time.perf_counter())):
            statistics.dropped(NEWER)

    def forget(self) -> None:
        """Drop the messages that wait: time has jumped, they belong to another run."""
        self._slots.clear()
        self._jumped = True  # the pipelines are the thread's own

    def stop(self, patience: float) -> None:
        """Finish the frames that are being worked on, for ``patience`` seconds, and end."""
        self._slots.close()
        self._thread.join(patience)
        if self._thread.is_alive():
            self._engine.interrupt()
            self._thread.join(patience)

    def _run(self) -> None:
        while (arrivals := self._slots.take()) is not None:
            if self._jumped:
                self._jumped = False
                for channel in self._channels.values():
                    channel.pipeline.forget()
            ready = [r for r in (self._ready(*each) for each in arrivals.items()) if r]
            for group in _together(ready):
                self._see(group)

    def _ready(self, name: str, arrival: _Arrival) -> _Ready | None:
        """Decode and prepare a message; None where it is dropped, or nobody listens."""
        channel = self._channels[name]
        if not channel.sink.any_wanted():
            channel.statistics.unwatched()
            return None
        try:
            return self._prepared(channel, arrival)
        except MessageError as error:
            message = arrival.message
            form = str(getattr(message, 'encoding', None) or getattr(message, 'format', ''))
            self._drop(channel, f'unreadable {printable(form)[:30]}'.strip(), str(error))
        except Exception as error:  # whatever it is, the next frame may do better
            self._drop(channel, 'failed', f'{type(error).__name__}: {error}', error)
        return None

    def _prepared(self, channel: Channel, arrival: _Arrival) -> _Ready | None:
        header = arrival.message.header
        stamp = stamp_ns(header)
        settings = channel.settings()
        if settings.max_age > 0 and self._age(stamp) > settings.max_age:
            channel.statistics.dropped(TOO_OLD)
            return None
        begun = time.perf_counter()
        image = channel.decode(arrival.message)
        decoded = time.perf_counter()
        channel.pipeline.options = settings.options
        where = (
            settings.to_ground(header.frame_id, stamp),
            settings.to_odom(header.frame_id, stamp),
        )
        shown = channel.pipeline.show(
            Frame(image, stamp, header.frame_id, settings.camera, *where)
        )
        return _Ready(channel, arrival, shown, begun, decoded)

    def _see(self, group: Sequence[_Ready]) -> None:
        start = time.perf_counter()
        try:
            prediction = self._answer([each.shown.image for each in group])
        except NoAnswerError as error:
            if error.reason == FAILED and len(group) > 1:  # one frame may have done it
                for each in group:
                    self._see([each])
                return
            for each in group:
                self._drop(each.channel, error.reason, str(error), error.__cause__)
            return
        infer_ms = (time.perf_counter() - start) * 1e3
        for index, each in enumerate(group):
            try:
                seen = each.channel.pipeline.finish(each.shown, prediction, index, infer_ms)
                self._publish(each, seen)
            except Exception as error:
                self._drop(each.channel, 'failed', f'{type(error).__name__}: {error}', error)

    def _answer(self, images: Sequence[NDArray[np.uint8]]) -> Prediction:
        try:
            return self._engine.infer(images[0][None] if len(images) == 1 else np.stack(images))
        except NoAnswerError:
            raise
        except Exception as error:  # this thread must live
            raise NoAnswerError(FAILED, f'{type(error).__name__}: {error}') from error

    def _publish(self, ready: _Ready, seen: Perception) -> None:
        channel, arrival = ready.channel, ready.arrival
        before = time.perf_counter()
        channel.sink.publish(seen)
        end = time.perf_counter()
        latency_ms = {
            'wait': (ready.begun - arrival.came) * 1e3,
            'decode': (ready.decoded - ready.begun) * 1e3,
            **seen.latency_ms,
            'publish': (end - before) * 1e3,
            'total': (end - arrival.came) * 1e3,
        }
        age = self._age(seen.stamp_ns)
        channel.statistics.published(latency_ms, age, seen)
        channel.published(arrival.message, seen, latency_ms, age)

    def _age(self, stamp: int) -> float:
        """Seconds since ``stamp`` (ns); negative for a stamp of the future."""
        return (self._now_ns() - stamp) * 1e-9

    def _drop(
        self, channel: Channel, reason: str, text: str, fault: BaseException | None = None
    ) -> None:
        channel.statistics.dropped(reason, text)
        if time.monotonic() - self._logged >= REPEAT_LOG:
            self._logged = time.monotonic()
            _logger.warning('frame dropped: %s', text, exc_info=fault)


def _together(ready: Sequence[_Ready]) -> Iterator[list[_Ready]]:
    """Groups of frames taken at one time and shown at one size, in the order of their first."""
    left = list(ready)
    while left:
        first = left[0].shown
        near = [
            abs(r.shown.frame.stamp_ns - first.frame.stamp_ns) <= TOGETHER_NS
            and r.shown.image.shape == first.image.shape
            for r in left
        ]
        yield [r for r, is_near in zip(left, near, strict=True) if is_near]
        left = [r for r, is_near in zip(left, near, strict=True) if not is_near]
