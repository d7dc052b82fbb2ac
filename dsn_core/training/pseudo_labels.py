"""What the teachers say of whole domains, written file by file: shared, resumable."""

from collections.abc import Iterator, Mapping
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from dsn_core.teachers import DepthTeacher, LabelTeacher
from dsn_core.teachers.storage import read_labels, write_inverse_depth, write_labels
from dsn_core.training import world
from dsn_core.training.frame_store import FrameStore

__all__ = ['write_pseudo_depth', 'write_pseudo_labels']

_LOOKED_AT = 500  # frames at most whose confidence is averaged
Batch = tuple[list[Path], NDArray[np.uint8], list[str]]


def write_pseudo_labels(
    stores: Mapping[str, FrameStore],
    teacher: LabelTeacher,
    folder: Path,
    batch_size: int,
    device: str,
) -> dict[str, float]:
    """Write ``folder/DOMAIN/NAME.png`` for every frame of ``stores`` that has none yet.

    Returns the mean confidence by domain, of frames spread evenly over it.
    """
    labeller = cache(partial(teacher.load, device))  # not loaded if nothing is missing
    figures = {}
    for domain, store in stores.items():
        for paths, images, names in _missing(domain, store, folder / domain, batch_size):
            labels = labeller()(images, names)
            for path, ids, confidence in zip(paths, labels.ids, labels.confidence, strict=True):
                write_labels(path, ids, confidence)
        world.barrier()
        if not world.rank():
            figures[f'{domain}/confidence'] = _confidence(store, folder / domain)
    return figures


def _confidence(store: FrameStore, folder: Path) -> float:
    spread = np.linspace(0, len(store) - 1, min(len(store), _LOOKED_AT)).astype(int)
    maps = (read_labels(_path(folder, store, int(i)))[1] for i in spread)
    return float(np.mean([confidence.mean() / 255 for confidence in maps]))


def write_pseudo_depth(
    store: FrameStore, teacher: DepthTeacher, folder: Path, batch_size: int, device: str
) -> None:
    """Write ``folder/NAME.png`` for every day frame of ``store`` that has none yet."""
    ranger = cache(partial(teacher.load, device))
    for paths, images, names in _missing('day', store, folder, batch_size):
        for path, inverse in zip(paths, ranger()(images, names), strict=True):
            write_inverse_depth(path, inverse)


def _missing(domain: str, store: FrameStore, folder: Path, batch_size: int) -> Iterator[Batch]:
    """Yield this process's share of the frames that have no file in ``folder``, in batches."""
    folder.mkdir(parents=True, exist_ok=True)
    mine = [i for i in world.share(len(store)) if not _path(folder, store, i).exists()]
    starts = range(0, len(mine), batch_size)
    for start in tqdm(starts, desc=f'{folder.parent.name} {domain}', unit='batch'):
        batch = mine[start : start + batch_size]
        paths = [_path(folder, store, i) for i in batch]
        images = np.stack([store.image(i) for i in batch])
        yield paths, images, [f'{domain}/{store.name(i)}' for i in batch]


def _path(folder: Path, store: FrameStore, index: int) -> Path:
    return folder / f'{store.name(index)}.png'
