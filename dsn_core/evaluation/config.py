"""Configuration of ``dsn evaluate``."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsn_core import config as generic
from dsn_core.errors import require
from dsn_core.evaluation import (
    folder_row,
    model_row,
    nuscenes_set,
    picture_set,
    poses_set,
    robotcar_set,
)
from dsn_core.evaluation.rows import Row
from dsn_core.evaluation.samples import EvaluationSet

__all__ = ['DepthProtocol', 'EvaluationConfig', 'load_evaluation']

assert 'folder' in Row.kinds, f'{folder_row.__name__} is imported for what it registers'
assert 'pictures' in EvaluationSet.kinds, f'{picture_set.__name__} is imported for that'
assert 'poses' in EvaluationSet.kinds, f'{poses_set.__name__} is imported for what it registers'
assert 'nuscenes' in EvaluationSet.kinds, f'{nuscenes_set.__name__} is imported for that'
assert 'robotcar' in EvaluationSet.kinds, f'{robotcar_set.__name__} is imported for that'
assert 'model' in Row.kinds, f'{model_row.__name__} is imported for what it registers'


@dataclass(frozen=True)
class DepthProtocol:
    """Which depths count, and what predictions are clamped to."""

    cap: float
    """Farthest depth, metres: truth from there on is left out."""
    min_depth: float
    """Nearest depth, metres: truth up to there is left out."""

    def __post_init__(self) -> None:
        require(self.min_depth > 0, 'min_depth', 'above zero', self.min_depth)
        require(self.min_depth < self.cap, 'cap', 'above min_depth', self.cap)


@dataclass(frozen=True)
class EvaluationConfig:
    """What is scored, on what, and how."""

    sets: tuple[EvaluationSet, ...]
    """Pictures with ground truth."""
    rows: tuple[Row, ...]
    """Networks and folders of predictions."""
    training: tuple[EvaluationSet, ...] = ()
    """Training data whose true depth the two baselines without a picture are made of; nothing: no
    baselines."""
    training_frames: int = 200
    """So many training frames at most, spread evenly."""
    table_1: DepthProtocol = field(default_factory=lambda: DepthProtocol(40.0, 0.1))
    """Protocol of Table 1 (Oxford RobotCar)."""
    table_2: DepthProtocol = field(default_factory=lambda: DepthProtocol(80.0, 1e-3))
    """Protocol of Table 2 (nuScenes), and of scale error and temporal consistency."""

    def __post_init__(self) -> None:
        require(len(self.sets) > 0, 'sets', 'at least one set', self.sets)
        require(len(self.rows) > 0, 'rows', 'at least one row', self.rows)
        for name, several in (('sets', self.sets), ('rows', self.rows)):
            names = [each.name for each in several]
            require(len(set(names)) == len(names), name, 'of different names', names)
        require(self.training_frames > 0, 'training_frames', 'above zero', self.training_frames)


def load_evaluation(path: Path, overrides: Sequence[str] = ()) -> EvaluationConfig:
    """Read a YAML file and apply overrides, as ``dsn train`` does; raises ConfigError."""
    return generic.load(path, overrides, _parse)


def _parse(data: dict[str, Any], overrides: Sequence[str]) -> EvaluationConfig:
    generic.apply_overrides(data, overrides)
    return generic.build(EvaluationConfig, data)
