"""Pictures, folders of pictures and videos through the pipeline: files a script can read."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.data.picture_file import PICTURES, VIDEOS
from dsn_core.visual import overlay
from dsn_ros.engines import Engine, Prediction
from dsn_ros.errors import UserError
from dsn_ros.metrics import FaultStatistics, Latencies, run_metrics
from dsn_ros.pipeline import Frame, Perception, Pipeline, PipelineOptions, Shown
from dsn_ros.report import ReportBuilder
from dsn_ros.results_folder import staged, write_json
from dsn_ros.stages import Stages

__all__ = ['Source', 'find_sources', 'infer', 'read_source']

_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """One file to read; ``name`` is that of its outputs, relative to the output folder."""

    path: Path
    name: str
    frames: int
    video: bool


def find_sources(paths: Sequence[Path]) -> list[Source]:
    """List the pictures and videos in ``paths``, folders searched through.

    Raises UserError for a path that does not exist or holds neither.
    """
    sources: dict[str, Source] = {}
    for path in paths:
        if not path.exists():
            raise UserError(f'{path}: no such file or folder')
        files = [path]
        if path.is_dir():
            files = sorted(f for f in path.rglob('*') if f.suffix.lower() in PICTURES + VIDEOS)
        if not files or (path.is_file() and path.suffix.lower() not in PICTURES + VIDEOS):
            raise UserError(
                f'{path} is no picture ({" ".join(PICTURES)}), video ({" ".join(VIDEOS)}) or '
                'folder of them; bags are for dsn replay'
            )
        root = path if path.is_dir() else path.parent
        for file in files:
            source = _source(file, file.relative_to(root).with_suffix('').as_posix())
            name = source.name
            if name in sources:  # a.jpg beside a.png, or two folders with the same names
                name = f'{name}_{file.suffix[1:].lower()}'
                stem, number = name, 1
                while name in sources:
                    number += 1
                    name = f'{stem}_{number}'
                source = Source(source.path, name, source.frames, source.video)
            sources[name] = source
    return list(sources.values())


def _source(file: Path, name: str) -> Source:
    if file.suffix.lower() in PICTURES:
        return Source(file, name, 1, False)
    capture = cv2.VideoCapture(str(file))
    frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    capture.release()
    return Source(file, name, max(frames, 1), True)


def read_source(source: Source) -> Iterator[tuple[str, NDArray[np.uint8] | None, int]]:
    """(name, RGB picture or None if it cannot be decoded, stamp in ns) of every frame."""
    if not source.video:
        data = np.fromfile(source.path, dtype=np.uint8)
        picture = cv2.imdecode(data, _FLAGS) if data.size else None  # it raises for no bytes
        yield source.name, None if picture is None else _rgb(picture), 0
        return
    capture = cv2.VideoCapture(str(source.path))
    rate = capture.get(cv2.CAP_PROP_FPS) or 25.0
    index = 0
    while True:
        ok, picture = capture.read()
        if not ok:
            break
        yield f'{source.name}/{index:06d}', _rgb(picture), round(index / rate * 1e9)
        index += 1
    capture.release()
    if index == 0:
        yield source.name, None, 0


def _rgb(picture: Any) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def infer(
    paths: Sequence[Path],
    out: Path,
    engine: Engine,
    options: PipelineOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Run the pipeline over pictures and videos and fill the folder ``out``.

    For every picture NAME (of a video: NAME/NNNNNN), at its own size: ``NAME.depth.npy`` (float32,
    metres where the scale is metric, +inf for sky), ``NAME.depth.png`` (uint16 millimetres, 0
    where sky, unknown or beyond 65.5 m), ``NAME.labels.png`` (uint8 class ids) and
    ``NAME.overlay.png``; beside them metrics.json and report.html. Returns the metrics.
    Raises UserError where nothing could be read or ``out`` cannot be written.
    """
    sources = find_sources(paths)
    total = sum(s.frames for s in sources)
    started = time.perf_counter()
    with staged(out) as folder:
        title = ', '.join(p.name for p in paths)
        report = ReportBuilder(title, engine.metadata.class_names, expected=total)
        run = _Run(engine, options or PipelineOptions(), folder, report)
        with Stages(run.look, run.keep) as stages:
            for source in sources:
                for index, (name, picture, stamp) in enumerate(read_source(source)):
                    stages.put(_Picture(source, index, name, picture, stamp))
                    run.frames_in += 1
                    if progress is not None:
                        progress(run.frames_in, max(total, run.frames_in))
            stages.drain()
        seconds = time.perf_counter() - started
        metrics = run.metrics(', '.join(map(str, paths)), seconds)
        write_json(folder / 'metrics.json', metrics)
        run.report.write(folder / 'report.html', metrics)
    return metrics


@dataclass(frozen=True)
class _Picture:
    """One picture on its way; from the first stage on with what the engine answered."""

    source: Source
    index: int
    name: str
    picture: NDArray[np.uint8] | None
    stamp_ns: int
    shown: Shown | None = None
    prediction: Prediction | None = None
    infer_ms: float = 0.0


class _Run:
    """What is made of all pictures: the next is looked at while one is written."""

    def __init__(
        self, engine: Engine, options: PipelineOptions, folder: Path, report: ReportBuilder
    ) -> None:
        self.latencies, self.faults = Latencies(), FaultStatistics()
        self.report = report
        self.frames_in = 0
        self.dropped: Counter[str] = Counter()
        self.problems: list[str] = []
        self.last: Perception | None = None
        self._folder = folder
        self._engine = engine
        self._pipeline = Pipeline(engine, replace(options, output_size='camera'))

    def look(self, item: _Picture) -> _Picture:
        """First stage: the engine's answer."""
        if item.picture is None:
            return item
        shown = self._pipeline.show(Frame(item.picture, item.stamp_ns))
        prediction, infer_ms = self._pipeline.look(shown)
        return replace(item, shown=shown, prediction=prediction, infer_ms=infer_ms)

    def keep(self, item: _Picture) -> None:
        """Second stage: what is written and counted."""
        if item.index == 0:
            self._pipeline.forget()  # one source has nothing to do with the next
        if item.shown is None or item.prediction is None:
            self.dropped['undecodable image'] += 1
            self.problems.append(f'{item.source.path} cannot be decoded: it was left out')
            return
        seen = self._pipeline.finish(item.shown, item.prediction, 0, item.infer_ms)
        _write(self._folder / item.name, seen)
        self.latencies.add(seen.latency_ms)
        self.faults.add(seen)
        self.report.add(seen, item.source.name, seen.latency_ms)
        self.last = seen

    def metrics(self, named: str, seconds: float) -> dict[str, Any]:
        """The content of metrics.json; raises UserError where nothing could be read."""
        if self.last is None:
            raise UserError(f'not one picture could be read: {self.problems[0]}')
        return run_metrics(
            named,
            self._engine,
            self.frames_in,
            self.dropped,
            seconds,
            self.latencies,
            self.problems,
            self.faults,
            self.last,
        )


def _write(stem: Path, perception: Perception) -> None:
    stem.parent.mkdir(parents=True, exist_ok=True)
    depth = perception.depth
    np.save(f'{stem}.depth.npy', depth)
    with np.errstate(invalid='ignore'):
        millimetres = np.where(depth < 65.535, depth * 1000, 0)
    _write_png(f'{stem}.depth.png', np.nan_to_num(millimetres).round().astype(np.uint16))
    _write_png(f'{stem}.labels.png', perception.labels)
    painted = overlay(perception.image, perception.labels)
    _write_png(f'{stem}.overlay.png', cv2.cvtColor(painted, cv2.COLOR_RGB2BGR))


def _write_png(path: str, picture: Any) -> None:
    """Write a PNG; other than cv2.imwrite, which says nothing, raises OSError on a full disk."""
    ok, data = cv2.imencode('.png', picture)
    assert ok, 'an 8- or 16-bit picture can always be encoded'
    Path(path).write_bytes(data.tobytes())
