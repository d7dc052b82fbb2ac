"""A bag through the pipeline, without ROS: an mcap, figures and a page come out."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dsn_ros.bag_camera import BagCamera
from dsn_ros.bags import Bag, BagMessage, open_bag
from dsn_ros.engines import Engine, Prediction
from dsn_ros.errors import BagError, MessageError
from dsn_ros.ground_truth import GroundTruth, TruthOptions
from dsn_ros.messages import stamp_ns
from dsn_ros.metrics import FaultStatistics, Latencies, ScaleStatistics, run_metrics
from dsn_ros.pipeline import Perception, Pipeline, PipelineOptions, Shown
from dsn_ros.recorder import Recorder
from dsn_ros.report import ReportBuilder
from dsn_ros.results_folder import staged, write_json
from dsn_ros.stages import Stages
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


@dataclass(frozen=True)
class _Frame:
    """A picture on its way; from the second stage on with what the engine answered."""

    shown: Shown
    condition: str
    decode_ms: float
    prediction: Prediction | None = None
    infer_ms: float = 0.0


@dataclass(frozen=True)
class _Other:
    """A message that is no picture; ``content`` None where all of it is known already."""

    topic: str
    content: Any
    receive_ns: int


@dataclass(frozen=True)
class _Left:
    """A message that could not be used; ``reason``: why a picture was dropped."""

    problem: str
    reason: str | None = None


_Item = _Frame | _Other | _Left


class _Replay:
    """One run over one bag: reading, the engine and writing go on beside each other."""

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
        self.total = min(self.topic.count, options.limit or self.topic.count)
        self.report = ReportBuilder(bag.path.name, names, expected=self.total)
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
        started = time.perf_counter()
        with self.recorder, Stages(self._read, self._look, self._keep) as stages:
            for message in self.bag.messages(self.topics()):
                if message.topic == self.topic.name:
                    if self.frames_in >= self.total:
                        # Ground truth of the last frame may come after it.
                        stages.drain()
                        if self.truth and self.truth.waiting:
                            continue
                        break
                    self.frames_in += 1
                    if progress is not None:
                        progress(self.frames_in, self.total)
                stages.put(message)
            stages.drain()
        return time.perf_counter() - started

    def _read(self, message: BagMessage) -> _Item:
        """First stage: what a message says, and a picture as the engine takes it."""
        if message.topic != self.topic.name:
            return self._read_other(message)
        start = time.perf_counter()
        reason = 'damaged message'  # if the next step fails
        try:
            image = self.bag.deserialize(message)
            reason = 'undecodable image'
            picture = self.camera.picture(image)
            decoded = time.perf_counter()
            reason = 'impossible stamp'
            stamp = stamp_ns(image.header)
            reason = 'impossible transform'
            frame = self.camera.frame(picture, stamp, image.header.frame_id)
            reason = 'impossible calibration'
            shown = self.pipeline.show(frame)
        except MessageError as error:
            return _Left(str(error), reason)
        return _Frame(shown, self.camera.condition, 1e3 * (decoded - start))

    def _read_other(self, message: BagMessage) -> _Other | _Left:
        try:
            content = self.bag.deserialize(message)
            heard = self.camera.hear(message.topic, content)
        except MessageError as error:
            return _Left(str(error))
        return _Other(message.topic, None if heard else content, message.receive_ns)

    def _look(self, item: _Item) -> _Item:
        """Second stage: the engine's answer, and nothing else, as it is what takes longest."""
        if not isinstance(item, _Frame):
            return item
        prediction, infer_ms = self.pipeline.look(item.shown)
        return replace(item, prediction=prediction, infer_ms=infer_ms)

    def _keep(self, item: _Item) -> None:
        """Third stage: everything that is written or counted."""
        if isinstance(item, _Frame):
            self._keep_frame(item)
        elif isinstance(item, _Other):
            self._keep_other(item)
        else:
            self._tell(item.problem)
            if item.reason is not None:
                self.dropped[item.reason] += 1

    def _keep_frame(self, item: _Frame) -> None:
        assert item.prediction is not None
        perception = self.pipeline.finish(item.shown, item.prediction, 0, item.infer_ms)
        start = time.perf_counter()
        self.recorder.write(perception)
        written = 1e3 * (time.perf_counter() - start)
        latency = {'decode': item.decode_ms, **perception.latency_ms, 'write': written}
        latency['total'] = sum(latency.values())  # what the frame took, not what it waited
        self.latencies.add(latency)
        self.scales.add(perception.scale)
        self.faults.add(perception)
        self.lights[perception.lighting.condition] += 1
        self.report.add(perception, item.condition or None, latency)
        if self.truth:
            self.truth.add(perception, item.condition)
        self.last = perception

    def _keep_other(self, item: _Other) -> None:
        if item.content is None:
            return
        try:
            if self.truth and item.topic in self.truth.topics:
                self.truth.take(item.topic, item.content)
            else:
                self.recorder.write_transforms(item.topic, item.content, item.receive_ns)
        except MessageError as error:
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
