"""The scale that is measured from the frames: by the ground or by odometry, filtered over time."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.labels import CITYSCAPES
from dsn_core.metadata import ModelMetadata
from dsn_ros.camera import Camera
from dsn_ros.scale import Scale, ScaleOptions
from dsn_ros.scale_estimate import Estimate
from dsn_ros.scale_filter import ScaleFilter
from dsn_ros.scale_ground import ground_scale
from dsn_ros.scale_odometry import MotionScale, MotionView

__all__ = ['MeasuredScale', 'Sight']

_MIN_CONFIDENCE = 128  # of 255: half of the probability
_MAX_SPREAD = 0.3  # of the factor: beyond, measures disagree so much that none is believed


@dataclass(frozen=True)
class Sight:
    """One frame at the model's size, as the network saw it, and where the camera was.

    ``image`` (H, W, 3) uint8 RGB; ``depth`` (H, W) float32, the network's units; ``labels`` and
    ``confidence`` (H, W) uint8; ``camera`` None: not calibrated. ``to_ground`` and ``to_odom``
    (4, 4) float64 or None, as in ``pipeline.Frame``.
    """

    image: NDArray[np.uint8]
    depth: NDArray[np.float32]
    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    stamp_ns: int
    camera: Camera | None
    to_ground: NDArray[np.float64] | None
    to_odom: NDArray[np.float64] | None


class MeasuredScale:
    """Measures the scale frame by frame, in one of the modes ``ground`` and ``odometry``."""

    def __init__(self, options: ScaleOptions, metadata: ModelMetadata) -> None:
        self.options = options
        # One picture of a road is a measure; tracks in the dark can agree on nonsense for once.
        needed = 1 if options.mode == 'ground' else 3
        self._filter = ScaleFilter(options.window, options.hold, needed)
        self._motion = MotionScale()
        self._factor: float | None = None
        names = metadata.class_names
        self._road = _table(names, ('road',))
        moving = [c.name for c in CITYSCAPES.classes if c.roles & {'dynamic', 'sky'}]
        self._still = ~_table(names, moving)

    def forget(self) -> None:
        """Begin anew: time has jumped, or another camera looks."""
        self._filter.forget()
        self._motion.forget()
        self._factor = None

    def update(self, sight: Sight, start: Scale) -> Scale:
        """The scale at the time of ``sight``; not metric where it is not known.

        ``start`` is the model's own. While the scale is not known, depth keeps the last factor
        that was, or the model's own before there was any.
        """
        by_ground = self.options.mode == 'ground'
        guess = self._guess(start)
        measure = self._by_ground(sight) if by_ground else self._by_motion(sight, guess)
        return self._filtered(sight.stamp_ns, measure, start)

    def hold(self, stamp_ns: int, start: Scale, why: str) -> Scale:
        """The scale at ``stamp_ns``, of a frame that must not be measured, and ``why`` not."""
        return self._filtered(stamp_ns, Estimate.none(why), start)

    def _guess(self, start: Scale) -> float:
        return start.factor if self._factor is None else self._factor

    def _filtered(self, stamp_ns: int, measure: Estimate, start: Scale) -> Scale:
        found = self._filter.add(stamp_ns, measure)
        if found is None:
            why = measure.reason or 'too few measures yet'
        elif found.spread > _MAX_SPREAD:
            why = f'measures differ by {found.spread:.0%}'
        else:
            self._factor = found.factor
            return Scale(found.factor, True, self.options.mode, found.spread, measure)
        return replace(
            start,
            factor=self._guess(start),
            metric=False,
            source=f'{self.options.mode}: {why}',
            measure=measure,
        )

    def _by_ground(self, sight: Sight) -> Estimate:
        if sight.camera is None:
            return Estimate.none('the camera is not calibrated')
        mount = _known(sight.to_ground)
        height = self.options.camera_height or (0.0 if mount is None else float(mount[2, 3]))
        if height <= 0:
            return Estimate.none(
                'the height of the camera is not known: tf has none above zero, and none is given'
            )
        road = self._road[sight.labels] & (sight.confidence >= _MIN_CONFIDENCE)
        down = None if mount is None else -mount[2, :3]
        return ground_scale(sight.depth, road, sight.camera.rays(), height, down)

    def _by_motion(self, sight: Sight, guess: float) -> Estimate:
        if sight.camera is None:
            return Estimate.none('the camera is not calibrated')
        pose = _known(sight.to_odom)
        if pose is None:
            self._motion.forget()
            return Estimate.none('odometry does not tell where the camera was')
        return self._motion.update(
            MotionView(
                np.asarray(cv2.cvtColor(sight.image, cv2.COLOR_RGB2GRAY), dtype=np.uint8),
                sight.depth,
                self._still[sight.labels],
                sight.camera.rays(),
                sight.camera.focal_length,
                pose,
                guess,
            )
        )


def _table(names: tuple[str, ...], wanted: Collection[str]) -> NDArray[np.bool_]:
    """(256,) bool: whether a class id is one of the ``wanted`` names."""
    table = np.zeros(256, dtype=np.bool_)
    table[[i for i, name in enumerate(names) if name in wanted]] = True
    return table


def _known(transform: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """The transform, None where it holds numbers that are none."""
    return transform if transform is not None and np.isfinite(transform).all() else None
