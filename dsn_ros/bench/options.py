"""What is measured, and how long one is willing to wait for it."""

from dataclasses import dataclass, replace
from pathlib import Path

from dsn_ros.errors import UserError

__all__ = ['PARTS', 'BenchOptions', 'quick', 'size_of']

PARTS = ('limits', 'engines', 'path', 'replay', 'start', 'training')


@dataclass(frozen=True)
class BenchOptions:
    """Sizes are (height, width) in pixels.

    ``models``: deploy graphs, one or more; path, replay, start and training are measured with the
    first. ``variants``: of the network, with random weights at the first model's size, measured
    after the ``models``. ``parts`` of PARTS; ``engine``: 'all' or one that ``load_engine`` takes;
    ``batches``: pictures in one call; ``rounds``: of each race; ``turn``: seconds that a
    contender's turn in a round lasts at least; ``threads``: of the CPU, None: as every library
    chooses; ``camera``: size of the pictures that come in; ``train_size``: None: the model's;
    ``gemm``: side of the matrices, and how many products in a row.
    """

    models: tuple[Path, ...]
    variants: tuple[str, ...] = ()
    parts: tuple[str, ...] = PARTS
    engine: str = 'all'
    batches: tuple[int, ...] = (1, 4)
    rounds: int = 15
    turn: float = 0.1
    threads: int | None = None
    camera: tuple[int, int] = (720, 1280)
    train_size: tuple[int, int] | None = None
    train_batch: int = 2
    gemm: tuple[int, int] = (1024, 8)

    def __post_init__(self) -> None:
        if self.train_size is not None and any(side < 64 or side % 32 for side in self.train_size):
            height, width = self.train_size
            raise UserError(
                f'--train-size {width}x{height}: both must be multiples of 32 from 64 on'
            )


def quick(options: BenchOptions) -> BenchOptions:
    """The same in a fraction of the time: to see that it runs, not to be quoted."""
    return replace(
        options,
        batches=options.batches[:1],
        rounds=min(options.rounds, 3),
        turn=0.0,
        train_size=options.train_size or (128, 224),
        gemm=(512, 4),
    )


def size_of(text: str, option: str) -> tuple[int, int]:
    """(height, width) of '1280x720'; raises UserError naming the ``option``."""
    width, _, height = text.lower().partition('x')
    if not (width.isdecimal() and height.isdecimal() and int(width) > 0 and int(height) > 0):
        raise UserError(f'{option} {text}: give width and height, such as 1280x720')
    return int(height), int(width)
