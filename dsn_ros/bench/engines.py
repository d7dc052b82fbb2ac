"""Part engines: every engine and precision of this machine beside what others run."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_core.evaluation.tables import Block, Line, Table
from dsn_core.golden import golden_frame
from dsn_ros.bench.choices import Choice, choices, load
from dsn_ros.bench.gemm import installed
from dsn_ros.bench.limits import Limits
from dsn_ros.bench.machine import available_mb
from dsn_ros.bench.macs import graph_macs
from dsn_ros.bench.options import BenchOptions
from dsn_ros.bench.part import NO_TORCH, NONE, Show, as_json, figure, rounded, with_spread
from dsn_ros.bench.race import Contender, Race, paired_ratios, spread
from dsn_ros.engines import EngineError, ModelFile, read_model

__all__ = ['Engines']

_FREE_MB = 1500.0  # that must be free before an engine is loaded: it takes a part of it
_PICTURE_MB = 1e-3  # for each pixel of one more picture in a batch, for everybody
_CITYSCAPES = 19  # classes of the peers where the model has none

Ask = Callable[[NDArray[np.uint8]], object]
"""Called with pictures (N, H, W, 3) uint8 RGB."""


@dataclass(frozen=True)
class _Runner:
    """An engine, or a peer."""

    name: str
    gmacs: float  # for one picture
    precision: str = 'fp32'
    is_peer: bool = False


@dataclass(frozen=True)
class _Group:
    """One race: everybody on one device at one size and batch."""

    model: ModelFile
    device: str
    batch: int
    runners: dict[str, _Runner]
    race: Race

    @property
    def title(self) -> str:
        about = self.model.metadata
        size = f'{about.height}x{about.width}'
        return f'{self.model.path.name}: {size}, batch {self.batch}, {self.device}'

    def peers(self) -> list[str]:
        """Those peers that there are figures of."""
        return [name for name in self.race.measured() if self.runners[name].is_peer]


class Engines:
    """Races of all engines and peers, for every model, device and batch."""

    name = 'engines'

    def __init__(self, options: BenchOptions, limits: Limits) -> None:
        self.skipped: dict[str, str] = {}
        self._options = options
        self._limits = limits
        self._groups: list[_Group] = []

    def measure(self, show: Show) -> None:
        if not installed('torch'):
            self.skipped['peers'] = NO_TORCH
        for path in self._options.models:
            model = read_model(path)
            found = choices(model, self._options.engine)
            for device in dict.fromkeys(choice.device for choice in found):
                here = [choice for choice in found if choice.device == device]
                with ExitStack() as opened:
                    with show(f'loading {path.name} on {device}') as progress:
                        runners = self._runners(model, here, opened, progress)
                    for batch in self._options.batches:
                        self._race(model, device, batch, runners, show)

    def as_json(self) -> dict[str, Any]:
        return {
            'groups': [
                {
                    'model': group.model.path.name,
                    'sha256': group.model.sha256,
                    'height': group.model.metadata.height,
                    'width': group.model.metadata.width,
                    'batch': group.batch,
                    'device': group.device,
                    'rows': self._rows(group),
                }
                for group in self._groups
            ]
        }

    def tables(self) -> list[Table]:
        return [self._table(group) for group in self._groups if self._rows(group)]

    def _runners(
        self,
        model: ModelFile,
        found: Sequence[Choice],
        opened: ExitStack,
        progress: Callable[[int, int], None],
    ) -> dict[_Runner, Ask]:
        """Peers and engines, loaded one after the other as long as there is memory."""
        runners = self._peers(model, found[0].device) if installed('torch') else {}
        gmacs = graph_macs(model.at(model.metadata.size).data) / 1e9
        for number, choice in enumerate(found):
            progress(number, len(found))
            title = f'{choice.name} ({choice.device}), {model.path.name}'
            if available_mb() < _FREE_MB:
                self.skipped[title] = f'less than {_FREE_MB:.0f} MB of memory are free'
                continue
            try:
                engine = load(model, choice, self._options.threads)
            except EngineError as error:
                self.skipped[title] = str(error)
                continue
            opened.callback(engine.close)
            runners[_Runner(choice.name, gmacs, choice.precision)] = engine.infer
        return runners

    def _peers(self, model: ModelFile, device: str) -> dict[_Runner, Ask]:
        from dsn_ros.bench.peers import peer_macs, peers

        about = model.metadata
        classes = len(about.class_names) or _CITYSCAPES
        macs = peer_macs(about.height, about.width, classes)
        return {
            _Runner(name, macs[name] / 1e9, is_peer=True): ask
            for name, ask in peers(device, classes, self._options.threads).items()
        }

    def _race(
        self,
        model: ModelFile,
        device: str,
        batch: int,
        runners: Mapping[_Runner, Ask],
        show: Show,
    ) -> None:
        height, width = model.metadata.height, model.metadata.width
        needed = _PICTURE_MB * height * width * (batch - 1) * len(runners)
        frame = golden_frame(height, width)
        images = np.stack([np.roll(frame, 7 * i, axis=1) for i in range(batch)])

        race = Race(
            [Contender(runner.name, partial(ask, images)) for runner, ask in runners.items()],
            self._options.turn,
        )
        group = _Group(model, device, batch, {r.name: r for r in runners}, race)
        if available_mb() < needed:
            self.skipped[group.title] = f'less than {needed:.0f} MB of memory are free'
            return
        self._groups.append(group)
        try:
            with show(group.title) as progress:
                race.run(self._options.rounds, progress)
        finally:
            self.skipped |= {f'{name}, {group.title}': why for name, why in race.failed.items()}

    def _rows(self, group: _Group) -> list[dict[str, Any]]:
        rows = []
        for name in group.race.measured():
            runner, walls = group.runners[name], group.race.walls(name)
            gflops = 2 * runner.gmacs * group.batch / spread(walls).median
            limit = self._limits.gflops(group.device, runner.precision)
            row = {
                'name': name,
                'precision': runner.precision,
                'is_peer': runner.is_peer,
                'ms': as_json(walls, 1e3),
                'cpu_ms': as_json([lap.cpu for lap in group.race.laps(name)], 1e3),
                'ratios': {
                    peer: as_json(paired_ratios(walls, group.race.walls(peer)))
                    for peer in group.peers()
                },
                'gmacs': rounded(runner.gmacs),
                'gflops': rounded(gflops),
                'share_of_limit': None if limit is None else rounded(gflops / limit),
            }
            rows.append(row)
        return rows

    def _table(self, group: _Group) -> Table:
        lines = []
        for row in self._rows(group):
            share = row['share_of_limit']
            cells = (
                with_spread(row['ms']),
                figure(row['cpu_ms']['median']),
                *(
                    '1' if peer == row['name'] else with_spread(row['ratios'][peer])
                    for peer in group.peers()
                ),
                figure(row['gflops']),
                NONE if share is None else f'{share:.0%}',
            )
            lines.append(Line(row['name'], 'baseline' if row['is_peer'] else 'ours', cells))
        ratios = (f'of {peer.partition(" (")[0]}' for peer in group.peers())
        columns = ('', 'ms', 'CPU ms', *ratios, 'GFLOP/s', 'of the limit')
        note = (
            'Medians (quartiles); ratios are medians of the ratios within each round. CPU ms: of '
            'all threads. The limit: the fastest matrix product in the same precision.'
        )
        return Table(group.title, note, columns, (Block('', tuple(lines)),))
