"""A camera's message from bytes to the bytes of all outputs, through the node's own parts."""

import itertools
import queue
import time
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.golden import golden_frame
from dsn_ros.bench.worlds import World
from dsn_ros.camera import Camera
from dsn_ros.diagnostics import Statistics
from dsn_ros.messages import compressed_to_rgb, image_to_rgb
from dsn_ros.obstacles import ObstacleOptions, obstacle_classes, obstacle_cloud
from dsn_ros.output_messages import output_messages
from dsn_ros.pipeline import Perception, Pipeline, PipelineOptions
from dsn_ros.scale import ScaleOptions
from dsn_ros.watched_engine import WatchedEngine
from dsn_ros.worker import Channel, Settings, Worker

__all__ = ['CASES', 'Case', 'Journey']

_PERIOD_NS = 100_000_000
_FOV = 70.0  # degrees
_LENS = (-0.28, 0.09, 0.001, -0.0015, -0.01)  # plumb_bob: a usual wide lens
_CLOSING = 5.0  # seconds that the last frame may take
_PATIENCE = 0.5  # seconds between looks at whether the frame was dropped
# Stages of the worker and the pipeline, and what is told of each topic that is made.
_WORKER = ('wait', 'decode', 'resize', 'infer', 'sanity', 'scale', 'light', 'finish')
_MAPS = ('depth/image', 'depth/camera_info', 'labels/image', 'labels/confidence')


@dataclass(frozen=True)
class Case:
    """What comes in and how it is treated; everything that can be published is published."""

    name: str
    jpeg: bool = False
    lens: bool = False
    options: PipelineOptions = field(default_factory=PipelineOptions)


CASES = (
    Case('bgr8'),
    Case('jpeg', jpeg=True),
    Case('with a lens', lens=True),
    Case(
        'scale by ground', options=PipelineOptions(scale=ScaleOptions('ground', camera_height=1.5))
    ),
    Case("out at camera's size", options=PipelineOptions('camera')),
)


class _Sink:
    """Makes and serializes every output, and keeps the milliseconds of each."""

    def __init__(self, world: World, class_names: tuple[str, ...]) -> None:
        self.latency_ms: dict[str, float] = {}
        self._world = world
        self._is_obstacle = obstacle_classes(class_names)

    def any_wanted(self) -> bool:
        return True

    def publish(self, seen: Perception) -> None:
        self.latency_ms = dict.fromkeys(
            ('maps', 'overlay', 'points', 'obstacles', 'serialize'), 0.0
        )
        messages = output_messages(seen, self._world.build, lambda _: True, self._obstacle_cloud)
        before = time.perf_counter()
        for topic, message in messages:
            made = time.perf_counter()
            self._world.serialize(message)
            end = time.perf_counter()
            stage = 'maps' if topic in _MAPS else topic.partition('/')[0]
            self.latency_ms[stage] += (made - before) * 1e3
            self.latency_ms['serialize'] += (end - made) * 1e3
            before = end

    def _obstacle_cloud(self, seen: Perception) -> NDArray[np.void]:
        return obstacle_cloud(seen, self._is_obstacle, ObstacleOptions())


class Journey:
    """One camera of one robot: a worker, a pipeline, and somebody who listens to everything.

    ``frames`` holds milliseconds by stage of every frame so far.
    """

    def __init__(
        self, engine: WatchedEngine, case: Case, size: tuple[int, int], world: World
    ) -> None:
        self.frames: list[dict[str, float]] = []
        self._world = world
        self._sink = _Sink(world, engine.metadata.class_names)
        self._camera = _camera(size, case.lens)
        self._options = case.options
        # Two pictures in turn: one that stays the same is a frozen one, and withheld.
        self._messages = itertools.cycle(_messages(world, size, case.jpeg))
        self._statistics = Statistics()
        self._done: queue.SimpleQueue[dict[str, float]] = queue.SimpleQueue()
        self._stamps = itertools.count(_PERIOD_NS, _PERIOD_NS)
        channel = Channel(
            Pipeline(engine),
            self._sink,
            compressed_to_rgb if case.jpeg else image_to_rgb,
            lambda: Settings(self._options, 0.0, self._camera),
            self._statistics,
            lambda message, seen, latency_ms, age: self._done.put(latency_ms),
        )
        self._worker = Worker(engine, {'': channel}, time.time_ns)

    def __call__(self) -> None:
        """Let one frame through; raises RuntimeError where it was dropped."""
        type_name, data = next(self._messages)
        start = time.perf_counter()
        message = self._world.deserialize(data, type_name)
        received = time.perf_counter()
        stamp = message.header.stamp
        stamp.sec, stamp.nanosec = divmod(next(self._stamps), 10**9)
        self._worker.put('', message)
        worker_ms = self._wait()
        total = (time.perf_counter() - start) * 1e3
        stages = {
            'receive': (received - start) * 1e3,
            **{stage: worker_ms[stage] for stage in _WORKER},
            **self._sink.latency_ms,
        }
        # What passes between the threads and the stages.
        stages['hand over'] = total - sum(stages.values()) + stages.pop('wait')
        self.frames.append({**stages, 'total': total})

    def close(self) -> None:
        """End the worker's thread."""
        self._worker.stop(_CLOSING)

    def _wait(self) -> dict[str, float]:
        while True:
            try:
                return self._done.get(timeout=_PATIENCE)
            except queue.Empty:
                if self._statistics.totals()[2]:
                    raise RuntimeError(self._statistics.report().last_error) from None


def _camera(size: tuple[int, int], lens: bool) -> Camera:
    height, width = size
    camera = Camera.of_view(width, height, _FOV)
    return replace(camera, d=_LENS, p=(0.0,) * 12) if lens else camera


def _messages(world: World, size: tuple[int, int], jpeg: bool) -> list[tuple[str, Any]]:
    """Types and bytes of two messages that a camera would send."""
    bgr = np.ascontiguousarray(golden_frame(*size)[..., ::-1])
    return [
        _message(world, picture, jpeg) for picture in (bgr, np.ascontiguousarray(bgr[:, ::-1]))
    ]


def _message(world: World, bgr: NDArray[np.uint8], jpeg: bool) -> tuple[str, Any]:
    header = world.build.header(0, 'camera')
    if jpeg:
        ok, data = cv2.imencode('.jpg', bgr)
        assert ok, 'an 8-bit picture can always be encoded'
        message = world.build.compressed_image(
            data.tobytes(), 'bgr8; jpeg compressed bgr8', header
        )
        return 'sensor_msgs/msg/CompressedImage', world.serialize(message)
    message = world.build.image(bgr, 'bgr8', header)
    return 'sensor_msgs/msg/Image', world.serialize(message)
