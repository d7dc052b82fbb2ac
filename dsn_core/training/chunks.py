"""Frames that files are made of, in chunks that one worker or another makes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from dsn_core.errors import UserError
from dsn_core.processes import Died, Runner
from dsn_core.training import world
from dsn_core.training.frame_store import FrameStore

__all__ = ['Chunk', 'chunks_of', 'missing_batches', 'spread']

_FRAMES = 64  # in a chunk: what is given out at a time, and done again when a worker is lost


@dataclass(frozen=True)
class Chunk:
    """Batches of a store's frames, and the folder for what is made of them."""

    name: str
    """Of the domain: 'day'."""
    frames: Path
    out: Path
    batches: tuple[range, ...]

    def __len__(self) -> int:
        """How many frames there are."""
        return sum(map(len, self.batches))

    def __str__(self) -> str:
        return f'{self.out}, frames {self.batches[0][0]} to {self.batches[-1][-1]}'


def missing_batches(
    store: FrameStore, size: int, is_made: Callable[[int], bool], runner: Runner | None
) -> tuple[list[range], int]:
    """(batches of this process's share with a frame that is not made, frames in the share).

    A batch is always of the same frames, however many are missing or processes there are: what
    is made again comes out the same. With a ``runner`` the first process has all there are.
    """
    count = len(store)
    batches = [range(i, min(i + size, count)) for i in range(0, count, size)]
    if runner is None:
        batches = [batches[i] for i in world.share(len(batches))]
    elif world.rank():
        batches = []
    wanted = [b for b in batches if not all(map(is_made, b))]
    return wanted, sum(map(len, batches))


def chunks_of(
    name: str, store: FrameStore, out: Path, batches: Sequence[range]
) -> Iterator[Chunk]:
    """Yield ``batches`` in chunks."""
    step = max(1, _FRAMES // max(map(len, batches), default=1))
    for start in range(0, len(batches), step):
        part = tuple(batches[start : start + step])
        yield Chunk(name, store.folder.absolute(), out.absolute(), part)


def spread(
    make: Callable[[], Callable[[Chunk], None]], chunks: Sequence[Chunk], runner: Runner
) -> None:
    """Have ``runner``'s workers make all ``chunks``.

    Raises UserError naming the frames if one cannot be made; what is made by then stays.
    """
    if not chunks:
        return
    with (
        tqdm(desc=chunks[0].out.parent.name, unit='frame', total=sum(map(len, chunks))) as bar,
        closing(runner(make, chunks)) as results,
    ):
        for index, result in results:
            if isinstance(result, Died):
                raise UserError(f'{chunks[index]}: {result}; run again, it does what is missing')
            bar.update(len(chunks[index]))
