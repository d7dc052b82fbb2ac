"""The user's cache folder: where an engine that took minutes to build is kept.

Several nodes of one robot may start at once: writers take turns by a lock, and a file is there
whole or not at all.
"""

import contextlib
import fcntl
import functools
import logging
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ['cache_folder', 'locked', 'write_atomically']

_logger = logging.getLogger(__name__)


def cache_folder(name: str) -> Path | None:
    """The folder for ``name``, made if it isn't there; None (and one warning) if it can't be.

    ``$DSN_CACHE_DIR/name``, else ``$XDG_CACHE_HOME/dsn_ros/name``, else
    ``~/.cache/dsn_ros/name``.
    """
    chosen, xdg = os.environ.get('DSN_CACHE_DIR'), os.environ.get('XDG_CACHE_HOME')
    if chosen:
        root = Path(chosen).absolute()
    elif xdg and Path(xdg).is_absolute():  # the XDG standard: a relative one is to be ignored
        root = Path(xdg) / 'dsn_ros'
    else:
        root = Path('~/.cache/dsn_ros').expanduser()
    return _writable(root / name)


@functools.cache  # one warning for each folder
def _writable(folder: Path) -> Path | None:
    reason = 'it is not writable'
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder.stat().st_mode & stat.S_IWOTH:
            reason = 'everybody can write there, and an engine is a program'
        elif os.access(folder, os.W_OK | os.X_OK):
            return folder
    except (OSError, RuntimeError) as error:
        reason = str(error)
    _logger.warning(
        'nothing will be cached in %s: %s; set DSN_CACHE_DIR to a folder that can be written',
        folder,
        reason,
    )
    return None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of ``path`` (a file ``path.lock`` beside it), waiting for other processes.

    The lock goes with the process: none is left behind by a crash. Where the file system has no
    locks, work goes on without: the same thing may then be built twice.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(path.with_name(f'{path.name}.lock').open('ab'))
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            _logger.warning('%s cannot be locked: %s', path, error)
        yield


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``path`` whole or not at all; raises OSError and leaves nothing behind."""
    handle, name = tempfile.mkstemp(prefix=f'.{path.name}.', dir=path.parent)
    try:
        with os.fdopen(handle, 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the name without the content
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
