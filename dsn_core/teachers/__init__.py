"""Teachers: pictures in, pseudo-labels out. Libraries are loaded with the models, not before."""

from dsn_core.teachers.base import DepthTeacher, Labeller, Labels, LabelTeacher, Ranger
from dsn_core.teachers.checkpoint_teacher import CheckpointDepthTeacher, CheckpointLabelTeacher
from dsn_core.teachers.depth_anything import DepthAnythingTeacher
from dsn_core.teachers.folders import FolderDepthTeacher, FolderLabelTeacher
from dsn_core.teachers.mask2former import Mask2FormerTeacher
from dsn_core.teachers.onnx_teacher import OnnxLabelTeacher, set_default_model
from dsn_core.teachers.storage import (
    read_inverse_depth,
    read_labels,
    write_inverse_depth,
    write_labels,
)

__all__ = [
    'CheckpointDepthTeacher',
    'CheckpointLabelTeacher',
    'DepthAnythingTeacher',
    'DepthTeacher',
    'FolderDepthTeacher',
    'FolderLabelTeacher',
    'LabelTeacher',
    'Labeller',
    'Labels',
    'Mask2FormerTeacher',
    'OnnxLabelTeacher',
    'Ranger',
    'read_inverse_depth',
    'read_labels',
    'set_default_model',
    'write_inverse_depth',
    'write_labels',
]
