"""Fingerprints of teachers: the same for the same content, wherever it lies."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from dsn_core.digest import digest_of, sha256

__all__ = ['files_digest', 'fingerprint_of']


def fingerprint_of(kind: str, *parts: object) -> str:
    """A teacher's kind, and a hex digest of all (JSON-able) that its answers depend on."""
    return f'{kind}:{digest_of([kind, *parts])}'


def files_digest(files: Iterable[Path], below: Path) -> str:
    """Hex digest of the contents of ``files`` and of their names below ``below``."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f'{file.relative_to(below).as_posix()}\0{sha256(file)}\n'.encode())
    return digest.hexdigest()
