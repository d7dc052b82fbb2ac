"""Frame in, perception out: what the node, the replay and ``dsn infer`` share.

No ROS, no bag, no torch: pictures and calibrations as plain arrays and numbers.
"""

import time
from dataclasses import dataclass, field
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.labels import UNLABELLED
from dsn_ros.camera import Camera
from dsn_ros.engines import Engine
from dsn_ros.scale import Scale, ScaleOptions, depth_scale

__all__ = ['Frame', 'Perception', 'Pipeline', 'PipelineOptions']


@dataclass(frozen=True)
class Frame:
    """One picture of a camera.

    ``image`` is (H, W, 3) uint8 RGB; ``stamp_ns`` its time of exposure in nanoseconds;
    ``frame_id`` the camera's optical frame; ``camera`` None where no calibration is known.
    """

    image: NDArray[np.uint8]
    stamp_ns: int = 0
    frame_id: str = ''
    camera: Camera | None = None


@dataclass(frozen=True)
class PipelineOptions:
    """What the pipeline gives out.

    ``output_size``: the maps at the ``model``'s size or at the ``camera``'s.
    ``min_confidence``: pixels whose class is less probable than this (0 to 1) get depth NaN and
    label 255. ``fov_degrees``: the horizontal field of view of a camera without distortion, for
    frames whose camera is not calibrated; 0: unknown.
    """

    output_size: Literal['model', 'camera'] = 'model'
    min_confidence: float = 0.0
    fov_degrees: float = 0.0
    scale: ScaleOptions = field(default_factory=ScaleOptions)

    def __post_init__(self) -> None:
        if self.output_size not in ('model', 'camera'):
            raise ValueError(f"output_size must be 'model' or 'camera', got {self.output_size!r}")
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f'min_confidence must be 0 to 1, got {self.min_confidence}')
        if not 0 <= self.fov_degrees < 180:
            raise ValueError(f'fov_degrees must be 0 to below 180, got {self.fov_degrees}')


@dataclass(frozen=True)
class Perception:
    """What was seen in one frame; every map has the size of ``image``.

    ``image`` (H, W, 3) uint8 RGB: the frame at this size. ``depth`` (H, W) float32 along the
    optical axis, metres where ``scale.metric`` and else the network's units; +inf for sky and NaN
    where it is not known (REP 117). ``labels`` (H, W) uint8 class ids, 255 unlabelled.
    ``confidence`` (H, W) uint8: the class's probability x 255. ``camera`` is that of this size,
    None where the calibration is unknown. ``latency_ms``: milliseconds by stage.
    """

    image: NDArray[np.uint8]
    depth: NDArray[np.float32]
    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    stamp_ns: int
    frame_id: str
    camera: Camera | None
    scale: Scale
    latency_ms: dict[str, float]


class Pipeline:
    """Runs an engine on frames of any size."""

    def __init__(self, engine: Engine, options: PipelineOptions | None = None) -> None:
        self.engine = engine
        self.options = options or PipelineOptions()
        names = engine.metadata.class_names
        self._sky = np.zeros(256, dtype=np.bool_)
        if 'sky' in names:
            self._sky[names.index('sky')] = True

    def process(self, frame: Frame) -> Perception:
        """Depth, labels and confidence of one frame; raises ValueError for a bad picture."""
        image = frame.image
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise ValueError(
                f'a frame must be (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}'
            )
        times = [time.perf_counter()]
        height, width = self.engine.height, self.engine.width
        at_model = _resize_picture(image, height, width)
        times.append(time.perf_counter())
        prediction = self.engine.infer(at_model[None])
        times.append(time.perf_counter())
        camera = usable_camera(frame, self.options.fov_degrees)
        scale = depth_scale(self.options.scale, self.engine.metadata, camera)
        depth, labels, confidence = (
            prediction.depth[0],
            prediction.labels[0],
            prediction.confidence[0],
        )
        if scale.factor != 1.0:
            depth = depth * np.float32(scale.factor)
        if self.options.output_size == 'camera':
            height, width = image.shape[:2]
            depth, labels, confidence = (
                _resize_map(each, height, width) for each in (depth, labels, confidence)
            )
        depth = self._with_sky_and_unknown(depth, labels, confidence)
        labels = self._with_unlabelled(labels, confidence)
        times.append(time.perf_counter())
        stages = ('resize', 'infer', 'finish')
        return Perception(
            image=at_model if self.options.output_size == 'model' else image,
            depth=depth,
            labels=labels,
            confidence=confidence,
            stamp_ns=frame.stamp_ns,
            frame_id=frame.frame_id,
            camera=None if camera is None else camera.resized(height, width),
            scale=scale,
            latency_ms={
                name: (end - start) * 1e3
                for name, start, end in zip(stages, times[:-1], times[1:], strict=True)
            },
        )

    def _unsure(self, confidence: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return confidence < round(self.options.min_confidence * 255)

    def _with_sky_and_unknown(
        self,
        depth: NDArray[np.float32],
        labels: NDArray[np.uint8],
        confidence: NDArray[np.uint8],
    ) -> NDArray[np.float32]:
        depth = np.where(self._sky[labels], np.float32(np.inf), depth)
        if self.options.min_confidence > 0:
            depth[self._unsure(confidence)] = np.nan
        return depth

    def _with_unlabelled(
        self, labels: NDArray[np.uint8], confidence: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        if self.options.min_confidence > 0:
            return np.where(self._unsure(confidence), np.uint8(UNLABELLED), labels)
        return labels


def usable_camera(frame: Frame, fov_degrees: float = 0.0) -> Camera | None:
    """The frame's camera if it is calibrated and speaks of pictures of the frame's size.

    Else one of a horizontal field of view of ``fov_degrees``, or None where that is 0.
    """
    camera = frame.camera
    height, width = frame.image.shape[:2]
    if (
        camera is not None
        and camera.calibrated
        and (camera.height, camera.width) == (height, width)
    ):
        return camera
    return Camera.of_view(width, height, fov_degrees) if fov_degrees > 0 else None


def _resize_picture(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    shrinks = image.shape[0] >= height and image.shape[1] >= width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=how).astype(np.uint8, copy=False)


def _resize_map(each: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    # Nearest: between an obstacle and what is behind it there is nothing at half the distance.
    return cv2.resize(each, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
