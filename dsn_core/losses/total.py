"""The total loss (Eq 18) and the sums that it is made of (Eq 3, 8, 10, 11, 14, 17)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from dsn_core.losses.affine import affine_invariant_distillation
from dsn_core.losses.checks import full_precision
from dsn_core.losses.consistency import (
    domain_consistency,
    in_space,
    relative_consistency,
    without_pull_on_scale,
)
from dsn_core.losses.distillation import (
    depth_distillation,
    segmentation_distillation,
    teacher_depth_in_unit_of,
)
from dsn_core.losses.light import exposure_control, light_similarity, total_variation
from dsn_core.losses.photometric import unwarped_error
from dsn_core.losses.self_supervised import Frames, multiscale_smoothness, view_synthesis_error
from dsn_core.losses.speed import speed_supervision
from dsn_core.losses.weights import LossOptions, LossWeights
from dsn_core.models.decoder import disparity_to_depth
from dsn_core.models.depthsegnet import Perceived

__all__ = ['LossInputs', 'PseudoLabels', 'TotalLoss', 'View']

T = TypeVar('T')
Term = tuple[str, float, Tensor]  # name, weight in its group, value


@dataclass(frozen=True)
class View:
    """A picture as the network saw it, and what the network made of it."""

    image: Tensor
    """(B, 3, H, W) in [0, 1], with whatever jitter the network was shown."""
    perceived: Perceived
    """The network's outputs, at the scales of ``LossOptions`` (synthetic day: scale 0)."""


@dataclass(frozen=True)
class PseudoLabels:
    """What the segmentation teacher says of a real picture."""

    teacher: Tensor
    """Soft (B, C, H, W) probabilities, or hard (B, H, W) integer ids, 255 = unlabelled."""
    confidence: Tensor | None = None
    """(B, H, W) in [0, 1], with hard labels; None: sure everywhere."""


@dataclass(frozen=True)
class LossInputs:
    """One batch: B real day pictures and B real night ones, each with its translation.

    Whatever only a term of weight zero would use may stay None. Sample b is the same scene, and
    the same flip, in ``day``, ``synthetic_night``, ``day_frames``, ``teacher_disparity``
    and ``day_labels``; so in ``night``, ``synthetic_day``, ``night_frames`` and ``night_labels``.
    """

    day: View | None = None
    """Real day, I^d."""
    synthetic_night: View | None = None
    """Its translation to night."""
    night: View | None = None
    """Real night, I^n."""
    synthetic_day: View | None = None
    """Its translation to day; only its light is trained, its depth is a pseudo-label."""
    day_frames: Frames | None = None
    """The real day's neighbours and motion."""
    night_frames: Frames | None = None
    """The real night's neighbours and motion."""
    teacher_disparity: Tensor | None = None
    """Inverse depth of real day (B, 1, H, W) by the day teacher, finite, >= 0, in any unit. 0 is
    infinitely far; with the option teacher_depth 'affine' its zero may lie anywhere."""
    day_labels: PseudoLabels | None = None
    """Pseudo-labels of real day, y^d."""
    night_labels: PseudoLabels | None = None
    """Pseudo-labels of real night, y^n; they also say where the sky of Eq 13 is."""


class TotalLoss:
    """Eq 18. Called with ``LossInputs``, returns every term by name, and their sum as ``total``.

    Names: a group (``light``, ``self_supervision``, ``consistency``, ``depth_distillation``,
    ``segmentation``, ``speed``) is its equation's weighted sum, before the weight of Eq 18;
    ``group/...`` are the terms of that sum, before their own weights. Scalars, with gradients. A
    term of weight zero is absent, its inputs untouched.
    """

    def __init__(
        self, weights: LossWeights | None = None, options: LossOptions | None = None
    ) -> None:
        self.weights = weights or LossWeights()
        self.options = options or LossOptions()

    def __call__(
        self, inputs: LossInputs, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """``generator`` draws the noise of auto-masking (None: torch's own).

        Raises ValueError if no term has a weight, or naming the input that a weighted term lacks.
        """
        w = self.weights
        # Generators: nothing of a group is computed before its weight is known not to be zero.
        groups: tuple[tuple[str, float, Iterator[Term]], ...] = (
            ('light', w.light, self._light(inputs)),
            ('self_supervision', w.self_supervision, self._self_supervision(inputs, generator)),
            ('consistency', w.consistency, self._consistency(inputs)),
            ('depth_distillation', w.depth_distillation, self._depth_distillation(inputs)),
            ('segmentation', w.segmentation, self._segmentation(inputs)),
            ('speed', w.speed, self._speed(inputs)),
        )
        terms: dict[str, Tensor] = {}
        total: list[Tensor] = []
        for group, group_weight, parts in groups:
            if not group_weight:
                continue
            weighted = []
            for name, weight, value in parts:
                terms[f'{group}/{name}'] = value
                weighted.append(weight * value)
            if weighted:
                terms[group] = torch.stack(weighted).sum()
                total.append(group_weight * terms[group])
        if not total:
            raise ValueError('weights: nothing to train, every term with inputs weighs zero')
        terms['total'] = torch.stack(total).sum()
        return terms

    def _light(self, inputs: LossInputs) -> Iterator[Term]:
        """Eq 1-3 over the views that are given; real and synthetic ones of a time are averaged."""
        w = self.weights
        times = {
            'day': (inputs.day, inputs.synthetic_day),
            'night': (inputs.night, inputs.synthetic_night),
        }
        for time, both in times.items():
            views = [view for view in both if view is not None]
            if views and w.light_variation:
                values = [total_variation(v.perceived.light) for v in views]
                yield f'{time}/variation', w.light_variation, _mean(values)
            if views and w.light_similarity:
                values = [light_similarity(v.perceived.enhanced, v.image) for v in views]
                yield f'{time}/similarity', w.light_similarity, _mean(values)
            if views and w.light_exposure and time == 'night':
                yield 'night/exposure', w.light_exposure, self._exposure(inputs)

    def _exposure(self, inputs: LossInputs) -> Tensor:
        values = []
        for night, day, name in (
            (inputs.synthetic_night, inputs.day, 'day'),
            (inputs.night, inputs.synthetic_day, 'synthetic_day'),
        ):
            if night is not None:
                # E: how bright the same scene is by day.
                level = full_precision(_need(day, name, 'light_exposure').image).mean((1, 2, 3))
                patch = self.options.exposure_patch
                values.append(exposure_control(night.perceived.enhanced, level, patch))
        return _mean(values)

    def _self_supervision(
        self, inputs: LossInputs, generator: torch.Generator | None
    ) -> Iterator[Term]:
        """Eq 11, each of its three (Eq 8, 10) in its photometric and its smoothness part."""
        w, o = self.weights, self.options
        unwarped: dict[str, Tensor] = {}  # real day and synthetic night share one
        for name, frames_name in (
            ('day', 'day_frames'),
            ('synthetic_night', 'day_frames'),
            ('night', 'night_frames'),
        ):
            key = f'self_supervision_{name}'
            weight = getattr(w, key)
            if not weight:
                continue
            disparities = _need(getattr(inputs, name), name, key).perceived.disparities
            frames: Frames = _need(getattr(inputs, frames_name), frames_name, key)
            if o.auto_masking and frames_name not in unwarped:
                unwarped[frames_name] = unwarped_error(
                    frames.target, frames.sources, o.alpha, o.minimum_over_sources, generator
                )
            photometric = view_synthesis_error(
                disparities,
                frames,
                unwarped.get(frames_name),
                min_depth=o.min_depth,
                max_depth=o.max_depth,
                alpha=o.alpha,
                minimum=o.minimum_over_sources,
                scales=o.scales,
            )
            yield f'{name}/photometric', weight, photometric
            if w.smoothness:
                smoothness = multiscale_smoothness(disparities, frames.target, o.scales)
                yield f'{name}/smoothness', weight * w.smoothness, smoothness

    def _consistency(self, inputs: LossInputs) -> Iterator[Term]:
        """Eq 14."""
        key = 'consistency_real'
        if weight := self.weights.consistency_real:
            day = _need(inputs.day, 'day', key)
            night = _need(inputs.synthetic_night, 'synthetic_night', key)
            yield 'real', weight, self._compare(day, night, None)
        key = 'consistency_synthetic'
        if weight := self.weights.consistency_synthetic:
            day = _need(inputs.synthetic_day, 'synthetic_day', key)
            night = _need(inputs.night, 'night', key)
            sky = self._sky(_need(inputs.night_labels, 'night_labels', key))
            yield 'synthetic', weight, self._compare(day, night, ~sky)

    def _sky(self, labels: PseudoLabels) -> Tensor:
        """Where the teacher sees sky, (B, H, W) bool."""
        teacher = labels.teacher
        ids = teacher.argmax(dim=1) if teacher.is_floating_point() else teacher  # (B, H, W)
        sky = torch.zeros_like(ids, dtype=torch.bool)
        for c in self.options.sky_classes:
            sky = sky | (ids == c)
        return sky

    def _compare(self, day: View, night: View, mask: Tensor | None) -> Tensor:
        reference, values = self._depth(day), self._depth(night)
        if self.options.depth_space == 'depth':
            return domain_consistency(reference, values, mask)
        if self.options.depth_space == 'relative_disparity':
            reference, values = 1 / reference, 1 / values
        return relative_consistency(reference, values, mask)

    def _depth_distillation(self, inputs: LossInputs) -> Iterator[Term]:
        """Eq 15, or its affine-invariant counterpart, on real day."""
        day = _need(inputs.day, 'day', 'depth_distillation')
        teacher = _need(inputs.teacher_disparity, 'teacher_disparity', 'depth_distillation')
        if self.options.teacher_depth == 'affine':
            # The sigmoid's values are inverse depth up to scale and shift, too.
            value = affine_invariant_distillation(day.perceived.disparities[0], teacher)
        else:
            depth = self._depth(day)
            target = teacher_depth_in_unit_of(depth, teacher, self.options.max_depth)
            space = self.options.depth_space
            student, median = in_space(depth, space)
            target, _ = in_space(target, space, median)
            value = depth_distillation(without_pull_on_scale(student), target, 1.0)
        yield 'day', 1.0, value

    def _segmentation(self, inputs: LossInputs) -> Iterator[Term]:
        """Eq 17; every head is trained, upsampled to the labels' size (Table 4 counts four)."""
        for name, labels_name in (
            ('day', 'day_labels'),
            ('synthetic_night', 'day_labels'),
            ('night', 'night_labels'),
        ):
            key = f'segmentation_{name}'
            weight = getattr(self.weights, key)
            if weight:
                view = _need(getattr(inputs, name), name, key)
                labels = _need(getattr(inputs, labels_name), labels_name, key)
                yield name, weight, self._cross_entropy(view, labels)

    def _cross_entropy(self, view: View, labels: PseudoLabels) -> Tensor:
        threshold = self.options.confidence_threshold
        values = []
        for s in self.options.scales:
            logits = interpolate(
                full_precision(view.perceived.logits[s]),
                size=labels.teacher.shape[-2:],
                mode='bilinear',
                align_corners=False,
            )  # (B, C, H, W)
            values.append(
                segmentation_distillation(logits, labels.teacher, threshold, labels.confidence)
            )
        return _mean(values)

    def _speed(self, inputs: LossInputs) -> Iterator[Term]:
        """Not in the paper; over day and night frames, those whose distances are given."""
        times = {'day': inputs.day_frames, 'night': inputs.night_frames}
        given = {k: f for k, f in times.items() if f is not None and f.distances is not None}
        if not given:
            raise ValueError(
                'the distances of day_frames and night_frames are missing, but the weight speed '
                'is not zero: give those of one, or set speed to 0'
            )
        for time, frames in given.items():
            steps = zip(frames.transforms, frames.distances or (), strict=True)
            values = [speed_supervision(t[:, :3, 3], distance) for t, distance in steps]
            yield time, 1.0, _mean(values)

    def _depth(self, view: View) -> Tensor:
        """Depth (B, 1, H, W) of the head of scale 0, in the network's unit."""
        disparity = full_precision(view.perceived.disparities[0])
        return disparity_to_depth(disparity, self.options.min_depth, self.options.max_depth)


def _need(value: T | None, name: str, weight: str) -> T:
    if value is None:
        raise ValueError(
            f'{name} is missing, but the weight {weight} is not zero: '
            f'give {name}, or set {weight} to 0'
        )
    return value


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()
