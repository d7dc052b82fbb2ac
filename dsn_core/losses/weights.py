"""The weights of Eq 3, 8, 11, 14, 17 and 18, and the choices that the equations leave open."""

import math
from dataclasses import dataclass, fields

from dsn_core.labels import CITYSCAPES
from dsn_core.losses.consistency import DEPTH_SPACES
from dsn_core.models.decoder import SCALES

__all__ = ['TEACHER_DEPTHS', 'LossOptions', 'LossWeights', 'required_inputs']

TEACHER_DEPTHS = ('scale', 'affine')


@dataclass(frozen=True)
class LossWeights:
    """Defaults are the paper's. What weighs zero is not computed and needs no inputs."""

    light: float = 0.01
    """alpha_light of Eq 18: the light enhancement module, Eq 3."""
    light_variation: float = 10.0
    """alpha_tv of Eq 1 and 2."""
    light_exposure: float = 1.0
    """alpha_exp of Eq 2, night only."""
    light_similarity: float = 1.0
    """alpha_ssim of Eq 1 and 2."""
    self_supervision: float = 1.0
    """alpha_sf of Eq 18: view synthesis, Eq 11."""
    self_supervision_day: float = 1.0
    """Real day in Eq 11."""
    self_supervision_synthetic_night: float = 1.0
    """Synthetic night in Eq 11."""
    self_supervision_night: float = 0.1
    """Real night in Eq 11, whose light changes from frame to frame."""
    smoothness: float = 0.001
    """Smoothness beside the photometric error in Eq 8 and 10, at full resolution."""
    consistency: float = 1.0
    """alpha_cst of Eq 18: day and night depth, Eq 14."""
    consistency_real: float = 1.0
    """Real day and synthetic night (Eq 12) in Eq 14."""
    consistency_synthetic: float = 1.0
    """Synthetic day and real night (Eq 13) in Eq 14."""
    depth_distillation: float = 1.0
    """alpha_ds of Eq 18: the day depth teacher, Eq 15."""
    segmentation: float = 1.0
    """alpha_seg of Eq 18: the segmentation teacher, Eq 17."""
    segmentation_day: float = 1.0
    """Real day in Eq 17."""
    segmentation_synthetic_night: float = 1.0
    """Synthetic night, with the real day's pseudo-label, in Eq 17."""
    segmentation_night: float = 1.0
    """Real night in Eq 17."""
    speed: float = 0.0
    """Speed supervision of PoseNet, per metre. Not in the paper; makes depth metric."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f'{field.name} must be zero or above, got {value}')


@dataclass(frozen=True)
class LossOptions:
    """How the terms are computed. Defaults are the paper's, or those of its [17]."""

    min_depth: float = 0.1
    """Depth of disparity 1, the network's unit: as ``DepthSegNet`` has it."""
    max_depth: float = 100.0
    """Depth of disparity 0."""
    scales: tuple[int, ...] = SCALES
    """Heads that view synthesis, smoothness and segmentation train, averaged; the head of scale s
    has 1 / 2^s of the size. Consistency and depth distillation look at scale 0."""
    alpha: float = 0.85
    """SSIM's share of Eq 6."""
    minimum_over_sources: bool = True
    """Judge a pixel by the source that explains it best; else by the mean of all."""
    auto_masking: bool = True
    """Leave out pixels that the unwarped source explains better than the warped."""
    depth_space: str = 'relative_disparity'
    """Where Eq 12, 13 and 15 compare: relative_disparity, relative_depth, or depth as printed."""
    teacher_depth: str = 'scale'
    """How the day depth teacher is followed: scale (Eq 15, its disparity is known up to scale) or
    affine (beyond the paper, up to scale and shift: foundation models; depth_space says nothing
    then)."""
    confidence_threshold: float = 0.1
    """Tau of Eq 16."""
    exposure_patch: int = 32
    """Side of the patches of exposure control, pixels."""
    sky_classes: tuple[int, ...] = CITYSCAPES.with_role('sky')
    """Class ids that Eq 13 masks out."""

    def __post_init__(self) -> None:
        wrong = {
            'min_depth': not 0 < self.min_depth < self.max_depth,
            'scales': not self.scales or not set(self.scales) <= set(SCALES),
            'alpha': not 0 <= self.alpha <= 1,
            'depth_space': self.depth_space not in DEPTH_SPACES,
            'teacher_depth': self.teacher_depth not in TEACHER_DEPTHS,
            'confidence_threshold': not 0 <= self.confidence_threshold < 1,
            'exposure_patch': self.exposure_patch < 1,
        }
        allowed = {
            'min_depth': f'above 0 and below max_depth {self.max_depth}',
            'scales': f'some of {SCALES}',
            'alpha': '0 to 1',
            'depth_space': f'one of {", ".join(DEPTH_SPACES)}',
            'teacher_depth': f'one of {", ".join(TEACHER_DEPTHS)}',
            'confidence_threshold': '0 to below 1',
            'exposure_patch': 'above zero',
        }
        for name, is_wrong in wrong.items():
            if is_wrong:
                raise ValueError(f'{name} must be {allowed[name]}, got {getattr(self, name)!r}')


# Group and term of a weight, both not zero: what the term looks at.
_NEEDS = {
    ('self_supervision', 'self_supervision_day'): ('day', 'day_frames'),
    ('self_supervision', 'self_supervision_synthetic_night'): ('synthetic_night', 'day_frames'),
    ('self_supervision', 'self_supervision_night'): ('night', 'night_frames'),
    ('consistency', 'consistency_real'): ('day', 'synthetic_night'),
    ('consistency', 'consistency_synthetic'): ('synthetic_day', 'night', 'night_labels'),
    ('depth_distillation', 'depth_distillation'): ('day', 'teacher_disparity'),
    ('segmentation', 'segmentation_day'): ('day', 'day_labels'),
    ('segmentation', 'segmentation_synthetic_night'): ('synthetic_night', 'day_labels'),
    ('segmentation', 'segmentation_night'): ('night', 'night_labels'),
}


def required_inputs(weights: LossWeights) -> frozenset[str]:
    """Names of the fields of ``LossInputs`` that ``TotalLoss`` with ``weights`` is to be given.

    Two groups take what is there, and are given what the others look at anyway:

    - light (Eq 3): the views of the other terms. The real day with its translation, and with
      exposure control the real night's translation with the night, whose brightness it takes. If
      no other term looks at a view, all four.
    - speed: the frames of the other terms; if none has any, those of day and night.

    So ``TotalLoss`` misses each of these names, but for those that only these two groups want:
    light averages over the views that are given (exposure control does miss its day), and speed
    makes do with one side. Nothing where every term weighs zero.
    """
    needed = {
        name
        for (group, term), names in _NEEDS.items()
        if getattr(weights, group) and getattr(weights, term)
        for name in names
    }
    if weights.speed and not needed & {'day_frames', 'night_frames'}:
        needed |= {'day_frames', 'night_frames'}
    exposure = weights.light_exposure
    if weights.light and (weights.light_variation or weights.light_similarity or exposure):
        needed |= _seen_by_light(needed, bool(exposure))
    return frozenset(needed)


def _seen_by_light(needed: set[str], exposure: bool) -> set[str]:
    views = needed & {'day', 'synthetic_night', 'night', 'synthetic_day'}
    if not views:
        return {'day', 'synthetic_night', 'night', 'synthetic_day'}
    if 'synthetic_night' in views:
        views.add('day')
    if 'night' in views and exposure:
        views.add('synthetic_day')
    return views
