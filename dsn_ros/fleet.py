"""Many bags through the pipeline, on many cores: each has its folder, and one table sums up."""

import fcntl
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from dsn_core.processes import Died, Runner
from dsn_core.ray_tasks import Share
from dsn_ros.bags import SUFFIXES
from dsn_ros.engines import EngineError
from dsn_ros.engines.cuda import find_gpu
from dsn_ros.errors import UserError
from dsn_ros.fleet_summary import as_markdown, summarise
from dsn_ros.fleet_worker import BagTask, BagWorker, Outcome
from dsn_ros.results_folder import staged, write_json

__all__ = [
    'Landed',
    'default_jobs',
    'expand',
    'names_of',
    'replay_fleet',
    'share_of',
    'threads_for',
]

_MEMORY = 1.5e9  # bytes that one process needs, with engine, bag and report
_ON_A_GPU = 4  # processes that share a GPU: each has a context of its own on it

Landed = Callable[[str, Outcome, int, int], None]
"""Called with (name, what came of the bag, bags done, bags in all)."""


def expand(paths: Sequence[Path], out: Path) -> list[Path]:
    """The bags that ``paths`` mean: bags themselves, and those anywhere in folders of bags.

    What lies in ``out`` is left out: results are bags, too. A path that is neither comes back as
    it is, for the reader to say what is wrong with it. No bag comes twice.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        for bag in _bags_in(path, out.resolve()) or [path]:
            found.setdefault(bag.resolve(), bag)
    return list(found.values())


def names_of(bags: Sequence[Path]) -> list[str]:
    """A name for each bag's folder: its own, with as much of its path before it as tells it apart.

    The suffix of a bag's file is left out.
    """
    parts = [(*_absolute(b).parent.parts[1:], _stem(b)) for b in bags]
    names = []
    for own in parts:
        depth = 1
        while depth < len(own) and sum(p[-depth:] == own[-depth:] for p in parts) > 1:
            depth += 1
        names.append('-'.join(own[-depth:]))
    taken: dict[str, int] = {}
    for i, name in enumerate(names):  # drive.mcap beside drive.db3, or a-b beside a/b
        taken[name] = taken.get(name, 0) + 1
        if taken[name] > 1:
            names[i] = f'{name}-{bags[i].suffix.lstrip(".") or "bag"}-{taken[name]}'
    return names


def default_jobs(bags: int, engine: str) -> int:
    """How many processes fit this machine: one a core, as memory allows, few on a GPU."""
    jobs = _cores()
    try:
        memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
        jobs = min(jobs, int(memory / _MEMORY))
    except (ValueError, OSError):  # a system that does not tell
        pass
    if _may_use_gpu(engine) and _has_gpu():
        jobs = min(jobs, _ON_A_GPU)
    return max(1, min(jobs, bags))


def threads_for(jobs: int) -> int:
    """Threads of each of ``jobs`` engines, so that together they have the cores."""
    return max(1, _cores() // jobs)


def share_of(engine: str, threads: int, gpus: float) -> Share:
    """What a worker with that engine takes of its node, in a cluster of so many GPUs."""
    gpu = 1 / _ON_A_GPU if gpus and _may_use_gpu(engine) else 0.0
    return Share(threads, gpu, _MEMORY)


def replay_fleet(
    bags: Sequence[Path],
    out: Path,
    make: Callable[[], BagWorker],
    run: Runner,
    landed: Landed | None = None,
) -> dict[str, Any]:
    """Replay ``bags`` into ``out``/NAME each; returns what ``out``/summary.json holds.

    ``run`` gives the bags to its workers, each of which has what ``make`` makes.

    A result stands as soon as its bag is done. One that is there already, of the same bag, model
    and options, is not made again; another one is replaced when the new one is whole. A bag that
    fails does not stop the others: it is among the summary's ``failed``.

    Raises UserError where ``out`` cannot be used, and EngineError where the engine cannot.
    """
    names = names_of(bags)
    for name, bag in zip(names, bags, strict=True):
        folder = (out / name).resolve()
        if bag.resolve() in (folder, *folder.parents):
            raise UserError(f'the result of {bag} would lie in the bag: choose another --out')
    tasks = [BagTask(bag, out / name) for name, bag in zip(names, bags, strict=True)]
    outcomes: dict[str, Outcome] = {}
    with _alone_in(out), closing(run(make, tasks)) as results:
        for index, result in results:
            outcome = _outcome(tasks[index], result)
            if outcome.fatal:
                raise EngineError(outcome.error)
            outcomes[names[index]] = outcome
            summary = summarise(outcomes, sorted({*names} - {*outcomes}))
            with staged(out) as beside:
                write_json(beside / 'summary.json', summary)
                (beside / 'summary.md').write_text(as_markdown(summary), encoding='utf-8')
            if landed is not None:
                landed(names[index], outcome, len(outcomes), len(tasks))
    return summary


def _outcome(task: BagTask, result: Outcome | Died[Outcome]) -> Outcome:
    if isinstance(result, Died):
        return Outcome(error=f'{task.path}: {result}')
    return result


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """Keep a second run out of ``out`` while the block runs; a killed one keeps nobody out."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = (out / '.lock').open('w')
    except OSError as error:
        raise UserError(
            f'{out} cannot be written ({error.strerror}): choose another folder with --out'
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f'another run writes into {out}: wait for it') from None
        except OSError as error:
            raise UserError(
                f'{out} is on storage without file locks ({error.strerror}), which keep two runs '
                'apart: choose another folder with --out'
            ) from error
        yield


def _bags_in(path: Path, out: Path) -> list[Path]:
    """The bags at and below ``path``, sorted; a folder of one recording is one bag."""
    if path.is_file() or not path.is_dir():
        return [path]
    if (path / 'metadata.yaml').is_file():
        return [path]
    inside = sorted(path.iterdir())
    below = [
        bag
        for folder in inside
        if folder.is_dir() and not folder.name.startswith('.') and folder.resolve() != out
        for bag in _bags_in(folder, out)
    ]
    files = [f for f in inside if f.is_file() and f.suffix in SUFFIXES]
    recordings = {(re.sub(r'_\d+$', '', f.stem), f.suffix) for f in files}
    if not below and len(recordings) == 1:
        return [path]
    return [*files, *below]


def _stem(bag: Path) -> str:
    return _absolute(bag).stem if bag.suffix in SUFFIXES else _absolute(bag).name


def _absolute(path: Path) -> Path:
    # Links keep the name that the user gave them.
    return Path(os.path.abspath(path))


def _cores() -> int:
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _may_use_gpu(engine: str) -> bool:
    return not engine.endswith(':cpu') and not engine.startswith('openvino')


def _has_gpu() -> bool:
    try:
        find_gpu()
    except EngineError:
        return False
    return True
