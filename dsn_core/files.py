"""Files that are written whole or not at all, and records that may not be there."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dsn_core.errors import UserError

__all__ = ['PARTIAL', 'json_object', 'replacing']

PARTIAL = '.partial'
"""How the name of a file ends while it is written."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; it becomes ``path`` when the block ends well.

    Folders above are made. Killed in the block, ``path`` is as it was. Raises UserError where
    the disk is full or the folder cannot be written.
    """
    beside = path.with_name(path.name + PARTIAL)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        os.replace(beside, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise UserError(
            f'{path} cannot be written ({error.strerror or error}): make room there or choose '
            f'another folder'
        ) from error


def json_object(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``; empty where there is none, or none that can be read."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
