"""Workers that note what they do and die when they are told to, importable by other processes."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from dsn_core.errors import UserError
from dsn_ros.fleet_worker import BagTask, BagWorker, FleetOptions, Outcome, worker_on_node


def make_noting(folder: Path) -> Callable[[str], str]:
    """A worker whose tasks are 'NAME HOW...'; it notes each in ``folder`` before it does it."""
    (folder / f'made-{os.getpid()}').touch()

    def handle(task: str) -> str:
        name, *how = task.split()
        tries = folder / name
        with tries.open('a') as file:
            file.write(f'{os.getpid()}\n')
        first = tries.read_text().count('\n') == 1
        if 'dies' in how or ('dies_once' in how and first):
            os.kill(os.getpid(), signal.SIGKILL)
        if 'raises' in how:
            raise ValueError('not\nthis')
        if 'errs' in how:
            raise UserError(f'{name} is nothing: give another')
        if 'waits' in how:
            time.sleep(600)
        return name.upper()

    return handle


def make_refusing() -> Callable[[str], str]:
    """A worker that cannot be made."""
    raise UserError('nothing can be made here: go elsewhere')


class MortalBagWorker:
    """A bag worker that is killed once, in the middle of a bag: its engine is busy by then."""

    def __init__(self, worker: BagWorker, notes: Path) -> None:
        self._worker = worker
        self._notes = notes

    def __call__(self, task: BagTask) -> Outcome:
        with (self._notes / task.folder.name).open('a') as file:
            file.write(f'{os.getpid()}\n')
        died = self._notes / 'died'
        if task.folder.name == 'drive_2' and not died.exists():
            died.touch()
            engine = self._worker._loaded()
            infer = engine.infer

            def infer_and_die(frames: object) -> object:
                if list(task.folder.glob('.partial-*')):
                    os.kill(os.getpid(), signal.SIGKILL)
                return infer(frames)

            engine.infer = infer_and_die
        return self._worker(task)


def make_mortal(mark: Path, options: FleetOptions, notes: Path) -> MortalBagWorker:
    return MortalBagWorker(worker_on_node(mark, options), notes)
