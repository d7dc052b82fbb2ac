"""A results folder whose files are whole: written beside, moved when all of them are done.

A run may be killed at any moment. Until all files are written, ``.partial-*`` in the folder holds
them; it is renamed to ``.complete-*`` at once, and only then are they moved out of it. So a later
run finds either half a result, which it removes, or a whole one, whose moving it finishes.
"""

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dsn_ros.errors import UserError

__all__ = ['staged', 'write_json']

_PARTIAL, _COMPLETE = '.partial-', '.complete-'


@contextlib.contextmanager
def staged(out: Path) -> Iterator[Path]:
    """Give a folder to write into; what is in it moves into ``out`` when the block ends well.

    A file of the same name in ``out`` is replaced, everything else there is kept. When the block
    raises, ``out`` stays as it was. Killed, it is as it was or holds all of the new files, some
    of which the next use of ``staged`` may have to move into their places.

    Raises UserError where ``out`` cannot be written.
    """
    with contextlib.ExitStack() as held:
        try:
            out.mkdir(parents=True, exist_ok=True)
            _settle(out)
            beside = _claimed(out, held)
        except OSError as error:
            raise UserError(
                f'{out} cannot be written ({error.strerror}): choose another folder with --out'
            ) from error
        try:
            yield beside
            _commit(beside, out)
        except OSError as error:
            raise UserError(f'{out} cannot be written: {error}') from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def write_json(path: Path, data: Any) -> None:
    """Write ``data`` as indented JSON."""
    path.write_text(json.dumps(data, indent=2) + '\n')


def _claimed(out: Path, held: contextlib.ExitStack) -> Path:
    """A new folder in ``out`` that is ours until ``held`` ends, or this process does."""
    while True:
        beside = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=out))
        if _locked(beside, held, without=True) and beside.is_dir():
            return beside  # else another run took it for a dead one's, in between


def _locked(folder: Path, held: contextlib.ExitStack, without: bool = False) -> bool:
    """Whether nobody else holds ``folder``, which we do from now on.

    ``without``: the answer on storage that has no locks.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return False
    held.callback(os.close, handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return without
    return True


def _settle(out: Path) -> None:
    """Finish what runs that were killed left in ``out``, or remove it; raises OSError."""
    for left in sorted(out.glob('.*-*')):
        with contextlib.ExitStack() as held:
            if left.name.startswith(_COMPLETE) and _locked(left, held):
                _move(left, out)
            elif left.name.startswith(_PARTIAL) and _locked(left, held):
                shutil.rmtree(left, ignore_errors=True)


def _commit(beside: Path, out: Path) -> None:
    """Move all files of ``beside`` into ``out``, to be finished by others if we are killed."""
    for file in _files(beside):  # what could still fail, before anything is changed
        target = out / file.relative_to(beside)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            raise IsADirectoryError(f'{target} is a folder, where a file is to be')
    complete = out / beside.name.replace(_PARTIAL, _COMPLETE)
    beside.rename(complete)
    _move(complete, out)


def _move(complete: Path, out: Path) -> None:
    for file in _files(complete):
        target = out / file.relative_to(complete)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, target)
    shutil.rmtree(complete, ignore_errors=True)


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob('*') if file.is_file())
