"""Many tasks in several workers, one of which may die without taking the others along.

``Runner`` is the contract; ``Processes`` are workers on this machine, ``ray_tasks`` has them on
others.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, Protocol, TypeVar

from dsn_core.errors import UserError

__all__ = ['Died', 'Processes', 'Runner']

Task = TypeVar('Task')
Result = TypeVar('Result')


@dataclass(frozen=True)
class Died(Generic[Result]):
    """What comes of a task that its worker did not survive."""

    reason: str
    """What became of the worker: 'its process was ended by SIGSEGV'."""

    def __str__(self) -> str:
        return self.reason


class Runner(Protocol):
    """Runs tasks in several workers."""

    def __call__(
        self, make: Callable[[], Callable[[Task], Result]], tasks: Sequence[Task]
    ) -> Generator[tuple[int, Result | Died[Result]], None, None]:
        """Yield (index of the task, its result) as they are done, in any order, each task once.

        Every worker calls ``make`` once and what that returns for one of its tasks after the
        other; all of it is pickled. A result must not be an exception. UserError raised by either
        ends the run and is raised here; any other one makes its task Died, as does the death of
        the worker. The workers end with the iterator, and with this process.
        """


@dataclass(frozen=True)
class Processes:
    """Processes of this machine, a Runner."""

    count: int

    def __call__(
        self, make: Callable[[], Callable[[Task], Result]], tasks: Sequence[Task]
    ) -> Generator[tuple[int, Result | Died[Result]], None, None]:
        """See Runner; no task is given out again."""
        todo = deque(enumerate(tasks))
        workers = [_Worker(make) for _ in range(min(self.count, len(todo)))]
        try:
            for worker in workers:
                worker.give(todo.popleft())
            while busy := {w.connection: w for w in workers if w.index is not None}:
                for connection in wait(list(busy)):
                    worker = busy[connection]  # type: ignore[index]  # only what it was given comes
                    index, result = worker.take()
                    if isinstance(result, UserError):
                        raise result
                    if isinstance(result, Died):
                        workers.remove(worker)
                        worker.end()
                        if todo:
                            worker = _Worker(make)
                            workers.append(worker)
                    if todo:
                        worker.give(todo.popleft())
                    yield index, result
        finally:
            for worker in workers:
                worker.end()


class _Worker:
    """One process, seen from outside."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]]) -> None:
        context = multiprocessing.get_context('spawn')  # engines have threads: no fork
        self.connection, theirs = context.Pipe()
        self.index: int | None = None
        self._process = context.Process(target=_serve, args=(theirs, make), daemon=True)
        self._process.start()
        theirs.close()  # theirs alone: when they die, ours says so

    def give(self, task: tuple[int, Any]) -> None:
        self.index = task[0]
        with contextlib.suppress(OSError):  # it died: `take` will say so
            self.connection.send(task[1])

    def take(self) -> tuple[int, Any]:
        assert self.index is not None
        index, self.index = self.index, None
        try:
            return index, self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            return index, Died(_end_of(self._process.exitcode))

    def end(self) -> None:
        self.connection.close()
        self._process.terminate()
        self._process.join()


def _serve(connection: Connection, make: Callable[[], Callable[[Any], Any]]) -> None:
    """What runs in the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=_end_with_parent, daemon=True).start()
    handle = None
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        try:
            if handle is None:
                handle = make()
            result = handle(task)
        except UserError as error:
            result = error
        connection.send(result)


def _end_of(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = ' (out of memory? take fewer --jobs)' if name == 'SIGKILL' else ''
        return f'its process was ended by {name}{hint}'
    return f'its process ended with exit code {exit_code}'


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
