"""Files that are written whole or not at all, and records that may not be there."""

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dsn_core.errors import UserError

__all__ = ['PARTIAL', 'has_content', 'json_object', 'replacing']

PARTIAL = '.partial'
"""How the name of a file ends while it is written."""


@contextlib.contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; it becomes ``path`` when the block ends well.

    Folders above are made. Killed in the block, ``path`` is as it was. So it is when the power
    fails if it is ``durable``: the disk is waited for, some 10 ms, before the file takes its name.
    Not worth it for the thousands of pictures that would be made again. Raises UserError where the
    disk is full or the folder cannot be written.
    """
    beside = path.with_name(path.name + PARTIAL)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        if durable:
            _sync(beside)
        os.replace(beside, path)
        if durable:
            _sync(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise UserError(
            f'{path} cannot be written ({error.strerror or error}): make room there or choose '
            f'another folder'
        ) from error


def has_content(path: Path) -> bool:
    """Whether there is a file ``path`` with anything in it: a power cut can leave empty ones."""
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _sync(path: Path) -> None:
    """Wait until the disk has what is in a file, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems cannot do it, with folders above all: that loses nothing here.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def json_object(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``; empty where there is none, or none that can be read."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
