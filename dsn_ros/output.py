"""A results folder whose files are whole: written beside, renamed when all of them are done."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dsn_ros.errors import UserError

__all__ = ['staged', 'write_json']


@contextlib.contextmanager
def staged(out: Path) -> Iterator[Path]:
    """Give a folder to write into; what is in it moves into ``out`` when the block ends well.

    A file or folder of the same name in ``out`` is replaced, everything else there is kept. When
    the block raises, ``out`` stays as it was. Raises UserError where ``out`` cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix='.partial-', dir=out))
    except OSError as error:
        raise UserError(
            f'{out} cannot be written ({error.strerror}): choose another folder with --out'
        ) from error
    try:
        yield beside
        for file in sorted(beside.rglob('*')):
            if file.is_file():
                target = out / file.relative_to(beside)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(file, target)
    except OSError as error:
        raise UserError(f'{out} cannot be written: {error}') from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write_json(path: Path, data: Any) -> None:
    """Write ``data`` as indented JSON."""
    path.write_text(json.dumps(data, indent=2) + '\n')
