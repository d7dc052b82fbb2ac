"""One bag of many: its result in a folder of its own, made only if it is not there already."""

import fcntl
import json
import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2

from dsn_core import __version__
from dsn_core.digest import sha256
from dsn_core.files import json_object
from dsn_core.ray_tasks import check_shared
from dsn_ros.bag_frames import BagSource
from dsn_ros.engines import Engine, EngineError, default_model, load_engine, read_model
from dsn_ros.errors import UserError
from dsn_ros.pipeline import PipelineOptions
from dsn_ros.replay import ReplayOptions, replay
from dsn_ros.results_folder import staged, write_json
from dsn_ros.thresholds import Limit, judge

__all__ = ['RECORD', 'BagTask', 'BagWorker', 'FleetOptions', 'Outcome', 'worker_on_node']

RECORD = 'run.json'
_LOCKS = '.locks'

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FleetOptions:
    """What is done with every bag: model and engine as for load_engine, and how to replay.

    ``model_sha256``: hex digest of the model's file. ``threads``: of one engine.
    """

    model: Path | None
    model_sha256: str
    engine: str
    precision: str
    threads: int
    replay: ReplayOptions
    pipeline: PipelineOptions
    limits: tuple[Limit, ...] = ()

    def key(self) -> dict[str, Any]:
        """All that decides the result beside the bag; limits are judged anew in no time."""
        key = {
            'version': __version__,
            'model': self.model_sha256,
            'engine': self.engine,
            'precision': self.precision,
            'replay': asdict(self.replay),
            'pipeline': asdict(self.pipeline),
        }
        # As the record gives it back: JSON has lists only.
        found: dict[str, Any] = json.loads(json.dumps(key))
        return found


@dataclass(frozen=True)
class BagTask:
    """A bag, and the folder for its result."""

    path: Path
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """What came of a bag: the content of its metrics.json, or an error in one line.

    ``reused``: the result was there already. ``fatal``: no other bag will do better.
    """

    metrics: dict[str, Any] | None = None
    error: str = ''
    reused: bool = False
    fatal: bool = False


class BagWorker:
    """Does one bag after the other, with one engine that is loaded when it is needed first."""

    def __init__(self, options: FleetOptions) -> None:
        self.options = options
        self._engine: Engine | None = None

    def __call__(self, task: BagTask) -> Outcome:
        """Do a bag, or find that it is done; never raises what concerns this bag alone."""
        try:
            with _alone_at(task.folder):
                return self._result(task)
        except EngineError as error:
            return Outcome(error=str(error), fatal=True)
        except UserError as error:
            return Outcome(error=str(error))
        except Exception as error:  # a fault of ours, or no memory: the other bags go on
            _logger.exception('%s', task.path)
            reason = ' '.join(str(error).split())
            return Outcome(error=f'{task.path}: {type(error).__name__}: {reason}')

    def _result(self, task: BagTask) -> Outcome:
        record = json_object(task.folder / RECORD)
        files = _digests(BagSource(task.path).files(), record.get('files', []))
        wanted = {'bag': [[name, sha256] for name, _, _, sha256 in files], **self.options.key()}
        if record.get('key') == wanted and _whole(task.folder, record):
            metrics = json_object(task.folder / 'metrics.json')
            if metrics:
                return Outcome(self._judged(task.folder, metrics), reused=True)
        with staged(task.folder) as beside:
            metrics = replay(
                task.path,
                beside,
                self._loaded(),
                self.options.replay,
                self.options.pipeline,
                limits=self.options.limits,
            )
            results = sorted(f.name for f in beside.iterdir() if f.is_file())
            # While files of two runs lie side by side, no record may speak for them.
            (task.folder / RECORD).unlink(missing_ok=True)
        with staged(task.folder) as beside:
            about = {'bag': str(task.path), 'files': files, 'results': results, 'key': wanted}
            write_json(beside / RECORD, about)
        return Outcome(metrics)

    def _judged(self, folder: Path, metrics: dict[str, Any]) -> dict[str, Any]:
        """The metrics of an earlier run, with the limits of this one."""
        judged = {k: v for k, v in metrics.items() if k != 'thresholds'}
        if self.options.limits:
            judged['thresholds'] = judge(metrics, self.options.limits)
        if judged != metrics:
            with staged(folder) as beside:
                write_json(beside / 'metrics.json', judged)
        return judged

    def _loaded(self) -> Engine:
        if self._engine is None:
            options = self.options
            cv2.setNumThreads(options.threads)
            self._engine = load_engine(
                options.model, options.engine, options.precision, options.threads
            )
        return self._engine


class _NodeWorker(BagWorker):
    """The same on a node of a cluster."""

    def __call__(self, task: BagTask) -> Outcome:
        if not task.path.exists():
            return Outcome(
                error=f'{task.path} is not there on node {socket.gethostname()}: check the path; '
                'bags must lie on storage that all nodes share, at the same path'
            )
        return super().__call__(task)


def worker_on_node(mark: Path, options: FleetOptions) -> BagWorker:
    """A worker for a node that must see the folder of ``mark`` and the model; paths are absolute.

    Raises UserError naming the node that does not.
    """
    check_shared(mark)
    model = options.model or default_model()
    if read_model(model).sha256 != options.model_sha256:
        raise UserError(
            f'{model} on node {socket.gethostname()} is another model than where the run was '
            'started: give one that lies on storage that all nodes share with --model'
        )
    return _NodeWorker(options)


@contextmanager
def _alone_at(folder: Path) -> Iterator[None]:
    """Wait until no other worker is at ``folder``, and keep them out while the block runs.

    On a cluster a worker that was given up for lost may still be at its bag when another one is
    given it. The second waits here, and then finds the result of the first. A lock ends with the
    worker that holds it, or with its node.
    """
    path = folder.parent / _LOCKS / folder.name
    with ExitStack() as ends:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fcntl.flock(ends.enter_context(path.open('w')), fcntl.LOCK_EX)
        except OSError as error:
            raise UserError(
                f'{path} cannot be locked ({error.strerror}): choose another folder with --out'
            ) from error
        yield


def _whole(folder: Path, record: dict[str, Any]) -> bool:
    results = record.get('results') or []
    return bool(results) and all((folder / str(name)).is_file() for name in results)


def _digests(files: Sequence[Path], known: Sequence[Any]) -> list[list[Any]]:
    """[name, bytes, time of change in ns, sha256] of files; the unchanged are not read again."""
    seen = {tuple(row[:3]): row[3] for row in known if isinstance(row, list) and len(row) == 4}
    rows = []
    for file in sorted(files):
        about = file.stat()
        facts = (file.name, about.st_size, about.st_mtime_ns)
        rows.append([*facts, seen.get(facts) or sha256(file)])
    return rows
