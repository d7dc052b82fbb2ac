"""Training configuration: dataclasses are the table; YAML files and ``key=value`` override it."""

import dataclasses
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dsn_core.errors import UserError

__all__ = ['ConfigError', 'PhaseConfig', 'SupervisedConfig', 'load_config']


class ConfigError(UserError):
    """A configuration that cannot be used; the text names the field."""


def _require(condition: bool, name: str, what: str, value: object) -> None:
    if not condition:
        raise ConfigError(f'{name} must be {what}, got {value!r}')


@dataclass(frozen=True)
class PhaseConfig:
    """One phase of training: pictures of one size. Small ones first saves most of the time."""

    height: int
    """Height of the pictures, a multiple of 32."""
    width: int
    """Width of the pictures, a multiple of 32."""
    batch_size: int
    """Samples a step."""
    samples: int
    """Samples in all."""
    learning_rate: float
    """Highest learning rate; warmed up over the first 5 % and then lowered by a half cosine."""

    def __post_init__(self) -> None:
        for name in ('height', 'width'):
            value = getattr(self, name)
            _require(value > 0 and value % 32 == 0, f'phases.{name}', 'a multiple of 32', value)
        for name in ('batch_size', 'samples'):
            value = getattr(self, name)
            _require(value > 0, f'phases.{name}', 'above zero', value)
        _require(
            0 < self.learning_rate < 1,
            'phases.learning_rate',
            'between 0 and 1',
            self.learning_rate,
        )


@dataclass(frozen=True)
class SupervisedConfig:
    """Training with the ground truth of simulated drives."""

    name: str
    """What the model is called; goes into the checkpoint and the deploy graph."""
    data: tuple[Path, ...]
    """Folders of drives that dsn simulate wrote; their split says which are trained on."""
    out: Path
    """The run's folder: checkpoints, metrics, pictures. Training resumes from what is there."""
    phases: tuple[PhaseConfig, ...]
    """What to train on, in this order."""
    training_data: str
    """One sentence for the model card and the deploy graph: what the network has seen."""
    focal_length: float = 320.0
    """Depth is learnt as if every camera had this focal length, pixels at the last phase's
    width: a lens of twice the focal length sees the same picture of a scene twice as far away."""
    min_depth: float = 0.5
    """Smallest depth that the network can say, metres at ``focal_length``."""
    max_depth: float = 150.0
    """Largest depth that the network can say, metres at ``focal_length``."""
    depth_weight: float = 1.0
    """Weight of the mean absolute error of log depth."""
    label_weight: float = 1.0
    """Weight of the cross-entropy."""
    camera_strength: float = 0.7
    """Photometric augmentation at the end of its ramp, 0 to 1."""
    camera_ramp: float = 0.5
    """Share of all samples over which photometric augmentation rises from nothing."""
    max_zoom: float = 1.8
    """Largest zoom of the random window."""
    weight_decay: float = 0.01
    """AdamW's weight decay."""
    ema_decay: float = 0.998
    """Decay a step of the averaged weights, which are the ones that are kept; 0: no average."""
    precision: str = 'bf16'
    """bf16 (mixed) or fp32."""
    workers: int = 1
    """Processes that read and augment frames."""
    validate_frames: int = 60
    """Validation frames a condition, spread evenly over the validation drives."""
    save_minutes: float = 5.0
    """How often the state is saved for resuming, minutes."""
    seed: int = 1
    """Seed of everything random."""

    def __post_init__(self) -> None:
        _require(bool(self.name), 'name', 'a name', self.name)
        _require(len(self.data) > 0, 'data', 'at least one folder', self.data)
        _require(len(self.phases) > 0, 'phases', 'at least one phase', self.phases)
        _require(0 < self.min_depth < self.max_depth, 'min_depth', '0 < min < max', self.min_depth)
        _require(self.focal_length > 0, 'focal_length', 'above zero', self.focal_length)
        _require(0 <= self.camera_strength <= 1, 'camera_strength', '0 to 1', self.camera_strength)
        _require(0 <= self.camera_ramp <= 1, 'camera_ramp', '0 to 1', self.camera_ramp)
        _require(1 <= self.max_zoom <= 8, 'max_zoom', '1 to 8', self.max_zoom)
        _require(0 <= self.ema_decay < 1, 'ema_decay', '0 to below 1', self.ema_decay)
        _require(self.precision in ('bf16', 'fp32'), 'precision', 'bf16 or fp32', self.precision)
        _require(self.workers >= 0, 'workers', 'zero or more', self.workers)
        _require(self.save_minutes > 0, 'save_minutes', 'above zero', self.save_minutes)
        _require(self.validate_frames > 0, 'validate_frames', 'above zero', self.validate_frames)


def load_config(path: Path, overrides: Sequence[str] = ()) -> SupervisedConfig:
    """Read a YAML file and apply ``key=value`` overrides (``phases.0.samples=64`` too).

    Raises ConfigError naming the file and the field that is unknown, missing or wrong.
    """
    try:
        data = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise ConfigError(f'{path}: no such configuration') from error
    except yaml.YAMLError as error:
        raise ConfigError(f'{path} is no YAML: {" ".join(str(error).split())}') from error
    if not isinstance(data, dict):
        raise ConfigError(f'{path} must hold fields, got {type(data).__name__}')
    for override in overrides:
        key, equals, value = override.partition('=')
        if not equals:
            raise ConfigError(f'{override!r} must be key=value')
        _override(data, key.split('.'), yaml.safe_load(value), key)
    try:
        return typing.cast(SupervisedConfig, _build(SupervisedConfig, data, ''))
    except ConfigError as error:
        raise ConfigError(f'{path}: {error}') from error


def _override(data: Any, keys: list[str], value: object, whole: str) -> None:
    for key in keys[:-1]:
        try:
            data = data[int(key)] if isinstance(data, list) else data[key]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise ConfigError(f'{whole}: there is no {key!r}') from error
    if isinstance(data, list):
        data[int(keys[-1])] = value
    else:
        data[keys[-1]] = value


def _build(kind: Any, data: Any, where: str) -> Any:
    """Turn plain YAML values into ``kind``, a dataclass, tuple, Path or plain type."""
    if dataclasses.is_dataclass(kind):
        if not isinstance(data, dict):
            raise ConfigError(f'{where or "the file"} must hold fields, got {data!r}')
        hints = typing.get_type_hints(kind)
        fields = {f.name: f for f in dataclasses.fields(kind)}
        unknown = sorted(set(data) - set(fields))
        if unknown:
            known = ', '.join(fields)
            raise ConfigError(f'{where}{unknown[0]} is no field: choose from {known}')
        for name, f in fields.items():
            if f.default is dataclasses.MISSING and name not in data:
                raise ConfigError(f'{where}{name} is missing')
        values = {k: _build(hints[k], v, f'{where}{k}.') for k, v in data.items()}
        return typing.cast(Any, kind)(**values)
    name = where.rstrip('.')
    if typing.get_origin(kind) is tuple:
        items = data if isinstance(data, list) else [data]
        return tuple(_build(typing.get_args(kind)[0], item, where) for item in items)
    if kind is Path and isinstance(data, str):
        return Path(data)
    if kind is float and isinstance(data, (int, float)) and not isinstance(data, bool):
        return float(data)
    if isinstance(data, kind) and not (kind is int and isinstance(data, bool)):
        return data
    raise ConfigError(f'{name} must be a {kind.__name__}, got {data!r}')
