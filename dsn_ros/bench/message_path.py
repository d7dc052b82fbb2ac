"""Part path: what a frame goes through around the network, from message to message."""

from contextlib import ExitStack
from typing import Any

from dsn_core.evaluation.tables import Block, Line, Table
from dsn_core.golden import golden_frame
from dsn_ros.bench.choices import choices, load
from dsn_ros.bench.journey import CASES, Journey
from dsn_ros.bench.options import BenchOptions
from dsn_ros.bench.part import Show, as_json, figure, with_spread
from dsn_ros.bench.race import Contender, Race, paired_ratios
from dsn_ros.bench.worlds import World, world
from dsn_ros.engines import read_model
from dsn_ros.watched_engine import WatchedEngine

__all__ = ['MessagePath']

_ALONE = 'network alone'
_INFER, _TOTAL = 'infer', 'total'


class MessagePath:
    """The best engine with each of CASES, and by itself."""

    name = 'path'

    def __init__(self, options: BenchOptions) -> None:
        self.skipped: dict[str, str] = {}
        self._options = options
        self._world: World | None = None
        self._race: Race | None = None
        self._engine = self._model = ''
        self._frames: dict[str, list[dict[str, float]]] = {}

    def measure(self, show: Show) -> None:
        options = self._options
        model = read_model(options.models[0])
        best = choices(model, options.engine)[0]
        self._world = world()
        about = model.metadata
        self._model = f'{model.path.name}, {about.height}x{about.width}'
        self._engine = f'{best.name} ({best.device})'
        with ExitStack() as opened, show(f'path with {best.name}') as progress:
            # As the node has it, watch and all; alone it is asked through the same watch.
            engine = WatchedEngine(lambda: load(model, best, options.threads))
            opened.callback(engine.close)
            picture = golden_frame(about.height, about.width)[None]
            contenders = [Contender(_ALONE, lambda: engine.infer(picture))]
            for case in CASES:
                journey = Journey(engine, case, options.camera, self._world)
                opened.callback(journey.close)
                contenders.append(Contender(case.name, journey))
                self._frames[case.name] = journey.frames
            self._race = Race(contenders, options.turn)
            try:
                self._race.run(options.rounds, progress)
            finally:
                self.skipped |= self._race.failed

    def as_json(self) -> dict[str, Any]:
        assert self._world is not None
        height, width = self._options.camera
        return {
            'model': self._model,
            'engine': self._engine,
            'messages': self._world.name,
            'camera': {'height': height, 'width': width},
            'cases': {name: self._case(name) for name in self._measured()},
        }

    def tables(self) -> list[Table]:
        names = self._measured()
        if not names or self._world is None:
            return []
        cases = [self._case(name) for name in names]
        stages = list(dict.fromkeys(stage for case in cases for stage in case['stages_ms']))
        lines = [
            Line(stage, 'ours', tuple(figure(c['stages_ms'][stage]['median']) for c in cases))
            for stage in stages
        ]
        lines += [
            Line('around the network', 'ours', tuple(with_spread(c['around_ms']) for c in cases)),
            Line('its share', 'ours', tuple(f'{c["share_around"]["median"]:.1%}' for c in cases)),
            Line(
                'total / network alone',
                'ours',
                tuple(with_spread(c['of_network_alone']) for c in cases),
            ),
        ]
        height, width = self._options.camera
        title = f'From message to message: {width}x{height} in, {self._model}, {self._engine}'
        note = (
            f'Milliseconds, medians (quartiles); messages of {self._world.name}, all outputs. '
            'receive and serialize: bytes to message and back.'
        )
        return [Table(title, note, ('stage', *names), (Block('', tuple(lines)),))]

    def _measured(self) -> list[str]:
        if self._race is None or not self._race.laps(_ALONE):
            return []
        return [name for name in self._race.measured() if name in self._frames]

    def _case(self, name: str) -> dict[str, Any]:
        assert self._race is not None
        frames = self._frames[name][1:]  # but for the one that warmed up
        around = [frame[_TOTAL] - frame[_INFER] for frame in frames]
        shares = [part / frame[_TOTAL] for part, frame in zip(around, frames, strict=True)]
        ratios = paired_ratios(self._race.walls(name), self._race.walls(_ALONE))
        return {
            'stages_ms': {
                stage: as_json([f[stage] for f in frames], keep=False) for stage in frames[0]
            },
            'around_ms': as_json(around, keep=False),
            'share_around': as_json(shares, keep=False),
            'of_network_alone': as_json(ratios),
        }
