"""Part start: how long a fresh process takes to its first output, and how much memory."""

import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from typing import Any

from dsn_core.evaluation.tables import Block, Line, Table
from dsn_ros.bench.choices import Choice, choices
from dsn_ros.bench.options import BenchOptions
from dsn_ros.bench.part import NONE, Show, as_json, figure, with_spread
from dsn_ros.bench.probe import Probe
from dsn_ros.bench.race import Contender, Race
from dsn_ros.engines import read_model

__all__ = ['Start']

_FRAMES = 10  # after the first one, before memory is looked at
_STARTS = 5  # rounds at most: the spread is small, and each takes seconds
_STAGES = ('import', 'load', 'first frame')


class Start:
    """Processes of every engine and precision, started one after the other."""

    name = 'start'

    def __init__(self, options: BenchOptions) -> None:
        self.skipped: dict[str, str] = {}
        self._options = options
        self._title = ''
        self._race: Race | None = None
        self._seen: dict[str, list[dict[str, float]]] = {}

    def measure(self, show: Show) -> None:
        options = self._options
        model = read_model(options.models[0])
        self._title = f'{model.path.name}, {options.camera[1]}x{options.camera[0]} in'
        contenders = []
        for choice in choices(model, options.engine):
            name = f'{choice.name} ({choice.device})'
            self._seen[name] = []
            contenders.append(Contender(name, partial(self._start, name, choice)))
        self._race = Race(contenders, turn=0.0)
        try:
            with show('starts') as progress:
                self._race.run(min(options.rounds, _STARTS), progress)
        finally:
            self.skipped |= self._race.failed

    def as_json(self) -> dict[str, Any]:
        return {'model': self._title, 'rows': {name: self._row(name) for name in self._measured()}}

    def tables(self) -> list[Table]:
        lines = []
        for name in self._measured():
            row = self._row(name)
            peak = row['peak_mb']
            cells = (
                with_spread(row['first_output_s']),
                *(figure(row['stages_s'][stage]['median']) for stage in _STAGES),
                NONE if peak is None else figure(peak['median']),
            )
            lines.append(Line(name, 'ours', cells))
        if not lines:
            return []
        columns = ('engine and precision', 'to first output, s', *_STAGES, 'peak, MB')
        note = (
            'A fresh process with warm caches, from its start to the first outputs; seconds, '
            f'medians (quartiles). Peak of memory after {_FRAMES} more frames.'
        )
        title = f'Start and memory: {self._title}'
        return [Table(title, note, columns, (Block('', tuple(lines)),))]

    def _measured(self) -> list[str]:
        return [] if self._race is None else self._race.measured()

    def _row(self, name: str) -> dict[str, Any]:
        seen = self._seen[name][1:]  # but for the one that warmed the caches up
        peaks = [each['peak_mb'] for each in seen if each['peak_mb'] is not None]
        return {
            'first_output_s': as_json([each['first output'] for each in seen]),
            'stages_s': {s: as_json([each[s] for each in seen], keep=False) for s in _STAGES},
            'peak_mb': as_json(peaks) if peaks else None,
        }

    def _start(self, name: str, choice: Choice) -> None:
        options = self._options
        probe = Probe(
            str(options.models[0]),
            f'{choice.engine}:{choice.device.lower()}',
            choice.precision,
            options.threads,
            *options.camera,
            _FRAMES,
        )
        command = [sys.executable, '-m', 'dsn_ros.bench.probe', probe.to_json()]
        with tempfile.TemporaryFile('w+') as errors:
            start = time.perf_counter()
            with subprocess.Popen(
                command, text=True, stdout=subprocess.PIPE, stderr=errors
            ) as process:
                try:
                    assert process.stdout is not None
                    first = process.stdout.readline()
                    seconds = time.perf_counter() - start
                    rest = process.stdout.read()
                except BaseException:
                    process.kill()
                    raise
            if process.returncode:
                errors.seek(0)
                said = errors.read().strip().splitlines() or ['it said nothing']
                raise RuntimeError(f'its process ended with {process.returncode}: {said[-1]}')
        figures = {**json.loads(first), **json.loads(rest)}
        self._seen[name].append({'first output': seconds, **figures})
