"""Metric scale: by what factor the network's depth becomes metres, and whether it does."""

import math
from dataclasses import dataclass
from typing import Literal

from dsn_core.metadata import ModelMetadata
from dsn_ros.camera import Camera
from dsn_ros.scale_estimate import Estimate

__all__ = ['MODES', 'Scale', 'ScaleOptions', 'depth_scale']

MODES = ('none', 'fixed', 'ground', 'odometry')


@dataclass(frozen=True)
class ScaleOptions:
    """How to find the scale.

    ``none``: the network's own: metres if it is a metric model whose camera is known, relative
    otherwise. ``fixed``: ``factor`` times the network's depth is metres. ``ground``: by the
    camera's height above the road that it sees, ``camera_height`` metres, 0: as tf says.
    ``odometry``: by how far the robot went while points moved in the picture. The last two are
    medians over ``window`` seconds and hold for ``hold`` seconds without a new measure.
    """

    mode: Literal['none', 'fixed', 'ground', 'odometry'] = 'none'
    factor: float = 1.0
    camera_height: float = 0.0
    window: float = 5.0
    hold: float = 10.0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f'scale.mode must be one of {", ".join(MODES)}, got {self.mode!r}')
        if not 0 < self.factor < math.inf:
            raise ValueError(f'scale.factor must be above zero, got {self.factor}')
        if not 0 <= self.camera_height < math.inf:
            raise ValueError(
                f'scale.camera_height must be above zero, or 0 for tf, got {self.camera_height}'
            )
        for name, seconds in (('window', self.window), ('hold', self.hold)):
            if not 0 < seconds < math.inf:
                raise ValueError(f'scale.{name} must be above zero seconds, got {seconds}')

    @property
    def measured(self) -> bool:
        """Whether the scale is measured from the frames themselves."""
        return self.mode in ('ground', 'odometry')


@dataclass(frozen=True)
class Scale:
    """Depth in the network's units x ``factor`` is the depth that is published.

    It is metres where ``metric``. ``source`` says where the factor comes from, or why depth is
    not metric. ``spread``: standard deviation of ln(factor), so a share of it; None where nobody
    measured it. ``measure``: what this frame alone said, in the modes that look at frames.
    """

    factor: float
    metric: bool
    source: str
    spread: float | None = None
    measure: Estimate | None = None


def depth_scale(options: ScaleOptions, metadata: ModelMetadata, camera: Camera | None) -> Scale:
    """The scale for a picture taken by ``camera`` (None: unknown) of the size that was shown.

    A network sees angles, not metres: the same picture through a lens of twice the focal length
    is of a scene twice as far away. So a metric model's depth holds for the focal length it was
    trained for and is scaled by the camera's own. The modes that measure get the model's own
    scale here, which is where they start from.
    """
    if options.mode == 'fixed':
        return Scale(options.factor, True, 'fixed')
    if metadata.scale == 'relative':
        return Scale(1.0, False, 'the model is relative')
    if metadata.focal_length is None:
        return Scale(1.0, True, 'model')
    if camera is None:
        return Scale(1.0, False, 'the camera is not calibrated')
    return Scale(camera.focal_length / metadata.focal_length, True, 'model and focal length')
