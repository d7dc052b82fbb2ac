"""The thread that sees: takes the newest image message, has it looked at and published.

Beside the executor's thread, so that services, parameters and transitions are answered while
the network computes. Knows ROS's messages by their fields only, and so runs without ROS.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dsn_ros.camera import Camera
from dsn_ros.diagnostics import NEWER, TOO_OLD, Statistics
from dsn_ros.errors import MessageError
from dsn_ros.latest import Latest
from dsn_ros.messages import stamp_ns
from dsn_ros.pipeline import Frame, Perception, Pipeline, PipelineOptions

__all__ = ['Settings', 'Worker']

REPEAT_LOG = 10.0  # seconds between two lines on dropped frames

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What may change from one frame to the next. ``max_age`` in seconds, 0: any age."""

    options: PipelineOptions
    max_age: float
    camera: Camera | None


class Sink(Protocol):
    """Where outputs go."""

    def any_wanted(self) -> bool:
        """Whether anybody listens."""

    def publish(self, seen: Perception) -> None:
        """Publish what was seen in one frame."""


class _Arrival(NamedTuple):
    message: Any
    came: float  # seconds of time.perf_counter


class Worker:
    """Runs ``pipeline`` on the newest message and publishes to ``sink``.

    ``decode`` turns a message into (H, W, 3) uint8 RGB and may raise MessageError; ``settings``
    and ``now_ns`` (the clock that stamps are of) are asked for every frame; ``published`` is told
    of every frame that is out, with its latencies (ms) and its age (s).
    """

    def __init__(
        self,
        pipeline: Pipeline,
        sink: Sink,
        decode: Callable[[Any], NDArray[np.uint8]],
        settings: Callable[[], Settings],
        now_ns: Callable[[], int],
        statistics: Statistics,
        published: Callable[[Perception, dict[str, float], float], None],
    ) -> None:
        self._pipeline = pipeline
        self._sink = sink
        self._decode = decode
        self._settings = settings
        self._now_ns = now_ns
        self._statistics = statistics
        self._published = published
        self._slot: Latest[_Arrival] = Latest()
        self._logged = -REPEAT_LOG
        self._thread = threading.Thread(target=self._run, name='perception', daemon=True)
        self.image_size: tuple[int, int] | None = None  # (height, width) of the last frame
        self._thread.start()

    def put(self, message: Any) -> None:
        """Hand over a message, in place of one that was not begun."""
        self._statistics.received()
        if self._slot.put(_Arrival(message, time.perf_counter())):
            self._statistics.dropped(NEWER)

    def forget(self) -> None:
        """Drop the message that waits: time has jumped, it belongs to another run."""
        self._slot.clear()

    def stop(self) -> None:
        """Finish the frame that is being worked on, and end."""
        self._slot.close()
        self._thread.join()

    def _run(self) -> None:
        while (arrival := self._slot.take()) is not None:
            try:
                self._process(arrival)
            except MessageError as error:
                message = arrival.message
                form = str(getattr(message, 'encoding', None) or getattr(message, 'format', ''))
                self._drop(f'unreadable {form[:30]}'.strip(), str(error))
            except Exception as error:  # whatever it is, the next frame may do better
                self._drop('failed', f'{type(error).__name__}: {error}', error)

    def _process(self, arrival: _Arrival) -> None:
        if not self._sink.any_wanted():
            self._statistics.unwatched()
            return
        header = arrival.message.header
        stamp = stamp_ns(header)
        settings = self._settings()
        if settings.max_age > 0 and self._age(stamp) > settings.max_age:
            self._statistics.dropped(TOO_OLD)
            return
        start = time.perf_counter()
        image = self._decode(arrival.message)
        decoded = time.perf_counter()
        self.image_size = (image.shape[0], image.shape[1])
        self._pipeline.options = settings.options
        seen = self._pipeline.process(Frame(image, stamp, header.frame_id, settings.camera))
        before = time.perf_counter()
        self._sink.publish(seen)
        end = time.perf_counter()
        latency_ms = {
            'wait': (start - arrival.came) * 1e3,
            'decode': (decoded - start) * 1e3,
            **seen.latency_ms,
            'publish': (end - before) * 1e3,
            'total': (end - arrival.came) * 1e3,
        }
        age = self._age(stamp)
        self._statistics.published(latency_ms, age, seen)
        self._published(seen, latency_ms, age)

    def _age(self, stamp: int) -> float:
        """Seconds since ``stamp`` (ns); negative for a stamp of the future."""
        return (self._now_ns() - stamp) * 1e-9

    def _drop(self, reason: str, text: str, fault: Exception | None = None) -> None:
        self._statistics.dropped(reason, text)
        if time.monotonic() - self._logged >= REPEAT_LOG:
            self._logged = time.monotonic()
            _logger.warning('frame dropped: %s', text, exc_info=fault)
