"""What the teachers say of whole domains, written file by file: shared, resumable."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from dsn_core.files import has_content
from dsn_core.processes import Runner
from dsn_core.teachers import DepthTeacher, Labels, LabelTeacher
from dsn_core.teachers.storage import read_labels, write_inverse_depth, write_labels
from dsn_core.training import world
from dsn_core.training.chunks import Chunk, chunks_of, missing_batches, spread
from dsn_core.training.frame_store import FrameStore

__all__ = ['write_pseudo_depth', 'write_pseudo_labels']

_LOOKED_AT = 500  # frames at most whose confidence is averaged

Said = TypeVar('Said')
Teacher = Callable[[NDArray[np.uint8], list[str]], Said]
"""A teacher, loaded: (pictures (N, H, W, 3), the frames' names) → what it says of them."""
Write = Callable[[Path, Said, int], None]
"""Writes into a file what was said of one picture of a batch."""


def write_pseudo_labels(
    stores: Mapping[str, FrameStore],
    teacher: LabelTeacher,
    folder: Path,
    batch_size: int,
    device: str,
    runner: Runner | None = None,
) -> dict[str, float]:
    """Write ``folder/DOMAIN/NAME.png`` for every frame of ``stores`` that has none yet.

    Returns the mean confidence by domain, of frames spread evenly over it. ``runner``'s workers
    do it, each on a device of its own, if there is one.
    """
    places = {domain: (store, folder / domain) for domain, store in stores.items()}
    _write_missing(partial(_label_worker, teacher), places, batch_size, device, runner)
    world.barrier()
    if world.rank():
        return {}
    return {f'{d}/confidence': _confidence(*place) for d, place in places.items()}


def _confidence(store: FrameStore, folder: Path) -> float:
    spread_out = np.linspace(0, len(store) - 1, min(len(store), _LOOKED_AT)).astype(int)
    maps = (read_labels(_path(folder, store, int(i)))[1] for i in spread_out)
    return float(np.mean([confidence.mean() / 255 for confidence in maps]))


def write_pseudo_depth(
    store: FrameStore,
    teacher: DepthTeacher,
    folder: Path,
    batch_size: int,
    device: str,
    runner: Runner | None = None,
) -> None:
    """Write ``folder/NAME.png`` for every day frame of ``store`` that has none yet.

    ``runner`` as for the labels.
    """
    places = {'day': (store, folder)}
    _write_missing(partial(_depth_worker, teacher), places, batch_size, device, runner)


def _write_missing(
    make: Callable[[str | None], '_Worker'],
    places: Mapping[str, tuple[FrameStore, Path]],
    batch_size: int,
    device: str,
    runner: Runner | None,
) -> None:
    worker = cache(partial(make, device))  # the teacher is not loaded if nothing is missing
    chunks: list[Chunk] = []
    for domain, (store, folder) in places.items():
        folder.mkdir(parents=True, exist_ok=True)
        wanted, _ = missing_batches(store, batch_size, partial(_is_made, folder, store), runner)
        if runner is not None:
            chunks.extend(chunks_of(domain, store, folder, wanted))
            continue
        for batch in tqdm(wanted, desc=f'{folder.parent.name} {domain}', unit='batch'):
            worker()(Chunk(domain, store.folder, folder, (batch,)))
    if runner is not None:
        spread(partial(make, None), chunks, runner)


class _Worker:
    """Writes what a teacher says of the frames of chunks that have no file yet."""

    def __init__(self, teacher: Teacher[Any], write: Write[Any]) -> None:
        self._teacher = teacher
        self._write = write
        self._store = cache(FrameStore)

    def __call__(self, chunk: Chunk) -> None:
        store = self._store(chunk.frames)
        for batch in chunk.batches:
            images = np.stack([store.image(i) for i in batch])
            said = self._teacher(images, [f'{chunk.name}/{store.name(i)}' for i in batch])
            for place, index in enumerate(batch):
                path = _path(chunk.out, store, index)
                if not has_content(path):
                    self._write(path, said, place)


def _label_worker(teacher: LabelTeacher, device: str | None) -> _Worker:
    def write(path: Path, labels: Labels, place: int) -> None:
        write_labels(path, labels.ids[place], labels.confidence[place])

    return _Worker(teacher.load(device or world.device()), write)


def _depth_worker(teacher: DepthTeacher, device: str | None) -> _Worker:
    def write(path: Path, inverse: NDArray[np.float32], place: int) -> None:
        write_inverse_depth(path, inverse[place])

    return _Worker(teacher.load(device or world.device()), write)


def _is_made(folder: Path, store: FrameStore, index: int) -> bool:
    return has_content(_path(folder, store, index))


def _path(folder: Path, store: FrameStore, index: int) -> Path:
    return folder / f'{store.name(index)}.png'
