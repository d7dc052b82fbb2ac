"""What teachers say: day depth (Eq 15) and classes (Eq 16, the terms of Eq 17)."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from dsn_core.labels import UNLABELLED
from dsn_core.losses.checks import as_map, full_precision, require_images, require_same_shape
from dsn_core.losses.consistency import median_of_kept, median_per_image
from dsn_core.losses.ssim import structural_similarity

__all__ = [
    'depth_distillation',
    'segmentation_distillation',
    'teacher_depth_in_unit_of',
]


def depth_distillation(
    depth: Tensor, teacher_depth: Tensor, scale: Tensor | float | None = None
) -> Tensor:
    """Eq 15 as a scalar: mean (D - s D̂)² plus mean 1 - SSIM(D, s D̂).

    ``depth`` D and ``teacher_depth`` D̂, of one shape (B, 1, H, W) or (B, H, W), finite, above
    zero, in any unit, depth or disparity alike; no gradient reaches the teacher. ``scale`` s, a
    number or one per image (B,), is what the teacher is multiplied by; None takes the ratio of
    the medians, median(D) / median(D̂), image by image: teacher and student each have their own
    arbitrary scale. SSIM's constants and the weights of Eq 18 suit values of about 1.

    The ratio carries no gradient: if it did, a smaller D would mean a smaller loss, without end.
    Departs from print, which says nothing of scale. Raises ValueError naming the argument whose
    shape is wrong.
    """
    depth = full_precision(as_map('depth', depth))
    teacher = full_precision(as_map('teacher_depth', teacher_depth)).detach()
    require_same_shape(depth=depth, teacher_depth=teacher)
    if scale is None:
        scale = median_per_image(depth.detach()) / median_per_image(teacher)  # (B, 1, 1, 1)
    elif isinstance(scale, Tensor):
        if scale.ndim > 1 or scale.numel() not in (1, len(depth)):
            raise ValueError(
                f'scale must be a number or ({len(depth)},), got {tuple(scale.shape)}'
            )
        scale = scale.to(depth).view(-1, 1, 1, 1)
    teacher = teacher * scale
    structure = 1 - structural_similarity(depth, teacher)  # (B, 1, H, W) in [0, 2]
    return (depth - teacher).square().mean() + structure.mean()


def teacher_depth_in_unit_of(depth: Tensor, teacher_disparity: Tensor, max_depth: float) -> Tensor:
    """The teacher's depth (B, 1, H, W) in the student's unit, without gradient: s D̂ of Eq 15.

    ``depth`` of the student and ``teacher_disparity``, inverse depth >= 0 in any unit, both
    (B, 1, H, W) or (B, H, W). The unit of each picture is the ratio of the medians of both inverse
    depths over the pixels where the teacher's is above zero. Zero, infinitely far, becomes
    ``max_depth``, as does all beyond: the student cannot say more. Raises ValueError naming the
    argument whose shape is wrong.
    """
    disparity = 1 / full_precision(as_map('depth', depth)).detach()
    teacher = full_precision(as_map('teacher_disparity', teacher_disparity)).detach()
    require_same_shape(depth=disparity, teacher_disparity=teacher)
    near = teacher > 0
    median, teacher_median = median_of_kept(disparity, near), median_of_kept(teacher, near)
    # Both are zero where all is infinitely far.
    scale = torch.where(teacher_median > 0, median / teacher_median, 0)  # (B, 1, 1, 1)
    return 1 / (teacher * scale).clamp(min=1 / max_depth)


def segmentation_distillation(
    logits: Tensor,
    teacher_probabilities: Tensor,
    threshold: float = 0.1,
    confidence: Tensor | None = None,
) -> Tensor:
    """Eq 16 as a scalar: cross-entropy with the teacher, mean over the pixels it is sure of.

    ``logits`` (B, C, H, W). ``teacher_probabilities``, either

    - soft: (B, C, H, W) probabilities y; a pixel is kept where its largest, the teacher's
      confidence, is above ``threshold`` τ, and then all of y counts; or
    - hard: (B, H, W) class ids of an integer type, 255 = unlabelled, left out; a pixel is kept
      where ``confidence`` (B, H, W) in [0, 1] is above τ, or everywhere without one.

    Zero, with a gradient of zero, where nothing is kept; no gradient reaches the teacher.

    Departs from print: the minus sign that print lost; the mean over kept pixels for a sum over
    all, which would swamp the other terms; τ on the pixel's confidence, as the paper's text has
    it, and not on each entry of y (for hard labels they are the same). Raises ValueError naming
    the argument whose shape or type is wrong.
    """
    require_images(logits=logits)
    logits = full_precision(logits)
    pixels = (logits.shape[0], *logits.shape[2:])
    teacher = teacher_probabilities.detach()
    if teacher.is_floating_point():
        if teacher.shape != logits.shape:
            raise ValueError(
                f'teacher_probabilities must be {tuple(logits.shape)} as logits are, '
                f'got {tuple(teacher.shape)}'
            )
        if confidence is not None:
            raise ValueError('confidence goes with hard labels: soft ones have their own')
        error = -(teacher.to(logits) * log_softmax(logits, dim=1)).sum(dim=1)  # (B, H, W)
        keep = teacher.amax(dim=1) > threshold
    else:
        if teacher.shape != pixels or teacher.dtype == torch.bool:
            raise ValueError(
                f'teacher_probabilities as class ids must be {pixels} of an integer type, '
                f'got {tuple(teacher.shape)} {teacher.dtype}'
            )
        error = cross_entropy(logits, teacher.long(), ignore_index=UNLABELLED, reduction='none')
        keep = teacher != UNLABELLED
        if confidence is not None:
            if confidence.shape != pixels or not confidence.is_floating_point():
                raise ValueError(
                    f'confidence must be {pixels} floating point in [0, 1], '
                    f'got {tuple(confidence.shape)} {confidence.dtype}'
                )
            keep = keep & (confidence > threshold)
    return torch.where(keep, error, torch.zeros_like(error)).sum() / keep.sum().clamp(min=1)
