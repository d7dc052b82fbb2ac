"""The losses, one file each, named by what they measure."""

from dsn_core.losses.ground_truth import label_cross_entropy, log_depth_error

__all__ = ['label_cross_entropy', 'log_depth_error']
