"""The losses, one file each, named by what they measure; ``TotalLoss`` is the paper's sum."""

from dsn_core.losses.affine import affine_invariant_distillation
from dsn_core.losses.consistency import domain_consistency
from dsn_core.losses.distillation import depth_distillation, segmentation_distillation
from dsn_core.losses.ground_truth import (
    label_cross_entropy,
    log_depth_error,
    log_depth_gradient_error,
)
from dsn_core.losses.light import exposure_control, light_similarity, total_variation
from dsn_core.losses.photometric import (
    auto_mask,
    over_sources,
    photometric_error,
    unwarped_error,
)
from dsn_core.losses.self_supervised import Frames, multiscale_smoothness, view_synthesis_error
from dsn_core.losses.smoothness import edge_aware_smoothness
from dsn_core.losses.speed import speed_supervision
from dsn_core.losses.ssim import ssim_dissimilarity, structural_similarity
from dsn_core.losses.total import LossInputs, PseudoLabels, TotalLoss, View
from dsn_core.losses.weights import LossOptions, LossWeights, required_inputs

__all__ = [
    'Frames',
    'LossInputs',
    'LossOptions',
    'LossWeights',
    'PseudoLabels',
    'TotalLoss',
    'View',
    'affine_invariant_distillation',
    'auto_mask',
    'depth_distillation',
    'domain_consistency',
    'edge_aware_smoothness',
    'exposure_control',
    'label_cross_entropy',
    'light_similarity',
    'log_depth_error',
    'log_depth_gradient_error',
    'multiscale_smoothness',
    'over_sources',
    'photometric_error',
    'required_inputs',
    'segmentation_distillation',
    'speed_supervision',
    'ssim_dissimilarity',
    'structural_similarity',
    'total_variation',
    'unwarped_error',
    'view_synthesis_error',
]
