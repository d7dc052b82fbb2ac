"""Metric scale: by what factor the network's depth becomes metres, and whether it does."""

import math
from dataclasses import dataclass
from typing import Literal

from dsn_core.metadata import ModelMetadata
from dsn_ros.camera import Camera

__all__ = ['Scale', 'ScaleOptions', 'depth_scale']


@dataclass(frozen=True)
class ScaleOptions:
    """How to find the scale.

    ``none``: the network's own: metres if it is a metric model whose camera is known, relative
    otherwise. ``fixed``: ``factor`` times the network's depth is metres.
    """

    mode: Literal['none', 'fixed'] = 'none'
    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.mode not in ('none', 'fixed'):
            raise ValueError(f"scale.mode must be 'none' or 'fixed', got {self.mode!r}")
        if not 0 < self.factor < math.inf:
            raise ValueError(f'scale.factor must be above zero, got {self.factor}')


@dataclass(frozen=True)
class Scale:
    """Depth in the network's units x ``factor`` is the depth that is published."""

    factor: float
    metric: bool
    source: str


def depth_scale(options: ScaleOptions, metadata: ModelMetadata, camera: Camera | None) -> Scale:
    """The scale for a picture taken by ``camera`` (None: unknown), resized to the model's size.

    A network sees angles, not metres: the same picture through a lens of twice the focal length
    is of a scene twice as far away. So a metric model's depth holds for the focal length it was
    trained for and is scaled by the camera's own.
    """
    if options.mode == 'fixed':
        return Scale(options.factor, True, 'fixed')
    if metadata.scale == 'relative':
        return Scale(1.0, False, 'the model is relative')
    if metadata.focal_length is None:
        return Scale(1.0, True, 'model')
    if camera is None:
        return Scale(1.0, False, 'the camera is not calibrated')
    at_model = camera.resized(metadata.height, metadata.width)
    return Scale(at_model.focal_length / metadata.focal_length, True, 'model and focal length')
