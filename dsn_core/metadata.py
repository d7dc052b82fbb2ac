"""What a deploy graph says of itself: one JSON under ``dsn`` in the ONNX ``metadata_props``."""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from dsn_core.errors import quoted
from dsn_core.golden import STRIDE, GoldenFigures
from dsn_core.labels import UNLABELLED

__all__ = ['METADATA_KEY', 'MIN_SIDE', 'ModelMetadata', 'Size', 'nearest_shape']

METADATA_KEY = 'dsn'
MIN_SIDE = 64  # pixels; at stride 32 the decoder's reflection needs two of them
FORMAT_VERSION = 1

Size = tuple[int, int]
"""Height and width, pixels."""
Scale = Literal['relative', 'metric']
Precision = Literal['fp32', 'fp16', 'int8']


@dataclass(frozen=True)
class ModelMetadata:
    """Everything a robot must know of a model beside its weights.

    ``focal_length`` is the focal length in pixels, at the model's own width, of the camera that
    ``depth`` is expressed for. A camera with focal length f (scaled to the model's width) sees the
    same picture f / focal_length times as far away. None: the network knows one camera only.
    Without ``class_names`` the network knows depth only, and every label is 255 (unlabelled).
    ``confidence``: by condition (day, dusk, night), the share of labels that are right at
    confidences in even steps from 0 to 1; it never falls. Conditions that are not there, as in
    graphs from before there was any: confidence is taken as it is.
    ``variant``: which of the network's variants it is. ``other_sizes``: what else than ``height``
    x ``width`` the graph can be run at, for pictures of another shape, each with the answer on
    the golden frame of that size; the network is the same, and so is ``focal_length``.
    """

    name: str
    height: int
    width: int
    class_names: tuple[str, ...]
    min_depth: float
    max_depth: float
    scale: Scale
    focal_length: float | None
    precision: Precision
    training_data: str
    checkpoint_sha256: str
    golden: GoldenFigures
    format_version: int = FORMAT_VERSION
    confidence: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    variant: str = 'paper'
    other_sizes: Mapping[Size, GoldenFigures] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.format_version != FORMAT_VERSION:
            raise ValueError(
                f'format_version is {self.format_version}, this version reads {FORMAT_VERSION}'
            )
        names = self.class_names
        if len(names) > UNLABELLED or not all(isinstance(n, str) and n for n in names):
            raise ValueError(f'class_names must be at most {UNLABELLED} names')
        if twice := [n for n in names if names.count(n) > 1]:
            raise ValueError(f'class_names must differ, but {quoted(twice[0])} is there twice')
        if not 0 < self.min_depth < self.max_depth < math.inf:
            raise ValueError(
                f'min_depth and max_depth must be 0 < min < max, got '
                f'{self.min_depth} and {self.max_depth}'
            )
        if self.scale not in ('relative', 'metric'):
            raise ValueError(f"scale must be 'relative' or 'metric', got {self.scale!r}")
        if self.precision not in ('fp32', 'fp16', 'int8'):
            raise ValueError(f"precision must be 'fp32', 'fp16' or 'int8', got {self.precision!r}")
        if self.focal_length is not None and not 0 < self.focal_length < math.inf:
            raise ValueError(f'focal_length must be above zero, got {self.focal_length}')
        for size, golden in ((self.size, self.golden), *self.other_sizes.items()):
            _check_size(size, golden, len(names))
        for condition, shares in self.confidence.items():
            within = len(shares) >= 2 and all(0 <= share <= 1 for share in shares)
            if not within or any(b < a for a, b in itertools.pairwise(shares)):
                raise ValueError(
                    f'confidence of {condition} must be two or more shares of 0 to 1 that never '
                    f'fall, got {shares}'
                )

    @property
    def size(self) -> Size:
        """Height and width of the pictures that the graph takes where nothing else is said."""
        return self.height, self.width

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Heights and widths that it can be run at, its own first."""
        return self.size, *self.other_sizes

    def at(self, size: Size) -> 'ModelMetadata':
        """What is to be known of the graph run at ``size`` alone; KeyError for another's size."""
        golden = self.golden if size == self.size else self.other_sizes[size]
        height, width = size
        return replace(self, height=height, width=width, golden=golden, other_sizes={})

    def to_json(self) -> str:
        """As the JSON text that goes into the graph."""
        data: dict[str, Any] = {
            'format_version': self.format_version,
            'name': self.name,
            'height': self.height,
            'width': self.width,
            'class_names': list(self.class_names),
            'min_depth': self.min_depth,
            'max_depth': self.max_depth,
            'scale': self.scale,
            'focal_length': self.focal_length,
            'precision': self.precision,
            'training_data': self.training_data,
            'checkpoint_sha256': self.checkpoint_sha256,
            'golden': self.golden.to_json(),
        }
        if self.confidence:
            data['confidence'] = {name: list(each) for name, each in self.confidence.items()}
        if self.variant != 'paper':  # as in graphs from before there was another
            data['variant'] = self.variant
        if self.other_sizes:
            data['other_sizes'] = [
                {'height': height, 'width': width, 'golden': golden.to_json()}
                for (height, width), golden in self.other_sizes.items()
            ]
        return json.dumps(data, separators=(',', ':'))

    @classmethod
    def from_json(cls, text: str) -> 'ModelMetadata':
        """Read the JSON text; raises ValueError naming the field that is missing or wrong."""
        try:
            data = json.loads(text)
            golden = GoldenFigures.from_json(data['golden'])
            focal_length = data['focal_length']
            return cls(
                name=str(data['name']),
                height=data['height'],
                width=data['width'],
                class_names=tuple(data['class_names']),
                min_depth=float(data['min_depth']),
                max_depth=float(data['max_depth']),
                scale=data['scale'],
                focal_length=None if focal_length is None else float(focal_length),
                precision=data['precision'],
                training_data=str(data['training_data']),
                checkpoint_sha256=str(data['checkpoint_sha256']),
                golden=golden,
                format_version=data['format_version'],
                variant=str(data.get('variant', 'paper')),
                confidence={
                    str(name): tuple(float(share) for share in each)
                    for name, each in data.get('confidence', {}).items()
                },
                other_sizes={
                    (each['height'], each['width']): GoldenFigures.from_json(each['golden'])
                    for each in data.get('other_sizes', ())
                },
            )
        except KeyError as error:
            raise ValueError(f'field {error} is missing') from error
        except (TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(str(error)) from error


def nearest_shape(sizes: Sequence[Size], height: int, width: int) -> Size:
    """Which of ``sizes`` bends pictures of ``height`` x ``width`` least, the first of equals."""
    return min(sizes, key=lambda s: abs(math.log(s[1] * height / (s[0] * width))))


def _check_size(size: Size, golden: GoldenFigures, classes: int) -> None:
    """Raise ValueError if a graph can't be of ``size``, or ``golden`` not of it."""
    for name, value in zip(('height', 'width'), size, strict=True):
        if not (isinstance(value, int) and value >= MIN_SIDE and value % 32 == 0):
            raise ValueError(f'{name} must be a multiple of 32 from {MIN_SIDE} on, got {value!r}')
    grid = tuple(len(range(STRIDE // 2, side, STRIDE)) for side in size)
    if golden.depth.shape != grid:
        raise ValueError(
            f'golden: a grid of {golden.depth.shape} points, not the {grid} of '
            f'{size[0]} x {size[1]} pixels'
        )
    labels = golden.labels
    if (labels[(labels != UNLABELLED) | (classes > 0)] >= classes).any():
        raise ValueError('golden: a label is not among class_names')
