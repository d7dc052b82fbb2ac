"""Many tasks on a Ray cluster, whose workers and nodes may go away: a Runner of ``processes``.

Nodes of a cluster share storage, not memory: tasks are paths, and what comes of them are files.
Nothing here needs Ray until a cluster is asked for.
"""

import contextlib
import importlib
import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dsn_core import __version__
from dsn_core.errors import UserError
from dsn_core.processes import Died

__all__ = ['Cluster', 'RayWorkers', 'Share', 'check_shared', 'marked', 'ray_cluster']

_logger = logging.getLogger(__name__)

Task = TypeVar('Task')
Result = TypeVar('Result')

_STORE = 80 << 20  # bytes of shared memory of a cluster of our own: results are small
_TWICE = 'two workers died at it, one after the other (out of memory?)'
_FALSE_STARTS = 5  # workers in a row that may fail to start
_SAY_AFTER = 30.0  # seconds of waiting for a worker that are worth a line


@dataclass(frozen=True)
class Share:
    """What one worker takes of its node."""

    cpus: float = 1.0
    gpus: float = 0.0
    """A quarter, say: four workers on a GPU."""
    memory: float = 0.0
    """Bytes."""

    def __str__(self) -> str:
        return f'{self.cpus:g} CPUs, {self.gpus:g} GPUs and {self.memory / 1e9:.1f} GB'


class Cluster:
    """A Ray cluster that this process has joined."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self.nodes: list[dict[str, float]] = [
            node['Resources'] for node in ray.nodes() if node['Alive']
        ]

    @property
    def gpus(self) -> float:
        """How many GPUs all nodes have together."""
        return sum(node.get('GPU', 0.0) for node in self.nodes)

    @property
    def cpus(self) -> float:
        """How many CPUs all nodes have together."""
        return sum(node.get('CPU', 0.0) for node in self.nodes)

    @property
    def cpus_of_a_node(self) -> float:
        """How many CPUs the largest node has."""
        return max((node.get('CPU', 0.0) for node in self.nodes), default=0.0)

    def room(self, share: Share) -> int:
        """How many workers of that share fit, were nothing else running."""
        wanted = {'CPU': share.cpus, 'GPU': share.gpus, 'memory': share.memory}
        return sum(
            min(int(node.get(name, 0.0) / part + 1e-9) for name, part in wanted.items() if part)
            for node in self.nodes
        )

    def workers(self, count: int, share: Share) -> 'RayWorkers':
        """A Runner of ``count`` workers."""
        return RayWorkers(self._ray, count, share)


@dataclass(frozen=True)
class RayWorkers:
    """Workers of a Ray cluster, a Runner.

    A worker that dies is replaced, and its task given out once more: on a cluster nodes go away,
    which is no fault of the task. If the next worker dies at it, too, the task is Died.
    """

    ray: Any
    count: int
    share: Share

    def __call__(
        self, make: Callable[[], Callable[[Task], Result]], tasks: Sequence[Task]
    ) -> Generator[tuple[int, Result | Died[Result]], None, None]:
        """See Runner.

        A worker that is lost may live on where it cannot be reached: what a task writes must bear
        that two write it, one after the other or at the same time.
        """
        pool = _Pool(self.ray, self.share, make)
        todo = deque(enumerate(tasks))
        lost: set[int] = set()  # tasks that one worker died at
        left = len(tasks)
        try:
            for _ in range(min(self.count, left)):
                pool.start()
            while left:
                done = pool.take()
                if done is not None:
                    index, result = done
                    if isinstance(result, UserError):
                        raise result
                    if isinstance(result, _Lost) and index not in lost:
                        _logger.warning(
                            'task %d of %d: its worker was lost, another one does it',
                            index + 1,
                            len(tasks),
                        )
                        lost.add(index)
                        todo.appendleft((index, tasks[index]))
                        done = None
                while todo and pool.idle:
                    pool.give(*todo.popleft())
                if todo and len(pool) < self.count:
                    pool.start()
                if done is not None:
                    left -= 1
                    died = isinstance(result, _Lost)
                    yield index, Died(_TWICE) if died else result
        finally:
            pool.end()


class _Lost:
    """What comes of a task whose worker is gone."""


class _Pool:
    """The workers of one run, seen from outside."""

    def __init__(self, ray: Any, share: Share, make: Callable[[], Callable[[Any], Any]]) -> None:
        self._ray = ray
        self._make = make
        self._actor = ray.remote(_Worker).options(
            num_cpus=share.cpus,
            num_gpus=share.gpus,
            memory=share.memory or None,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy='SPREAD',
        )
        self._share = share
        self._busy: dict[Any, tuple[Any, int | None]] = {}  # by what is awaited; None: its start
        self._false_starts = 0
        self._told = False
        self.idle: list[Any] = []

    def __len__(self) -> int:
        return len(self.idle) + len(self._busy)

    def start(self) -> None:
        """Ask for one more worker; it is idle once the cluster has room for it."""
        actor = self._actor.remote(__version__, self._make)
        self._busy[actor.start.remote()] = (actor, None)

    def give(self, index: int, task: Any) -> None:
        """Give a task to an idle worker."""
        actor = self.idle.pop()
        self._busy[actor.handle.remote(task)] = (actor, index)

    def take(self) -> tuple[int, Any] | None:
        """Wait until something happens; returns (index, result) if a task is done."""
        ready, _ = self._ray.wait(list(self._busy), num_returns=1, timeout=_SAY_AFTER)
        if not ready:
            self._say_why_nothing_happens()
            return None
        actor, index = self._busy.pop(ready[0])
        try:
            result = self._ray.get(ready[0])
        except self._ray.exceptions.RayTaskError as error:
            _logger.error('%s', error)
            reason = ' '.join(str(error.cause).split())
            result = Died(f'{type(error.cause).__name__}: {reason}')
        except self._ray.exceptions.RayError as error:
            self._ray.kill(actor)  # it may live, and only be out of reach for a while
            if index is None:
                self._count_false_start(error)
                return None
            return index, _Lost()
        self.idle.append(actor)
        self._false_starts = 0
        if index is not None:
            return index, result
        if result is not None:  # no worker for us
            raise result
        return None

    def end(self) -> None:
        """End all workers, at once."""
        for actor in [*self.idle, *(actor for actor, _ in self._busy.values())]:
            with contextlib.suppress(Exception):  # the cluster may be gone
                self._ray.kill(actor)

    def _count_false_start(self, error: Exception) -> None:
        self._false_starts += 1
        if self._false_starts == _FALSE_STARTS:
            reason = ' '.join(str(error).split())
            raise UserError(
                'the workers of the Ray cluster cannot be started: install the same version of '
                f'this package on all nodes ({reason[-300:]})'
            ) from error

    def _say_why_nothing_happens(self) -> None:
        if not self._told and all(index is None for _, index in self._busy.values()):
            self._told = True
            _logger.warning(
                'no node of the Ray cluster has room for a worker (%s) yet: waiting', self._share
            )


class _Worker:
    """What runs on the node."""

    def __init__(self, version: str, make: Callable[[], Callable[[Any], Any]]) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to answer
        self._version = version
        self._make = make
        self._handle: Callable[[Any], Any] | None = None

    def start(self) -> UserError | None:
        if self._version != __version__:
            return UserError(
                f'node {socket.gethostname()} has version {__version__} of this package, here it '
                f'is {self._version}: install the same one on all nodes'
            )
        return None

    def handle(self, task: Any) -> Any:
        try:
            if self._handle is None:
                self._handle = self._make()
            return self._handle(task)
        except UserError as error:
            return error


@contextlib.contextmanager
def ray_cluster(address: str, cpus: int | None = None) -> Iterator[Cluster]:
    """Join the Ray cluster at ``address`` while the block runs.

    ``local`` starts one on this machine, of ``cpus`` (default: all), which ends with the block and
    which only this process can enter; ``auto`` is the one that RAY_ADDRESS names or that this
    machine is a node of; else HOST:PORT. Raises UserError if Ray is not installed or there is no
    cluster.
    """
    ray = _import_ray(alone=address == 'local')
    with contextlib.ExitStack() as ends:
        options: dict[str, Any] = {'log_to_driver': False, 'configure_logging': False}
        if address == 'local':
            folder = tempfile.mkdtemp(prefix='dsn-ray-')
            ends.callback(shutil.rmtree, folder, ignore_errors=True)
            options |= {
                'num_cpus': _cores() if cpus is None else cpus,
                'include_dashboard': False,
                'object_store_memory': _STORE,
                '_temp_dir': folder,
            }
        ends.callback(ray.shutdown)
        try:
            ray.init(address, **options)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            reason = ' '.join(str(error).split())
            raise UserError(f'no Ray cluster at --ray {address}: {reason}') from error
        yield Cluster(ray)


def _import_ray(alone: bool) -> Any:
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
    # A worker that asks for no GPU sees none.
    os.environ.setdefault('RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO', '1')
    if alone:
        # It listens on all interfaces: with a secret of its own, nobody else's work is run.
        os.environ.setdefault('RAY_AUTH_TOKEN', secrets.token_hex(32))
        if 'ray' not in sys.modules:  # which reads it when it is imported
            os.environ.setdefault('RAY_AUTH_MODE', 'token')
    logging.getLogger('ray').setLevel(logging.ERROR)
    try:
        return importlib.import_module('ray')
    except ModuleNotFoundError as error:
        raise UserError("ray is not installed: pip install 'dsn_ros[cluster]'") from error


@contextlib.contextmanager
def marked(folder: Path) -> Iterator[Path]:
    """Leave a file in ``folder`` while the block runs, by which ``check_shared`` knows it.

    Raises UserError where that cannot be written.
    """
    mark = folder / f'.seen-{secrets.token_hex(8)}'
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError as error:
        raise UserError(
            f'{folder} cannot be written ({error.strerror}): choose another folder'
        ) from error
    try:
        yield mark
    finally:
        mark.unlink(missing_ok=True)


def check_shared(mark: Path) -> None:
    """Raise UserError unless this node sees the folder of ``mark`` and can write there."""
    here = f'{mark.parent} on node {socket.gethostname()}'
    remedy = 'bags, models and results must lie on storage that all nodes share, at the same path'
    if not mark.exists():
        raise UserError(f'{here} is not the folder that it is where the run was started: {remedy}')
    try:
        with tempfile.TemporaryFile(dir=mark.parent):
            pass
    except OSError as error:
        raise UserError(f'{here} cannot be written ({error.strerror}): {remedy}') from error


def _cores() -> int:
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
