"""Digests of files and values: whether something is the same, by content and not by date.

Nothing here needs torch.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from dsn_core.files import replacing

__all__ = ['Digests', 'content_digest', 'digest_of', 'sha256']


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def digest_of(value: object) -> str:
    """Hex digest of a JSON-able value."""
    text = json.dumps(value, sort_keys=True, separators=(',', ':'))
    return hashlib.sha256(text.encode()).hexdigest()


def content_digest(groups: Iterable[tuple[str, Iterable[Path]]]) -> str:
    """Hex digest of the names of ``groups``, and of their files' names and contents, in order."""
    return digest_of(
        [
            [name, [[f'{file.parent.name}/{file.name}', sha256(file)] for file in files]]
            for name, files in groups
        ]
    )


class Digests:
    """Digests of files, remembered with the size and time that each file had.

    A file that is touched or copied is read again and found the same: what counts is content.
    The memory is ``path``, a JSON file; without it everything is read once more.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, list[object]] = {}
        self._grown = False
        try:
            known = json.loads(path.read_text())
            if isinstance(known, dict):
                self._known = known
        except (OSError, ValueError):
            pass

    def of_file(self, path: Path) -> str:
        """Hex digest of one file's content."""
        stat = path.stat()
        name = str(path.resolve())
        known = self._known.get(name)
        if known is not None and known[:2] == [stat.st_size, stat.st_mtime_ns]:
            return str(known[2])
        digest = sha256(path)
        self._known[name] = [stat.st_size, stat.st_mtime_ns, digest]
        self._grown = True
        return digest

    def of_files(self, files: Iterable[Path], below: Path | None = None) -> str:
        """Hex digest of files and their names (relative to ``below``, else the last part)."""
        rows = [
            [str(f.relative_to(below)) if below else f.name, self.of_file(f)]
            for f in sorted(files)
        ]
        return digest_of(rows)

    def save(self) -> None:
        """Write the memory, if there is anything new in it."""
        if not self._grown:
            return
        with replacing(self._path) as beside:
            beside.write_text(json.dumps(self._known))
        self._grown = False
