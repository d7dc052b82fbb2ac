"""Libraries that only some teachers need."""

import importlib
from typing import Any

from dsn_core.errors import UserError

__all__ = ['import_optional']


def import_optional(name: str, who: str) -> Any:
    """Import module ``name``; raises UserError saying that teacher ``who`` needs it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition('.')[0]
        raise UserError(f'teacher {who} needs {package}: pip install {package}') from error
