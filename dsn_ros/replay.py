"""A bag through the pipeline, without ROS: an mcap, figures and a page come out."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dsn_ros.bag_camera import BagCamera
from dsn_ros.bags import Bag, BagMessage, open_bag
from dsn_ros.engines import Engine
from dsn_ros.errors import BagError, MessageError
from dsn_ros.ground_truth import GroundTruth, TruthOptions
from dsn_ros.messages import stamp_ns
from dsn_ros.metrics import FaultStatistics, Latencies, ScaleStatistics, run_metrics
from dsn_ros.pipeline import Perception, Pipeline, PipelineOptions
from dsn_ros.recorder import Recorder
from dsn_ros.report import ReportBuilder
from dsn_ros.results_folder import staged, write_json
from dsn_ros.thresholds import Limit, judge

__all__ = ['ReplayOptions', 'replay']

_TRANSFORMS = ('/tf', '/tf_static')

Progress = Callable[[int, int], None]
"""Called with (frames done, frames in all)."""


@dataclass(frozen=True)
class ReplayOptions:
    """What to replay and what to write.

    ``topic``: the camera's; None: the only one. ``camera_info``: its calibration's topic; None:
    the one beside it. ``limit``: at most so many frames. ``points``: write the cloud as well.
    ``compare``: score against the bag's ground truth: image topics, found by name
    (``ground_truth``) or given, or a LiDAR: ``lidar`` is its PointCloud2 topic or 'auto' (the
    only one that tf connects with the camera), and is found where there is no true depth image.
    """

    topic: str | None = None
    camera_info: str | None = None
    limit: int | None = None
    points: bool = False
    compare: bool = False
    depth_truth: str | None = None
    labels_truth: str | None = None
    lidar: str | None = None


class _Replay:
    """One run over one bag."""

    def __init__(
        self,
        bag: Bag,
        folder: Path,
        engine: Engine,
        options: ReplayOptions,
        pipeline: PipelineOptions,
    ) -> None:
        self.bag = bag
        self.options = options
        self.camera = BagCamera(bag, options.topic, options.camera_info, pipeline.scale)
        self.topic = self.camera.topic
        names = engine.metadata.class_names
        self.truth: GroundTruth | None = None
        if options.compare or options.lidar:
            calibrated = self.camera.info_topic is not None or pipeline.fov_degrees > 0
            wanted = TruthOptions(options.depth_truth, options.labels_truth, options.lidar)
            self.truth = GroundTruth(bag, self.topic, names, wanted, calibrated)
            if {*self.truth.topics.values()} - {'lidar'}:
                # Truth that is a picture belongs to the camera's, with its lens.
                pipeline = replace(pipeline, rectify=False)
        self.pipeline = Pipeline(engine, pipeline)
        self.scales = ScaleStatistics()
        self.faults = FaultStatistics()
        self.lights: Counter[str] = Counter()
        self.recorder = Recorder(folder, names, options.points)
        self.report = ReportBuilder(bag.path.name, names)
        self.latencies = Latencies()
        self.dropped: Counter[str] = Counter()
        self.problems: list[str] = []
        self.frames_in = 0
        self.last: Perception | None = None

    def topics(self) -> list[str]:
        """All topics that are read."""
        truth = self.truth.topics if self.truth else ()
        names = (*self.camera.topics, *truth, *_TRANSFORMS)
        return [name for name in dict.fromkeys(names) if name in self.bag.topics]

    def run(self, progress: Progress | None) -> float:
        """Go through the bag; returns the seconds that it took."""
        total = min(self.topic.count, self.options.limit or self.topic.count)
        started = time.perf_counter()
        with self.recorder:
            for message in self.bag.messages(self.topics()):
                if message.topic != self.topic.name:
                    self._take_other(message)
                    continue
                if self.frames_in >= total:
                    # Ground truth of the last frame may come after it.
                    if self.truth and self.truth.waiting:
                        continue
                    break
                self.frames_in += 1
                self._take_frame(message)
                if progress is not None:
                    progress(self.frames_in, total)
        return time.perf_counter() - started

    def _take_frame(self, message: BagMessage) -> None:
        times = [time.perf_counter()]
        reason = 'damaged message'  # if the next step fails
        try:
            image = self.bag.deserialize(message)
            reason = 'undecodable image'
            picture = self.camera.picture(image)
            times.append(time.perf_counter())
            reason = 'impossible stamp'
            stamp = stamp_ns(image.header)
            reason = 'impossible transform'
            frame = self.camera.frame(picture, stamp, image.header.frame_id)
            reason = 'impossible calibration'
            perception = self.pipeline.process(frame)
        except MessageError as error:
            self._drop(reason, error)
            return
        times.append(time.perf_counter())
        self.recorder.write(perception)
        times.append(time.perf_counter())
        latency = {
            'decode': 1e3 * (times[1] - times[0]),
            **perception.latency_ms,
            'write': 1e3 * (times[3] - times[2]),
            'total': 1e3 * (times[3] - times[0]),
        }
        self.latencies.add(latency)
        self.scales.add(perception.scale)
        self.faults.add(perception)
        self.lights[perception.lighting.condition] += 1
        self.report.add(perception, self.camera.condition or None, latency)
        if self.truth:
            self.truth.add(perception, self.camera.condition)
        self.last = perception

    def _take_other(self, message: BagMessage) -> None:
        try:
            content = self.bag.deserialize(message)
            if self.camera.hear(message.topic, content):
                return
            if self.truth and message.topic in self.truth.topics:
                self.truth.take(message.topic, content)
            else:
                self.recorder.write_transforms(message.topic, content, message.receive_ns)
        except MessageError as error:
            self._tell(str(error))

    def _drop(self, reason: str, error: MessageError) -> None:
        self.dropped[reason] += 1
        self._tell(str(error))

    def _tell(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def metrics(self, seconds: float) -> dict[str, Any]:
        """The content of metrics.json."""
        compared = self.truth.finish() if self.truth else {}
        told = self.truth.problems if self.truth else []
        measured = self.pipeline.options.scale.measured
        if measured and (problem := self.scales.problem()):
            told = [problem, *told]
        metrics = run_metrics(
            self.bag.path.name,
            self.pipeline.engine,
            self.frames_in,
            self.dropped,
            seconds,
            self.latencies,
            [*told, *self.bag.problems, *self.problems],
            self.faults,
            self.last,
        )
        metrics['topic'] = self.topic.name
        metrics['lighting'] = dict(self.lights)
        if measured and 'scale' in metrics:
            metrics['scale'] |= self.scales.summary()
        return metrics | compared


def replay(
    path: Path,
    out: Path,
    engine: Engine,
    options: ReplayOptions | None = None,
    pipeline: PipelineOptions | None = None,
    progress: Progress | None = None,
    limits: Sequence[Limit] = (),
) -> dict[str, Any]:
    """Run the pipeline over the bag ``path`` and fill the folder ``out``.

    Writes ``perception.mcap``, ``metrics.json`` and ``report.html``, all three or none, and
    returns what metrics.json holds; with ``limits``, how each of them was kept as well
    (``thresholds``). Raises BagError for a bag that cannot be used and UserError where ``out``
    cannot be written.
    """
    with open_bag(path) as bag, staged(out) as folder:
        run = _Replay(
            bag, folder, engine, options or ReplayOptions(), pipeline or PipelineOptions()
        )
        seconds = run.run(progress)
        metrics = run.metrics(seconds)
        if not metrics['frames_out']:
            why = '; '.join(metrics['problems'][:3]) or 'it holds no frames'
            raise BagError(f'{path}: not one frame of {run.topic.name} could be used ({why})')
        if limits:
            metrics['thresholds'] = judge(metrics, limits)
        write_json(folder / 'metrics.json', metrics)
        run.report.write(folder / 'report.html', metrics)
    return metrics
