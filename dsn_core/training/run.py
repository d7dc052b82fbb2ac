"""A run folder: stages that are done once, resumed after a kill, and redone when inputs change.

Every stage has a folder of its own below the run's. ``stage.json`` in it says what it was made
from (``inputs``: values and digests, never times), whether it is done, and the digest of what it
left. What a stage needs only to resume lies in its ``work`` folder and is not part of the result.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsn_core.digest import Digests
from dsn_core.files import PARTIAL, json_object, replacing
from dsn_core.training import world

__all__ = ['WORK', 'Run', 'StageResult']

_logger = logging.getLogger(__name__)

RECORD = 'stage.json'
WORK = 'work'

Inputs = Callable[[], Mapping[str, Any]]
Work = Callable[[Path], Mapping[str, float]]
"""Does a stage's work in the folder it is given, going on from what is there; its figures."""


@dataclass(frozen=True)
class StageResult:
    """A stage that is done."""

    folder: Path
    digest: str
    """Of all that it left, by content."""
    metrics: dict[str, float]
    """The figures that its work returned."""
    made: bool
    """Whether it was worked on just now, or found done."""


class Run:
    """The folder of one run and the stages in it.

    ``digests``: the memory of runs that look at the same files; without it, the folder's own.
    """

    def __init__(self, folder: Path, digests: Digests | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.digests = Digests(folder / '.digests.json') if digests is None else digests

    def stage(self, name: str, inputs: Inputs, work: Work) -> StageResult:
        """Do the stage ``name``, unless it is done from the same ``inputs`` and whole.

        ``inputs`` tells (JSON-able) everything that decides the result. A stage that was
        interrupted goes on if its inputs are the same; where they are not, its folder is set
        aside under another name and it starts anew. With several processes all call this.
        """
        folder = self.folder / name
        if world.rank() == 0:
            self._prepare(folder, json.loads(json.dumps(inputs())))
        world.barrier()
        record = json_object(folder / RECORD)
        made = record['state'] != 'done'
        if made:
            metrics = dict(work(folder))
            world.barrier()
            if world.rank() == 0:
                self._finish(folder, record, metrics)
            world.barrier()
            record = json_object(folder / RECORD)
        else:
            _logger.info('%s: done and up to date', name)
        return StageResult(folder, record['digest'], record['metrics'], made)

    def _prepare(self, folder: Path, inputs: dict[str, Any]) -> None:
        """Leave ``folder`` with a record of these inputs: done, or to be worked on."""
        name = folder.name
        record = json_object(folder / RECORD)
        if record and record.get('inputs') != inputs:
            changed = [k for k in inputs if record.get('inputs', {}).get(k) != inputs[k]]
            _logger.warning(
                '%s: %s changed: it is done anew, what was there is kept as %s',
                name,
                ', '.join(changed) or 'its inputs',
                _set_aside(folder).name,
            )
            record = {}
        if record.get('state') == 'done':
            if self.digest(folder) == record['digest']:
                return
            _logger.warning(
                '%s: its files are not as they were left: what is missing is made again, and what '
                'depends on it is redone',
                name,
            )
        elif record:
            _logger.info('%s: goes on', name)
        else:
            if folder.exists():
                _logger.warning('%s: not ours, kept as %s', folder, _set_aside(folder).name)
            _logger.info('%s: begins', name)
        now = time.strftime('%Y-%m-%dT%H:%M:%S%z')
        started = record.get('started', now)
        folder.mkdir(exist_ok=True)
        _write(folder / RECORD, {'state': 'begun', 'inputs': inputs, 'started': started})

    def _finish(self, folder: Path, record: dict[str, Any], metrics: dict[str, float]) -> None:
        done = {
            **record,
            'state': 'done',
            'finished': time.strftime('%Y-%m-%dT%H:%M:%S%z'),
            'metrics': metrics,
            'digest': self.digest(folder),
        }
        _write(folder / RECORD, done)

    def digest(self, folder: Path) -> str:
        """Digest of what a stage (or a folder in it) holds, without what only resuming needs."""
        files = [
            f
            for f in folder.rglob('*')
            if f.is_file()
            and f.name != RECORD
            and not f.name.endswith(PARTIAL)
            and f.relative_to(folder).parts[0] != WORK
        ]
        digest = self.digests.of_files(files, below=folder)
        self.digests.save()
        return digest


def _set_aside(folder: Path) -> Path:
    number = 1
    while (aside := folder.with_name(f'{folder.name}.old-{number}')).exists():
        number += 1
    folder.rename(aside)
    return aside


def _write(path: Path, record: dict[str, Any]) -> None:
    with replacing(path) as beside:
        beside.write_text(json.dumps(record, indent=1) + '\n')
