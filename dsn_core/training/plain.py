"""Configurations as plain values: what a stage's record compares and JSON can hold."""

import dataclasses
from pathlib import Path
from typing import Any

from dsn_core.choice import Choice

__all__ = ['plain']


def plain(value: Any) -> Any:
    """Dataclasses as dictionaries (a Choice with its kind), tuples as lists, paths as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {'kind': value.kind, **fields} if isinstance(value, Choice) else fields
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value
