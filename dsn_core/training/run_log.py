"""What a run has measured: ``metrics.jsonl`` in its folder, and TensorBoard beside it.

A line of ``metrics.jsonl``: {"stage": "distil", "step": 120, "total": 0.31, ...}. A stage that
goes on from step k drops its lines beyond k: every step is told once.
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_core.files import replacing
from dsn_core.training import world

__all__ = ['RunLog']


class RunLog:
    """Writes figures and pictures of one run; other processes than the first write nothing."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / 'metrics.jsonl'
        self._boards = folder / 'tensorboard'
        self._board: Any = None
        self._board_stage = ''

    def resume(self, stage: str, step: int) -> None:
        """Drop what ``stage`` has told beyond ``step``: it will be told again."""
        if world.rank() or not self.path.exists():
            return
        kept = [
            line
            for line in self.path.read_text().splitlines()
            if _is_whole(line) and not _beyond(json.loads(line), stage, step)
        ]
        with replacing(self.path) as beside:
            beside.write_text(''.join(f'{line}\n' for line in kept))

    def figures(self, stage: str, step: int, figures: Mapping[str, float]) -> None:
        """Add one line, and the same to TensorBoard."""
        if world.rank():
            return
        finite = {k: v if math.isfinite(v) else None for k, v in figures.items()}
        with self.path.open('a') as file:
            file.write(json.dumps({'stage': stage, 'step': step, **finite}) + '\n')
        board = self._writer(stage)
        for name, value in figures.items():
            board.add_scalar(name, value, step)

    def pictures(self, stage: str, step: int, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Show pictures (H, W, 3) RGB in TensorBoard."""
        if world.rank():
            return
        board = self._writer(stage)
        for name, picture in pictures.items():
            board.add_image(name, picture, step, dataformats='HWC')
        board.flush()

    def rows(self, stage: str) -> list[dict[str, Any]]:
        """All lines of ``stage``, in order."""
        if not self.path.exists():
            return []
        rows = [json.loads(line) for line in self.path.read_text().splitlines() if _is_whole(line)]
        return [row for row in rows if row['stage'] == stage]

    def summary(self, stage: str, epoch_steps: int) -> dict[str, float]:
        """Means over the last epoch, and as ``first ...`` over the first.

        An epoch's mean is of all frames, where a line's is of those that it happened to draw. Of
        what is told once an epoch, the first (told before training, if it is) and the last.
        """
        rows = self.rows(stage)
        end = rows[-1]['step'] if rows else 0
        first = _means(row for row in rows if row['step'] <= epoch_steps)
        start = _means(row for row in rows if row['step'] == 0)
        last = _means(row for row in rows if row['step'] > end - epoch_steps)
        return {**{f'first {k}': v for k, v in {**first, **start}.items()}, **last}

    def _writer(self, stage: str) -> Any:
        if self._board is None or self._board_stage != stage:
            from torch.utils.tensorboard import SummaryWriter

            if self._board is not None:
                self._board.close()
            self._board = SummaryWriter(str(self._boards / stage))
            self._board_stage = stage
        return self._board


def _means(rows: Iterable[dict[str, Any]]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, float):
                values.setdefault(name, []).append(value)
    return {name: sum(found) / len(found) for name, found in values.items()}


def _beyond(row: dict[str, Any], stage: str, step: int) -> bool:
    return bool(row['stage'] == stage and row['step'] > step)


def _is_whole(line: str) -> bool:
    """Whether a line was written to its end: the last one of a killed run may not be."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
