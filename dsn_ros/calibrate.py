"""One fixed scale for a camera and a model, from a bag: by LiDAR, odometry or the camera's height.

Every frame measures for itself; the median is the factor, and how far frames disagree tells
whether it is one at all.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dsn_core.files import replacing
from dsn_ros.bag_camera import BagCamera
from dsn_ros.bag_tf import ODOMETRY, read_tree
from dsn_ros.bags import Bag, BagMessage, open_bag
from dsn_ros.engines import Engine
from dsn_ros.errors import BagError, MessageError, UserError
from dsn_ros.lidar_truth import LidarTruth, choose_lidar
from dsn_ros.messages import stamp_ns
from dsn_ros.pipeline import Pipeline, PipelineOptions
from dsn_ros.point_clouds import POINT_CLOUD
from dsn_ros.scale import ScaleOptions
from dsn_ros.scale_estimate import Estimate
from dsn_ros.scale_filter import robust_spread

__all__ = ['METHODS', 'CalibrateOptions', 'Factor', 'FoundScale', 'calibrate', 'write_parameters']

METHODS = ('lidar', 'odometry', 'height')

_MIN_POINTS = 50  # of a LiDAR in the picture
_INDEPENDENT = 25  # points worth of a smooth map at most, as in scale_ground
_CAP = 80.0  # metres: what is farther is not compared


@dataclass(frozen=True)
class CalibrateOptions:
    """How to find the factor.

    ``by`` LiDAR (the topic ``lidar``, or 'auto'), odometry, or height (``camera_height`` metres
    above the road, 0: as tf says). ``topic`` and ``camera_info``: None finds them; ``fov_degrees``
    stands in for a calibration. ``limit``: at most so many frames. At least ``min_frames`` must
    be measured, and ``max_spread`` is how far they may disagree, as a share of the factor.
    """

    by: Literal['lidar', 'odometry', 'height']
    camera_height: float = 0.0
    lidar: str = 'auto'
    topic: str | None = None
    camera_info: str | None = None
    fov_degrees: float = 0.0
    limit: int | None = None
    min_frames: int = 10
    max_spread: float = 0.15

    def __post_init__(self) -> None:
        if self.by not in METHODS:
            raise UserError(f'--by {self.by}: choose from {", ".join(METHODS)}')
        if self.camera_height and self.by != 'height':
            raise UserError('--camera-height is for --by height')

    def pipeline(self) -> PipelineOptions:
        """The pipeline that measures; by LiDAR its depth is the network's own."""
        scale = {
            'lidar': ScaleOptions('fixed', 1.0),
            'odometry': ScaleOptions('odometry'),
            'height': ScaleOptions('ground', camera_height=self.camera_height),
        }[self.by]
        return PipelineOptions(fov_degrees=self.fov_degrees, scale=scale)


@dataclass(frozen=True)
class Factor:
    """``factor`` metres a unit; ``spread`` of single frames, a share of it; how many there are."""

    factor: float
    spread: float
    frames: int

    @classmethod
    def of(cls, factors: list[float]) -> 'Factor':
        """The median of ``factors`` (not empty) and their robust standard deviation."""
        logs = np.log(factors)
        return cls(float(np.exp(np.median(logs))), robust_spread(logs), len(logs))

    def __str__(self) -> str:
        return f'{self.factor:.4g} (± {self.spread:.1%}, {self.frames} frames)'


@dataclass(frozen=True)
class FoundScale:
    """What was found: over all frames, by condition where the bag says it, and what was not.

    ``reasons``: how many frames were not measured, and why.
    """

    all: Factor
    conditions: dict[str, Factor]
    frames_in: int
    reasons: dict[str, int]


def calibrate(
    path: Path,
    engine: Engine,
    options: CalibrateOptions,
    progress: Callable[[int, int], None] | None = None,
) -> FoundScale:
    """Find the factor of the bag ``path`` for ``engine``'s model.

    Raises UserError, saying why, where too few frames could be measured or they disagree.
    """
    with open_bag(path) as bag:
        run = _Run(bag, engine, options)
        run.go(progress)
        return run.result()


def write_parameters(path: Path, found: FoundScale, about: str) -> None:
    """Write the node's parameters with the factor, ``about`` (one line) as their comment."""
    text = (
        f'# {about}: {found.all}.\n'
        '# It holds for this camera, its resolution and this model only.\n'
        '/**:\n'
        '  ros__parameters:\n'
        '    scale:\n'
        '      mode: fixed\n'
        f'      factor: {found.all.factor:.5f}\n'
    )
    with replacing(path) as beside:
        beside.write_text(text, encoding='utf-8')


class _Run:
    """One pass over one bag."""

    def __init__(self, bag: Bag, engine: Engine, options: CalibrateOptions) -> None:
        self.bag, self.options = bag, options
        pipeline = options.pipeline()
        self.camera = BagCamera(bag, options.topic, options.camera_info, pipeline.scale)
        self.topic = self.camera.topic
        if self.camera.info_topic is None and not options.fov_degrees:
            raise BagError(
                f'{bag.path} has no camera_info beside {self.topic.name}: name it with '
                '--camera-info, or give --fov'
            )
        self.pipeline = Pipeline(engine, pipeline)
        self.frames = 0
        self.lidar: LidarTruth | None = None
        self.waiting: dict[int, tuple[NDArray[np.float32], str]] = {}  # by stamp: for their cloud
        self.factors: dict[str, list[float]] = defaultdict(list)
        self.reasons: Counter[str] = Counter()

    def go(self, progress: Callable[[int, int], None] | None) -> None:
        """Measure all frames."""
        total = min(self.topic.count, self.options.limit or self.topic.count)
        for message in self.bag.messages(self._topics()):
            try:
                content = self.bag.deserialize(message)
                if message.topic == self.topic.name and self.frames < total:
                    self.frames += 1
                    self._take_picture(content)
                    if progress is not None:
                        progress(self.frames, total)
                else:
                    self._take_other(message, content)
            except MessageError:
                if message.topic == self.topic.name:
                    self.reasons['a damaged message'] += 1
            if self.frames >= total and not self.waiting:
                break
        if self.lidar is not None:
            self._compare(self.lidar.finish())

    def result(self) -> FoundScale:
        """Sum up, or raise UserError."""
        options, name = self.options, self.bag.path
        every = [factor for each in self.factors.values() for factor in each]
        if len(every) < options.min_frames:
            most = self.reasons.most_common(1)
            why = f' (most often: {most[0][0]})' if most else ''
            raise UserError(
                f'{name}: {len(every)} of {self.frames} frames could be measured by {options.by}, '
                f'{options.min_frames} are needed{why}'
            )
        found = Factor.of(every)
        conditions = {c: Factor.of(f) for c, f in sorted(self.factors.items()) if c}
        if found.spread > options.max_spread:
            by = ''.join(f'; {c}: {f}' for c, f in conditions.items())
            raise UserError(
                f'{name}: no one factor by {options.by} fits, frames disagree by more than '
                f'{options.max_spread:.0%}: {found}{by}; see --max-spread'
            )
        return FoundScale(found, conditions, self.frames, dict(self.reasons))

    def _topics(self) -> set[str]:
        topics = set(self.camera.topics)
        if self.options.by == 'lidar':
            topics |= {t.name for t in self.bag.topics.values() if t.type == POINT_CLOUD}
        return topics

    def _take_picture(self, content: Any) -> None:
        picture = self.camera.picture(content)
        stamp, frame_id = stamp_ns(content.header), content.header.frame_id
        seen = self.pipeline.process(self.camera.frame(picture, stamp, frame_id))
        if self.options.by != 'lidar':
            assert seen.scale.measure is not None
            self._count(seen.scale.measure, self.camera.condition)
            return
        if self.lidar is None:
            self.lidar = _lidar(self.bag, frame_id.lstrip('/'), self.options.lidar)
        self.waiting[stamp] = (seen.depth, self.camera.condition)
        self._compare(self.lidar.add_frame(seen))

    def _take_other(self, message: BagMessage, content: Any) -> None:
        if self.camera.hear(message.topic, content):
            return
        if self.lidar is not None and message.topic == self.lidar.topic.name:
            self._compare(self.lidar.add_cloud(content))

    def _compare(self, settled: Iterator[tuple[int, NDArray[np.float32] | None]]) -> None:
        for stamp, truth in settled:
            depth, condition = self.waiting.pop(stamp)
            self._count(_by_lidar(depth, truth), condition)

    def _count(self, measure: Estimate, condition: str) -> None:
        if measure.usable:
            self.factors[condition].append(measure.factor)
        else:
            self.reasons[measure.reason] += 1


def _lidar(bag: Bag, frame_id: str, wanted: str) -> LidarTruth:
    odometry = [t.name for t in bag.topics.values() if t.type == ODOMETRY]
    tree = read_tree(bag, odometry)
    return LidarTruth(choose_lidar(bag, tree, frame_id, wanted), tree, frame_id)


def _by_lidar(depth: NDArray[np.float32], truth: NDArray[np.float32] | None) -> Estimate:
    """The factor at which the network's depth (H, W) is as far as the points of ``truth``."""
    if truth is None:
        return Estimate.none('no LiDAR points in the picture')
    compared = (truth > 0) & (truth < _CAP) & np.isfinite(depth) & (depth > 0)
    points = int(compared.sum())
    if points < _MIN_POINTS:
        return Estimate.none(f'fewer than {_MIN_POINTS} LiDAR points in the picture', points)
    logs = np.log(truth[compared].astype(np.float64) / depth[compared])
    sigma = robust_spread(logs) / min(points, _INDEPENDENT) ** 0.5
    return Estimate(float(np.exp(np.median(logs))), sigma, points)
