"""The page that ``dsn replay`` and ``dsn infer`` leave behind: pictures and figures in one file.

The builder sees every frame and keeps a bounded number of them; ``report_page`` writes the HTML.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.labels import CITYSCAPES
from dsn_core.visual import colourise_depth
from dsn_ros.report_page import Contents, DepthRange, Latency, Picture, page

if TYPE_CHECKING:
    from dsn_ros.pipeline import Perception

__all__ = ['ReportBuilder']

METRIC_RANGE = (2.0, 80.0)  # metres
MAX_LATENCIES = 720
JPEG_QUALITY = 80
DEPTH_QUALITY = 85


class ReportBuilder:
    """Collects frames for a report in bounded memory, however long the bag is.

    ``class_names``: names by class id. ``max_frames``: pictures kept at most; they are evenly
    spaced over the frames added. ``width``: of the kept pictures, pixels. ``expected``: how many
    frames will come, as far as is known: pictures that would not stay are not made then.
    """

    def __init__(
        self,
        title: str,
        class_names: Sequence[str],
        max_frames: int = 60,
        width: int = 320,
        expected: int = 0,
    ) -> None:
        if max_frames < 1:
            raise ValueError(f'max_frames must be at least 1, got {max_frames}')
        if width < 16:
            raise ValueError(f'width must be at least 16 pixels, got {width}')
        self.title = title
        self.class_names = tuple(class_names)
        self.max_frames = max_frames
        self.width = width
        self._frames = 0
        self._first_stamp_ns = 0
        self._pictures: list[Picture] = []
        self._picture_step = 1
        while max_frames * self._picture_step < expected:
            self._picture_step *= 2
        self._latencies: list[Latency] = []
        self._latency_step = 1
        self._pixels: NDArray[np.int64] = np.zeros(256, dtype=np.int64)
        self._ranges: dict[bool, DepthRange] = {}
        self._scale: dict[str, Any] = {}

    def add(
        self,
        perception: 'Perception',
        chapter: str | None = None,
        latency_ms: dict[str, float] | None = None,
    ) -> None:
        """Take in one frame; call it for every frame, in their order.

        ``chapter`` names the part of the bag that the frame is of (such as 'night'), or the
        picture. ``latency_ms``: milliseconds by stage; the pipeline's own where None.
        """
        index = self._frames
        self._frames += 1
        if index == 0:
            self._first_stamp_ns = perception.stamp_ns
        scale = perception.scale
        self._scale = {'metric': scale.metric, 'factor': scale.factor, 'source': scale.source}
        self._pixels += np.bincount(perception.labels.ravel(), minlength=256)
        self._add_latency(index, perception.latency_ms if latency_ms is None else latency_ms)
        self._count_range(perception.depth, scale.metric)
        if index % self._picture_step == 0:
            self._add_picture(index, perception, chapter)

    def render(self, metrics: Mapping[str, Any]) -> str:
        """The page as HTML; ``metrics`` is the content of ``metrics.json``."""
        contents = Contents(
            title=self.title,
            class_names=self.class_names,
            pictures=tuple(self._pictures),
            latencies=tuple(self._latencies),
            latency_step=self._latency_step,
            frames=self._frames,
            pixels=self._pixels,
            ranges=tuple(self._ranges.values()),
            scale=self._scale,
        )
        return page(contents, metrics)

    def write(self, path: Path, metrics: Mapping[str, Any]) -> None:
        """Write the page to ``path``: there is never half a page there."""
        beside = path.with_name(f'.{path.name}.{os.getpid()}')
        try:
            beside.write_text(self.render(metrics), encoding='utf-8')
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def _add_picture(self, index: int, perception: 'Perception', chapter: str | None) -> None:
        if len(self._pictures) == self.max_frames:
            self._picture_step *= 2
            self._pictures = [p for p in self._pictures if p.index % self._picture_step == 0]
            if index % self._picture_step:
                return
        height, width = _fitted(perception.image, self.width)
        depth_range = self._ranges[perception.scale.metric]
        image = _resize(perception.image, height, width, cv2.INTER_AREA)
        depth = _resize(perception.depth, height, width, cv2.INTER_NEAREST_EXACT)
        # Hard edges show their pixels when enlarged, and compress well: keep more of them.
        finer = _fitted(perception.image, 2 * self.width)
        labels = _resize(perception.labels, *finer, cv2.INTER_NEAREST_EXACT)
        painted = colourise_depth(depth, depth_range.near, depth_range.far)
        self._pictures.append(
            Picture(
                index=index,
                time_s=(perception.stamp_ns - self._first_stamp_ns) / 1e9,
                chapter=chapter,
                height=height,
                width=width,
                image=_jpeg(image, JPEG_QUALITY),
                depth=_jpeg(painted, DEPTH_QUALITY),
                labels=_png(CITYSCAPES.colourise(labels)),
            )
        )

    def _add_latency(self, index: int, latency_ms: Mapping[str, float]) -> None:
        """Keep the slowest frame of every few, so that a hiccup is never thinned out."""
        each = Latency(index, {k: float(v) for k, v in latency_ms.items() if k != 'total'})
        if index % self._latency_step:
            self._latencies[-1] = max(self._latencies[-1], each, key=lambda one: one.total)
            return
        self._latencies.append(each)
        if len(self._latencies) == MAX_LATENCIES:
            self._latency_step *= 2
            pairs = zip(self._latencies[::2], self._latencies[1::2], strict=True)
            self._latencies = [max(pair, key=lambda one: one.total) for pair in pairs]

    def _count_range(self, depth: NDArray[np.float32], metric: bool) -> None:
        """Count the frame to its depth range: fixed for metres, the first frame's otherwise."""
        known = self._ranges.get(metric)
        if known is None or not known.settled:
            settled = (*METRIC_RANGE, True) if metric else _relative_range(depth)
            known = DepthRange(metric, *settled, known.frames if known else 0)
        self._ranges[metric] = known.counted()


def _relative_range(depth: NDArray[np.float32]) -> tuple[float, float, bool]:
    """Nearest and farthest of ``depth`` but for 2 % at either end, and whether there was any."""
    finite = depth[np.isfinite(depth) & (depth > 0)]
    if not finite.size:
        return 1.0, 10.0, False
    near, far = (float(each) for each in np.percentile(finite, (2, 98)))
    return near, max(far, near * 1.5), True


def _fitted(image: NDArray[np.uint8], width: int) -> tuple[int, int]:
    """Height and width of ``image`` when it is at most ``width`` wide."""
    height, own = image.shape[:2]
    return (height, own) if own <= width else (max(1, round(height * width / own)), width)


def _resize(each: NDArray[Any], height: int, width: int, how: int) -> NDArray[Any]:
    if each.shape[:2] == (height, width):
        return each
    return cv2.resize(each, (width, height), interpolation=how)


def _jpeg(picture: NDArray[np.uint8], quality: int) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    return _encoded('.jpg', picture, options)


def _png(picture: NDArray[np.uint8]) -> bytes:
    return _encoded('.png', picture, [cv2.IMWRITE_PNG_COMPRESSION, 6])


def _encoded(kind: str, picture: NDArray[np.uint8], options: list[int]) -> bytes:
    ok, data = cv2.imencode(kind, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    if not ok:
        raise RuntimeError(f'OpenCV could not encode a picture of {picture.shape} as {kind}')
    return data.tobytes()
