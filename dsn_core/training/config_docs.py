"""What the fields of a configuration mean: their docstrings, as comments of YAML and as tables.

The docstring of a field is the string below it, which Python itself throws away; it is read from
the source of the class.
"""

import ast
import dataclasses
import functools
import inspect
import math
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from dsn_core.choice import Choice
from dsn_core.training.config import RECIPES

__all__ = ['config_classes', 'field_docs', 'to_markdown', 'to_yaml']

_WIDTH = 99


def field_docs(cls: type) -> dict[str, str]:
    """Field of dataclass ``cls``, inherited ones too → its docstring as one line.

    Fields without one are left out.
    """
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if dataclasses.is_dataclass(base):
            docs |= _own_docs(base)
    return {f.name: docs[f.name] for f in dataclasses.fields(cls) if f.name in docs}


@functools.cache
def _own_docs(cls: type) -> dict[str, str]:
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(node, ast.ClassDef)
    docs: dict[str, str] = {}
    for statement, below in zip(node.body, node.body[1:], strict=False):
        match statement, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                docs[name] = _one_line(text)
    return docs


def _one_line(text: str) -> str:
    return ' '.join(text.split()).replace('``', '`')


def _summary(cls: type) -> str:
    """First paragraph of a class's docstring."""
    return _one_line((cls.__doc__ or '').strip().split('\n\n')[0])


def config_classes(cls: type) -> dict[type, list[str]]:
    """``cls`` and every configuration class that can stand below it → at which places.

    A place is the field's name with those above it, ``distil.schedule``; that of ``cls`` itself is
    ''. The members of a family of choices are those that have been defined so far.
    """
    places: dict[type, list[str]] = {}
    _visit(cls, '', (), places)
    return places


def _visit(cls: type, place: str, above: tuple[type, ...], places: dict[type, list[str]]) -> None:
    places.setdefault(cls, [])
    if place not in places[cls]:
        places[cls].append(place)
    hints = typing.get_type_hints(cls)
    for f in dataclasses.fields(cls):
        for below in _classes_in(hints[f.name]):
            if below not in (*above, cls):
                _visit(below, f'{place}.{f.name}'.lstrip('.'), (*above, cls), places)


def _classes_in(hint: Any) -> Iterator[type]:
    """The configuration classes that a field of this type may hold."""
    for argument in typing.get_args(hint):
        yield from _classes_in(argument)
    if isinstance(hint, type) and issubclass(hint, Choice):
        yield from (hint.kinds[kind] for kind in sorted(hint.kinds))
    elif dataclasses.is_dataclass(hint) and isinstance(hint, type):
        yield hint


def to_yaml(config: Any) -> str:
    """The whole of a configuration, each field below a comment that says what it means.

    ``load_config`` reads an equal configuration from it.
    """
    (recipe,) = (name for name, cls in RECIPES.items() if type(config) is cls)
    lines = [*_comment(_summary(type(config)), 0), f'recipe: {recipe}']
    for comment, entry in _entries(config, 0):
        lines += ['', *comment, *entry]
    return '\n'.join(lines) + '\n'


def _entries(config: Any, indent: int) -> Iterator[tuple[list[str], list[str]]]:
    """The lines of each field: its comment, and its name and value."""
    if isinstance(config, Choice):
        yield _comment(_summary(type(config)), indent), _value('kind', config.kind, indent)
    docs = field_docs(type(config))
    for f in dataclasses.fields(config):
        yield (
            _comment(docs.get(f.name, ''), indent),
            _value(f.name, getattr(config, f.name), indent),
        )


def _comment(text: str, indent: int) -> list[str]:
    start = f'{" " * indent}# '
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=start,
        subsequent_indent=start,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _value(name: str, value: Any, indent: int) -> list[str]:
    """The lines of ``name: value``."""
    pad = ' ' * indent
    if dataclasses.is_dataclass(value):
        return [f'{pad}{name}:', *_flat(_entries(value, indent + 2))]
    if isinstance(value, tuple) and any(map(dataclasses.is_dataclass, value)):
        return [f'{pad}{name}:', *(line for item in value for line in _item(item, indent + 2))]
    plain = _plain(value)
    text = _dump({name: plain}, None if isinstance(plain, list) else False, _WIDTH - indent)
    return [pad + line for line in text.split('\n')]


def _flat(entries: Iterator[tuple[list[str], list[str]]]) -> Iterator[str]:
    for comment, entry in entries:
        yield from comment
        yield from entry


def _item(config: Any, indent: int) -> Iterator[str]:
    """A configuration in a list: its first field follows a dash."""
    (comment, entry), *others = _entries(config, indent + 2)
    yield from (line[2:] for line in comment)
    yield f'{" " * indent}- {entry[0].lstrip()}'
    yield from entry[1:]
    yield from _flat(iter(others))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def to_markdown(cls: type) -> str:
    """What can be written in a configuration of ``cls``: a table for it and for each class below.

    A field's default is given as YAML writes it.
    """
    (recipe,) = (name for name, each in RECIPES.items() if each is cls)
    sections = [
        _section(each, f'recipe: {recipe}' if each is cls else '', places)
        for each, places in config_classes(cls).items()
    ]
    return '\n'.join(sections)


def _section(cls: type, title: str, places: list[str]) -> str:
    names = ', '.join(f'`{place}`' for place in places)
    if title:
        heading = f'## `{title}`'
    elif issubclass(cls, Choice):
        heading = f'### {names} of kind `{cls.kind}`'
    else:
        heading = f'### {names}'
    docs = field_docs(cls)
    rows = [
        f'| `{f.name}` | {_cell(_default(f))} | {_cell(docs.get(f.name, ""))} |'
        for f in dataclasses.fields(cls)
    ]
    table = ['| field | default | meaning |', '|---|---|---|', *rows] if rows else ['No fields.']
    return '\n'.join([heading, '', _summary(cls), '', *table, ''])


def _default(f: 'dataclasses.Field[Any]') -> str:
    default = _default_value(f)
    if default is dataclasses.MISSING:
        return 'required'
    if not dataclasses.is_dataclass(default):
        return f'`{_inline(default)}`'
    changed = {
        g.name: getattr(default, g.name)
        for g in dataclasses.fields(default)
        if getattr(default, g.name) != _default_value(g)
    }
    return f'below, with `{_inline(changed)}`' if changed else 'below'


def _default_value(f: 'dataclasses.Field[Any]') -> Any:
    return f.default if f.default_factory is dataclasses.MISSING else f.default_factory()


def _inline(value: Any) -> str:
    """A value as YAML in one line."""
    return _dump(_plain(value), True, math.inf).removesuffix('\n...')


def _dump(plain: Any, flow: bool | None, width: float) -> str:
    for allow_unicode in (True, False):
        text: str = yaml.safe_dump(
            plain, default_flow_style=flow, width=width, allow_unicode=allow_unicode
        ).rstrip('\n')
        # PyYAML writes the rarer line ends of Unicode bare, and then reads them as spaces.
        if text.replace('\n', '').isprintable():
            break
    return text


def _cell(text: str) -> str:
    return text.replace('|', '\\|')
