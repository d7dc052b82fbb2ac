"""Frame in, perception out: what the node, the replay and ``dsn infer`` share.

No ROS, no bag, no torch: pictures and calibrations as plain arrays and numbers.
"""

import math
import time
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.labels import UNLABELLED
from dsn_ros.any_engine import AnyEngine
from dsn_ros.camera import Camera
from dsn_ros.confidence import calibrated, dimmed_in_the_dark, lookup_tables
from dsn_ros.engines import Prediction
from dsn_ros.grey import as_grey
from dsn_ros.lighting import Lighting, LightingState
from dsn_ros.sanity import MEANING, Sanity, SanityOptions
from dsn_ros.scale import Scale, ScaleOptions, depth_scale
from dsn_ros.scale_measure import MeasuredScale, Sight
from dsn_ros.view import Fit, View, view_of

__all__ = ['Frame', 'Perception', 'Pipeline', 'PipelineOptions', 'Shown']


@dataclass(frozen=True)
class Frame:
    """One picture of a camera.

    ``image`` is (H, W, 3) uint8 RGB; ``stamp_ns`` its time of exposure in nanoseconds;
    ``frame_id`` the camera's optical frame; ``camera`` None where no calibration is known.

    What measures the scale needs, (4, 4) float64 in metres, None where not known: ``to_ground``
    takes points of the optical frame to a frame whose z = 0 is the ground (base_footprint), and
    ``to_odom`` to one in which the world stands still, both as they were at ``stamp_ns``.
    """

    image: NDArray[np.uint8]
    stamp_ns: int = 0
    frame_id: str = ''
    camera: Camera | None = None
    to_ground: NDArray[np.float64] | None = None
    to_odom: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class PipelineOptions:
    """What the pipeline gives out.

    ``output_size``: the maps at the ``model``'s size or at the ``camera``'s.
    ``min_confidence``: pixels whose class is less probable than this (0 to 1) get depth NaN and
    label 255. ``fov_degrees``: the horizontal field of view of a camera without distortion, for
    frames whose camera is not calibrated; 0: unknown. ``rectify``: take the lens out of pictures
    whose camera has one. ``fit``: how a picture comes into the model's shape: ``stretch`` shows
    all of it, ``crop`` its middle as it is; outputs are of what is shown. ``lighting_hold``:
    seconds for which it must look different before it is called day, dusk or night instead.
    ``sanity``: what makes a frame give out nothing.
    """

    output_size: Literal['model', 'camera'] = 'model'
    min_confidence: float = 0.0
    fov_degrees: float = 0.0
    rectify: bool = True
    fit: Fit = 'stretch'
    lighting_hold: float = 2.0
    scale: ScaleOptions = field(default_factory=ScaleOptions)
    sanity: SanityOptions = field(default_factory=SanityOptions)

    def __post_init__(self) -> None:
        if self.output_size not in ('model', 'camera'):
            raise ValueError(f"output_size must be 'model' or 'camera', got {self.output_size!r}")
        if self.fit not in ('stretch', 'crop'):
            raise ValueError(f"fit must be 'stretch' or 'crop', got {self.fit!r}")
        if not 0 <= self.lighting_hold < math.inf:
            raise ValueError(f'lighting.hold must be 0 s or more, got {self.lighting_hold}')
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
    ``confidence`` (H, W) uint8: the class's probability x 255, lower where there is no light, and
    calibrated for ``lighting`` where the model brings a table. ``camera`` is that of this size,
    None where the calibration is unknown. ``latency_ms``: milliseconds by stage.

    ``faults``: what speaks against the frame (``sanity.CHECKS``), in which case it says nothing:
    depth is NaN, labels are 255 and confidence is 0; where it is the scale alone, only depth is.
    """

    image: NDArray[np.uint8]
    depth: NDArray[np.float32]
    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]
    stamp_ns: int
    frame_id: str
    camera: Camera | None
    scale: Scale
    lighting: LightingState
    latency_ms: dict[str, float]
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shown:
    """A frame as the engine is shown it.

    ``image``: (h, w, 3) uint8 RGB of a size that the engine has; ``view``: the part of the frame
    that it is.
    """

    frame: Frame
    view: View
    image: NDArray[np.uint8]
    resize_ms: float


class _Maps(NamedTuple):
    """What is said of each pixel, (H, W) each, as in ``Perception``."""

    depth: NDArray[np.float32]
    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]


class Pipeline:
    """Runs an engine on frames of any size."""

    def __init__(self, engine: AnyEngine, options: PipelineOptions | None = None) -> None:
        self.engine = engine
        self.options = options or PipelineOptions()
        names = engine.metadata.class_names
        self._sky = names.index('sky') if 'sky' in names else None
        self._tables = lookup_tables(engine.metadata.confidence)
        self._lighting = Lighting(self.options.lighting_hold)
        self._measured: MeasuredScale | None = None
        self._sanity = Sanity(self.options.sanity)
        self._scaled_by = self.options.scale

    def forget(self) -> None:
        """Forget the frames before: time has jumped, or they were another camera's."""
        self._measured = None
        self._lighting.forget()
        self._sanity.forget()

    def process(self, frame: Frame) -> Perception:
        """Depth, labels and confidence of one frame; raises ValueError for a bad picture."""
        shown = self.show(frame)
        prediction, infer_ms = self.look(shown)
        return self.finish(shown, prediction, 0, infer_ms)

    def show(self, frame: Frame) -> Shown:
        """Prepare ``frame`` for the engine; raises ValueError for a bad picture."""
        start = time.perf_counter()
        image = frame.image
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise ValueError(
                f'a frame must be (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}'
            )
        options, engine = self.options, self.engine
        camera = usable_camera(frame, options.fov_degrees)
        height, width = engine.size_for(*image.shape[:2])
        shape = width / height
        view = view_of(*image.shape[:2], camera, options.rectify, options.fit, shape)
        picture = view.picture(image, height, width)
        return Shown(frame, view, picture, (time.perf_counter() - start) * 1e3)

    def look(self, shown: Shown) -> tuple[Prediction, float]:
        """The engine's answer to one picture, and the milliseconds that it took."""
        start = time.perf_counter()
        prediction = self.engine.infer(shown.image[None])
        return prediction, (time.perf_counter() - start) * 1e3

    def finish(
        self, shown: Shown, prediction: Prediction, index: int, infer_ms: float
    ) -> Perception:
        """Make of the engine's answer no. ``index`` what is published of ``shown``."""
        frame, view = shown.frame, shown.view
        depth, labels, confidence = (maps[index] for maps in prediction)
        start = time.perf_counter()
        self._sanity.options = self.options.sanity
        grey = as_grey(shown.image)
        faults = self._sanity.look(shown.image, frame.stamp_ns, depth, labels, grey)
        looked = time.perf_counter()
        scale = self._scale(shown, depth, labels, confidence, faults)
        jumped = self._sanity.jumped(scale, frame.stamp_ns)
        scaled = time.perf_counter()
        self._lighting.hold = self.options.lighting_hold
        lighting = self._lighting.update(grey, frame.stamp_ns)
        confidence = calibrated(confidence, lighting.condition, self._tables)
        confidence = dimmed_in_the_dark(confidence, grey)
        lit = time.perf_counter()
        depth = depth * np.float32(scale.factor)  # a map of its own: the engine's may be shared
        known = self._where_known(depth, labels, confidence)
        image, maps = self._at_output_size(shown, known)
        depth, labels, confidence = _withheld(maps, bool(faults), jumped)
        end = time.perf_counter()
        return Perception(
            image=image,
            depth=depth,
            labels=labels,
            confidence=confidence,
            stamp_ns=frame.stamp_ns,
            frame_id=frame.frame_id,
            camera=None if view.camera is None else view.camera.resized(*depth.shape),
            scale=scale,
            lighting=lighting,
            latency_ms={
                'resize': shown.resize_ms,
                'infer': infer_ms,
                'sanity': (looked - start) * 1e3,
                'scale': (scaled - looked) * 1e3,
                'light': (lit - scaled) * 1e3,
                'finish': (end - lit) * 1e3,
            },
            faults=(*faults, 'scale') if jumped else faults,
        )

    def _where_known(
        self,
        depth: NDArray[np.float32],
        labels: NDArray[np.uint8],
        confidence: NDArray[np.uint8],
    ) -> _Maps:
        """The maps with +inf for sky, and nothing said where the network is not sure.

        ``depth`` is changed in place.
        """
        if self._sky is not None:
            np.copyto(depth, np.inf, where=labels == self._sky)
        if self.options.min_confidence > 0:
            unsure = confidence < round(self.options.min_confidence * 255)
            depth[unsure] = np.nan
            labels = np.where(unsure, np.uint8(UNLABELLED), labels)
        return _Maps(depth, labels, confidence)

    def _at_output_size(self, shown: Shown, maps: _Maps) -> tuple[NDArray[np.uint8], _Maps]:
        """Picture and maps at the size that is asked for, with nothing said beyond the picture."""
        view, image = shown.view, shown.image
        height, width = maps.depth.shape
        if self.options.output_size == 'camera':
            height, width = view.height, view.width
            image = view.picture(shown.frame.image, height, width)
            maps = _Maps(*(_resize_map(each, height, width) for each in maps))
        unseen = view.unseen(height, width)
        if unseen is not None:
            maps.depth[unseen] = np.nan
            maps = maps._replace(labels=np.where(unseen, np.uint8(UNLABELLED), maps.labels))
        return image, maps

    def _scale(
        self,
        shown: Shown,
        depth: NDArray[np.float32],
        labels: NDArray[np.uint8],
        confidence: NDArray[np.uint8],
        faults: tuple[str, ...],
    ) -> Scale:
        """The scale of what the engine made of ``shown``; what has ``faults`` measures nothing."""
        frame, height, width = shown.frame, *depth.shape
        camera = shown.view.camera
        small = None if camera is None else camera.resized(height, width)
        options, metadata = self.options.scale, self.engine.metadata
        if options != self._scaled_by:
            self._scaled_by = options
            self._sanity.forget_scale()
        own = depth_scale(options, metadata, small)
        if not options.measured:
            self._measured = None
            return own
        if self._measured is None or self._measured.options != options:
            self._measured = MeasuredScale(options, metadata)
        if faults:
            return self._measured.hold(frame.stamp_ns, own, MEANING[faults[0]])
        where = (small, frame.to_ground, frame.to_odom)
        sight = Sight(shown.image, depth, labels, confidence, frame.stamp_ns, *where)
        return self._measured.update(sight, own)


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


def _withheld(maps: _Maps, all_of_it: bool, depth_alone: bool) -> _Maps:
    """``maps``, or such that say nothing, of anything or of depth."""
    if all_of_it:
        nothing = np.full_like(maps.labels, UNLABELLED), np.zeros_like(maps.confidence)
        return _Maps(np.full_like(maps.depth, np.nan), *nothing)
    return maps._replace(depth=np.full_like(maps.depth, np.nan)) if depth_alone else maps


def _resize_map(each: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    # Nearest: between an obstacle and what is behind it there is nothing at half the distance.
    return cv2.resize(each, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
