"""A folder that a test may change, and others look at before or after."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def put_back(folder: Path, kept: Path) -> Iterator[None]:
    """Leave ``folder`` as it was, times of files included; ``kept`` is where it is kept."""
    shutil.copytree(folder, kept, symlinks=True)
    try:
        yield
    finally:
        shutil.rmtree(folder)
        kept.rename(folder)
