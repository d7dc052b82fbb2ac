"""Part replay: a bag from file to file, beside the engine by itself on as many pictures."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.evaluation.tables import Block, Line, Table
from dsn_core.golden import golden_frame
from dsn_ros.bag_writer import BagWriter
from dsn_ros.bench.choices import choices, load
from dsn_ros.bench.options import BenchOptions
from dsn_ros.bench.part import Show, as_json, figure, with_spread
from dsn_ros.bench.race import Contender, Race, paired_ratios
from dsn_ros.engines import read_model
from dsn_ros.replay import replay

__all__ = ['Replaying']

_ALONE, _REPLAY = 'network alone', 'replay'
_FRAMES = 120  # enough that opening the bag and writing the page count for little
_STEP = 16  # pixels by which each picture is moved on: one that stands still is withheld
_PERIOD_NS = 100_000_000
_ROUNDS = 7  # at most: each takes seconds


class Replaying:
    """``dsn replay`` of JPEGs of the camera's size with the best engine."""

    name = 'replay'

    def __init__(self, options: BenchOptions) -> None:
        self.skipped: dict[str, str] = {}
        self._options = options
        self._title = ''
        self._race: Race | None = None

    def measure(self, show: Show) -> None:
        options = self._options
        model = read_model(options.models[0])
        best = choices(model, options.engine)[0]
        about = model.metadata
        height, width = options.camera
        self._title = (
            f'{_FRAMES} JPEGs of {width}x{height}, {model.path.name}, '
            f'{about.height}x{about.width}, {best.name} ({best.device})'
        )
        with ExitStack() as opened, show('replay') as progress:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
            bag = _drive(folder / 'drive', options.camera)
            engine = load(model, best, options.threads)
            picture = golden_frame(about.height, about.width)[None]
            contenders = [
                Contender(_ALONE, lambda: [engine.infer(picture) for _ in range(_FRAMES)]),
                Contender(_REPLAY, lambda: replay(bag, folder / 'out', engine)),
            ]
            self._race = Race(contenders, turn=0.0)
            try:
                self._race.run(min(options.rounds, _ROUNDS), progress)
            finally:
                self.skipped |= self._race.failed

    def as_json(self) -> dict[str, Any]:
        return {'what': self._title, 'rows': {name: self._row(name) for name in self._measured()}}

    def tables(self) -> list[Table]:
        lines = []
        for name in self._measured():
            row = self._row(name)
            cells = (
                with_spread(row['frames_per_s']),
                figure(row['cpu_ms']['median']),
                with_spread(row['of_network_alone']),
            )
            lines.append(Line(name, 'ours', cells))
        if not lines:
            return []
        columns = ('', 'frames/s', 'CPU ms a frame', 'time, of network alone')
        note = (
            'Reading, decoding, network, and the mcap with depth, labels and overlay, metrics and '
            'page; medians (quartiles). CPU ms: of all threads.'
        )
        return [Table(f'Replay: {self._title}', note, columns, (Block('', tuple(lines)),))]

    def _measured(self) -> list[str]:
        if self._race is None or not self._race.laps(_ALONE):
            return []
        return self._race.measured()

    def _row(self, name: str) -> dict[str, Any]:
        assert self._race is not None
        walls = self._race.walls(name)
        cpu = [lap.cpu / _FRAMES for lap in self._race.laps(name)]
        return {
            'frames_per_s': as_json([_FRAMES / wall for wall in walls]),
            'cpu_ms': as_json(cpu, 1e3),
            'of_network_alone': as_json(paired_ratios(walls, self._race.walls(_ALONE))),
        }


def _drive(path: Path, size: tuple[int, int]) -> Path:
    """A bag of a camera's JPEGs (height, width) that move on from one to the next."""
    with BagWriter(path) as bag:
        for index in range(_FRAMES):
            stamp = (index + 1) * _PERIOD_NS
            jpeg = _jpeg(np.roll(golden_frame(*size), index * _STEP, axis=1))
            message = bag.build.compressed_image(jpeg, 'jpeg', bag.build.header(stamp, 'camera'))
            bag.write('/camera/image_raw/compressed', message, stamp)
    return path


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    ok, data = cv2.imencode('.jpg', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert ok, 'an 8-bit picture can always be encoded'
    return data.tobytes()
