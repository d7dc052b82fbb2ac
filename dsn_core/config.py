"""Configurations: dataclasses are the table; YAML files and ``key=value`` override it."""

import dataclasses
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from dsn_core.choice import Choice
from dsn_core.errors import ConfigError

__all__ = ['apply_overrides', 'build', 'load']

T = TypeVar('T')


def load(
    path: Path, overrides: Sequence[str], parse: Callable[[dict[str, Any], Sequence[str]], T]
) -> T:
    """Read a YAML file, lay the files among ``overrides`` over it, and ``parse`` the outcome.

    An override without ``=`` that ends in .yaml is a file whose fields replace those of the files
    before it; ``parse`` gets the fields and the other overrides. Raises ConfigError naming the
    file, and the field that ``parse`` found unknown, missing or wrong.
    """
    layers = [o for o in overrides if '=' not in o and o.endswith(('.yaml', '.yml'))]
    data = _read(path)
    for layer in layers:
        _merge(data, _read(Path(layer)))
    try:
        return parse(data, [o for o in overrides if o not in layers])
    except ConfigError as error:
        raise ConfigError(f'{", ".join([str(path), *layers])}: {error}') from error


def apply_overrides(data: dict[str, Any], overrides: Sequence[str]) -> None:
    """Set ``key=value`` (``phases.0.samples=64`` too) in the plain values of a YAML file.

    Raises ConfigError naming the key that cannot be set.
    """
    for override in overrides:
        key, equals, value = override.partition('=')
        if not equals:
            raise ConfigError(f'{override!r} must be key=value')
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f'{key}: {value!r} is no YAML value') from error
        _override(data, key.split('.'), parsed, key)


def build(kind: type[T], fields: dict[str, Any]) -> T:
    """The dataclass ``kind`` of plain YAML values; raises ConfigError naming the field."""
    config: T = _dataclass(kind, fields, '')
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ConfigError(f'{path}: no such configuration') from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f'{path} is no YAML: {" ".join(str(error).split())}') from error
    if not isinstance(data, dict):
        raise ConfigError(f'{path} must hold fields, got {type(data).__name__}')
    return data


def _merge(data: dict[str, Any], layer: dict[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, dict) and isinstance(data.get(key), dict):
            _merge(data[key], value)
        else:
            data[key] = value


def _override(data: Any, keys: list[str], value: object, whole: str) -> None:
    """Set ``keys`` in ``data``; a list takes an index, or the field for each of its items."""
    key, rest = keys[0], keys[1:]
    if isinstance(data, list):
        if key.lstrip('-').isdigit():
            if not -len(data) <= int(key) < len(data):
                raise ConfigError(f'{whole}: there is no {key!r}')
            indices = [int(key)]
        else:
            indices, rest = list(range(len(data))), keys
        for i in indices:
            if rest:
                data[i] = _opened(data[i])
                _override(data[i], rest, value, whole)
            else:
                data[i] = value
    elif isinstance(data, dict):
        if not rest:
            data[key] = value
            return
        data[key] = _opened(data.get(key))
        if rest[0].isdigit() and not isinstance(data[key], list):
            data[key] = [data[key]]
        _override(data[key], rest, value, whole)
    else:
        raise ConfigError(f'{whole}: there is no {key!r}')


def _opened(data: Any) -> Any:
    """A path alone as the mapping that it is short for, so that fields can be set beside it."""
    if data is None:
        return {}
    return {'path': data} if isinstance(data, str) else data


def _build(kind: Any, data: Any, where: str) -> Any:
    """Turn plain YAML values into ``kind``; ``where`` is the field's place, for messages."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(kind)
        if data is None and type(None) in options:
            return None
        (only,) = (o for o in options if o is not type(None))
        return _build(only, data, where)
    if origin is tuple:
        items = data if isinstance(data, (list, tuple)) else [data]
        item = typing.get_args(kind)[0]
        alone = items is not data
        places = [where if alone else f'{where}.{i}' for i in range(len(items))]
        return tuple(_build(item, d, place) for d, place in zip(items, places, strict=True))
    if isinstance(kind, type) and issubclass(kind, Choice):
        return _choice(kind, data, where)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, data, where)
    if kind is Path and isinstance(data, str):
        return Path(data)
    if kind is float and isinstance(data, (int, float)) and not isinstance(data, bool):
        return float(data)
    if isinstance(data, kind) and not (kind is int and isinstance(data, bool)):
        return data
    raise ConfigError(f'{where} must be a {kind.__name__}, got {data!r}')


def _choice(family: type[Choice], data: Any, where: str) -> Any:
    try:
        if isinstance(data, str):
            data = family.parse(data)
        elif isinstance(data, dict) and 'kind' not in data and 'path' in data:
            data = {**family.parse(str(data['path'])), **data}
    except ConfigError as error:
        raise ConfigError(f'{where} {error}') from error
    if not isinstance(data, dict):
        raise ConfigError(f'{where} must hold fields, got {data!r}')
    fields = dict(data)
    kind = fields.pop('kind', None)
    if kind not in family.kinds:
        raise ConfigError(f'{where}.kind must be one of {", ".join(family.kinds)}, got {kind!r}')
    return _dataclass(family.kinds[kind], fields, where)


def _dataclass(kind: Any, data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise ConfigError(f'{where or "the file"} must hold fields, got {data!r}')
    dot = f'{where}.' if where else ''
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for name in data:
        if name not in fields:
            raise ConfigError(f'{dot}{name} is no field: choose from {", ".join(fields)}')
    for name, f in fields.items():
        has_default = (f.default, f.default_factory) != (dataclasses.MISSING,) * 2
        if not has_default and name not in data:
            raise ConfigError(f'{dot}{name} is missing')
    values = {k: _build(hints[k], v, f'{dot}{k}') for k, v in data.items()}
    try:
        return kind(**values)
    except (ConfigError, ValueError) as error:  # a field's own check names the field alone
        raise ConfigError(f'{dot}{error}') from error
