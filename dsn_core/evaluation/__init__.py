"""Metrics and protocols."""

from dsn_core.evaluation.depth import DepthErrors, depth_errors
from dsn_core.evaluation.labels import LabelScore

__all__ = ['DepthErrors', 'LabelScore', 'depth_errors']
