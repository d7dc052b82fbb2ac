"""Files that are written whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from dsn_core.errors import UserError

__all__ = ['PARTIAL', 'replacing']

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
