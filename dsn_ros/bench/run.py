"""The whole benchmark: part after part, and what is told of it."""

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dsn_core.evaluation.tables import Table
from dsn_core.files import replacing
from dsn_ros.bench.engines import Engines
from dsn_ros.bench.limits import Limits
from dsn_ros.bench.machine import machine, machine_line
from dsn_ros.bench.message_path import MessagePath
from dsn_ros.bench.options import PARTS, BenchOptions
from dsn_ros.bench.part import Part, Show
from dsn_ros.bench.replaying import Replaying
from dsn_ros.bench.start import Start
from dsn_ros.bench.training import Training
from dsn_ros.bench.untrained import untrained
from dsn_ros.engines import read_model
from dsn_ros.errors import UserError

__all__ = ['FORMAT_VERSION', 'Report', 'bench']

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Report:
    """What was measured; not ``complete`` where it was stopped."""

    machine: dict[str, Any]
    options: BenchOptions
    parts: tuple[Part, ...]
    complete: bool

    @property
    def skipped(self) -> list[str]:
        """What was not measured and why, a line each."""
        return [f'{what}: {why}' for part in self.parts for what, why in part.skipped.items()]

    @property
    def about(self) -> str:
        """One line: what was measured on what."""
        return machine_line(self.machine)

    def tables(self) -> list[Table]:
        """Everything for people."""
        return [table for part in self.parts for table in part.tables()]

    def as_json(self) -> dict[str, Any]:
        """Everything for programs (docs/performance.md)."""
        options = self.options
        return {
            'format_version': FORMAT_VERSION,
            'complete': self.complete,
            'machine': self.machine,
            'rounds': options.rounds,
            'threads': options.threads,
            'skipped': self.skipped,
            **{part.name: part.as_json() for part in self.parts if part.tables()},
        }

    def write(self, path: Path) -> None:
        """Write ``as_json`` to ``path``, whole or not at all; raises UserError if it can't be."""
        text = json.dumps(self.as_json(), indent=1, allow_nan=False) + '\n'
        with replacing(path) as beside:
            beside.write_text(text)


def bench(options: BenchOptions, show: Show) -> Report:
    """Measure; an interrupt (Ctrl-C) ends it with what there is until then.

    Raises UserError where a model, variant or engine can't be used, or nothing could be measured.
    """
    sizes = [read_model(path).metadata.size for path in options.models]
    about = machine()  # before we ourselves make it busy
    with tempfile.TemporaryDirectory() as folder:
        made = tuple(untrained(each, sizes[0], Path(folder)) for each in options.variants)
        return _measured(replace(options, models=options.models + made), about, show)


def _measured(options: BenchOptions, about: dict[str, Any], show: Show) -> Report:
    limits = Limits(options)
    made: dict[str, Part] = {
        'limits': limits,
        'engines': Engines(options, limits),
        'path': MessagePath(options),
        'replay': Replaying(options),
        'start': Start(options),
        'training': Training(options),
    }
    parts: list[Part] = []
    complete = True
    for name in PARTS:
        if name not in options.parts:
            continue
        parts.append(made[name])
        try:
            made[name].measure(show)
        except KeyboardInterrupt:
            complete = False
            break
    report = Report(about, options, tuple(parts), complete)
    if complete and not report.tables():
        raise UserError(f'nothing could be measured: {"; ".join(report.skipped)}')
    return report
