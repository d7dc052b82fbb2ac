"""Reports for tests: perceptions to show, and a page as a browser would read it."""

import base64
import json
from html.parser import HTMLParser
from typing import Any

import cv2
import numpy as np

from dsn_core.labels import CITYSCAPES
from dsn_ros.lighting import LightingState
from dsn_ros.pipeline import Perception
from dsn_ros.report import ReportBuilder
from dsn_ros.scale import Scale

METRIC = Scale(1.31, True, 'model and focal length')
RELATIVE = Scale(1.0, False, 'the camera is not calibrated')
METRICS: dict[str, Any] = {
    'bag': '/bags/street',
    'frames_in': 1005,
    'frames_out': 1000,
    'dropped': {'undecodable picture': 5},
    'latency_ms': {'infer': {'p50': 24.31, 'p90': 27.0, 'p99': 31.0, 'mean': 24.9, 'max': 412.0}},
    'rate_hz': 28.7312,
    'engine': {'name': 'onnxruntime', 'device': 'some CPU', 'precision': 'fp32'},
    'model': {'name': 'street', 'height': 320, 'width': 576, 'scale': 'metric', 'sha256': 'ab12'},
    'scale': {'metric': True, 'factor': 1.31, 'source': 'model and focal length'},
    'problems': ['the bag ends early'],
    'comparison': {
        'all': {'depth': {'abs_rel': 0.1234, 'rmse': 5.0, 'a1': 0.9}, 'frames': 30},
        'night': {'depth': {'abs_rel': 0.2}, 'labels': {'miou': 0.4, 'iou': {'car': 0.25}}},
        'day': {'depth': None, 'labels': {'miou': None, 'iou': {'road': 0.987, 'car': None}}},
    },
}


def perception(
    stamp_ns: int = 0,
    height: int = 24,
    width: int = 48,
    depth: float = 10.0,
    scale: Scale = METRIC,
    infer_ms: float = 20.0,
) -> Perception:
    labels = np.zeros((height, width), dtype=np.uint8)
    labels[: height // 4] = CITYSCAPES.id_of('sky')
    return Perception(
        image=np.full((height, width, 3), 90, dtype=np.uint8),
        depth=np.full((height, width), depth, dtype=np.float32),
        labels=labels,
        confidence=np.full((height, width), 255, dtype=np.uint8),
        stamp_ns=stamp_ns,
        frame_id='camera',
        camera=None,
        scale=scale,
        lighting=LightingState('day', 0.0, 'day'),
        latency_ms={'resize': 1.0, 'infer': infer_ms, 'total': 999.0},
    )


def report(frames: int, **options: Any) -> ReportBuilder:
    builder = ReportBuilder('street', CITYSCAPES.names, **options)
    for i in range(frames):
        builder.add(perception(stamp_ns=5_000_000_000 + i * 100_000_000))
    return builder


class Page(HTMLParser):
    """What a browser would make of the page: elements, addresses, texts and its data."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.raw: dict[str, str] = {}
        self.feed(page)
        self.data = json.loads(self.raw['json'])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag, attributes = self.elements[-1] if self.elements else ('', {})
        if tag in ('script', 'style'):
            key = 'json' if 'json' in (attributes.get('type') or '') else tag
            self.raw.setdefault(key, data)
        if data.strip():
            self.texts.append(data.strip())

    def addresses(self) -> list[str]:
        names = ('src', 'href', 'srcset', 'action', 'poster', 'data', 'xlink:href')
        return [v or '' for _, attrs in self.elements for k, v in attrs.items() if k in names]

    def count(self, tag: str) -> int:
        return sum(each == tag for each, _ in self.elements)

    def indices(self) -> list[int]:
        return [frame['index'] for frame in self.data['frames']]


def decoded(address: str) -> np.ndarray:
    data = base64.b64decode(address.split(',', 1)[1], validate=True)
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture[..., ::-1]
