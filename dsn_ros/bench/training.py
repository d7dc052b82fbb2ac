"""Part training: the project's own training steps beside plain loops of the same work."""

from typing import Any

from dsn_core.evaluation.tables import Block, Line, Table
from dsn_ros.bench.gemm import installed
from dsn_ros.bench.machine import available_mb
from dsn_ros.bench.options import BenchOptions
from dsn_ros.bench.part import NO_TORCH, Show, as_json, with_spread
from dsn_ros.bench.race import Contender, Race, paired_ratios
from dsn_ros.engines import read_model

__all__ = ['Training']

_PIXEL_MB = 8e-3  # of a picture that is trained on in fp32, with everything kept for backward
_MODEL_MB = 1500.0


class Training:
    """Samples a second of each stage."""

    name = 'training'

    def __init__(self, options: BenchOptions) -> None:
        self.skipped: dict[str, str] = {}
        self._options = options
        self._races: dict[str, Race] = {}
        self._size = options.train_size or (0, 0)
        self._device = ''

    def measure(self, show: Show) -> None:
        options = self._options
        missing = [name for name in ('torch', 'lightning') if not installed(name)]
        if missing:
            self.skipped['training'] = NO_TORCH.replace('torch', missing[0], 1)
            return
        import torch

        from dsn_ros.bench.training_steps import VIEWS, steps

        if options.threads is not None:
            torch.set_num_threads(options.threads)
        if options.train_size is None:
            about = read_model(options.models[0]).metadata
            self._size = (about.height, about.width)
        height, width = self._size
        self._device = 'cuda:0' if torch.cuda.is_available() else 'cpu'
        for stage, views in VIEWS.items():
            pictures = views * options.train_batch
            needed = _MODEL_MB + _PIXEL_MB * height * width * pictures
            if self._device == 'cpu' and available_mb() < needed:
                self.skipped[stage] = f'less than {needed:.0f} MB of memory are free'
                continue
            with show(f'training: {stage}') as progress:
                made = steps(stage, height, width, options.train_batch, self._device)
                race = Race([Contender(name, step) for name, step in made], options.turn)
                self._races[stage] = race
                race.run(options.rounds, progress)
            self.skipped |= {f'{name}, {stage}': why for name, why in race.failed.items()}

    def as_json(self) -> dict[str, Any]:
        height, width = self._size
        return {
            'height': height,
            'width': width,
            'batch': self._options.train_batch,
            'device': self._device,
            'stages': {s: self._rows(race) for s, race in self._races.items() if race.measured()},
        }

    def tables(self) -> list[Table]:
        if not self._races:
            return []
        from dsn_ros.bench.training_steps import PLAIN

        blocks = []
        for stage, race in self._races.items():
            lines = []
            for name, row in self._rows(race).items():
                ratio = row['speed_ratio']
                cells = (
                    with_spread(row['samples_per_s']),
                    with_spread(row['step_ms']),
                    '' if ratio is None else with_spread(ratio),
                )
                lines.append(Line(name, 'baseline' if name == PLAIN else 'ours', cells))
            if lines:
                blocks.append(Block(stage, tuple(lines)))
        if not blocks:
            return []
        height, width = self._size
        title = f'Training at {height}x{width}, batch {self._options.train_batch}, {self._device}'
        note = (
            'Whole steps: forward, losses, backward, optimiser; without reading data. Medians '
            '(quartiles). A label-free sample is a pair of day and night with their translations.'
        )
        columns = ('', 'samples/s', 'ms a step', 'times as fast')
        return [Table(title, note, columns, tuple(blocks))]

    def _rows(self, race: Race) -> dict[str, dict[str, Any]]:
        from dsn_ros.bench.training_steps import PLAIN

        rows = {}
        for name in race.measured():
            walls = race.walls(name)
            base = race.walls(PLAIN)
            compared = name != PLAIN and base
            rows[name] = {
                'samples_per_s': as_json([self._options.train_batch / wall for wall in walls]),
                'step_ms': as_json(walls, 1e3),
                'speed_ratio': as_json(paired_ratios(base, walls)) if compared else None,
            }
        return rows
