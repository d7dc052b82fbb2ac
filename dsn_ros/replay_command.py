"""What ``dsn replay`` does: one bag into a folder, or many bags into a folder each."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from dsn_core.processes import Processes, Runner
from dsn_core.ray_tasks import Share, marked, ray_cluster
from dsn_ros.console import OUTPUT, print_metrics, print_summary, progress_bar
from dsn_ros.engines import SHIPPED, default_model, load_engine, read_model
from dsn_ros.errors import UserError
from dsn_ros.fleet import default_jobs, expand, replay_fleet, share_of, threads_for
from dsn_ros.fleet_worker import BagWorker, FleetOptions, Outcome, worker_on_node
from dsn_ros.pipeline import PipelineOptions
from dsn_ros.replay import ReplayOptions, replay
from dsn_ros.thresholds import Limit, crossed

__all__ = ['EngineChoice', 'replay_bags']

EngineChoice = tuple[Path | None, str, str]
"""(model or None for the shipped one, engine, precision), as for load_engine."""
_Workers = tuple[Callable[[], BagWorker], Runner]
"""What makes a worker, and what gives the bags to the workers."""


def replay_bags(
    paths: Sequence[Path],
    out: Path,
    engine: EngineChoice,
    options: ReplayOptions,
    pipeline: PipelineOptions,
    limits: Sequence[Limit] = (),
    jobs: int | None = None,
    ray: str | None = None,
) -> bool:
    """Replay ``paths`` and print what came of it; whether all went well and no limit was crossed.

    One bag goes straight into ``out``; several, or a folder of bags, into a folder each, done by
    ``jobs`` processes here, or workers of the Ray cluster at address ``ray``. Raises UserError
    for what the user can mend.
    """
    if any(limit.compared for limit in limits) and not (options.compare or options.lidar):
        raise UserError(
            '--max-abs-rel and --min-miou need a comparison: give --compare or --lidar'
        )
    bags = expand(paths, out)
    if list(paths) == bags and len(bags) == 1:
        if ray is not None:
            raise UserError('--ray shares out several bags: leave it out, this is one')
        return _one(bags[0], out, engine, options, pipeline, limits)
    return _many(bags, out, engine, options, pipeline, limits, jobs, ray)


def _one(
    bag: Path,
    out: Path,
    engine: EngineChoice,
    options: ReplayOptions,
    pipeline: PipelineOptions,
    limits: Sequence[Limit],
) -> bool:
    loaded = load_engine(*engine)
    with progress_bar(bag.name) as show:
        metrics = replay(bag, out, loaded, options, pipeline, show, limits)
    print_metrics(metrics, out)
    return not crossed(metrics)


def _many(
    bags: Sequence[Path],
    out: Path,
    engine: EngineChoice,
    options: ReplayOptions,
    pipeline: PipelineOptions,
    limits: Sequence[Limit],
    jobs: int | None,
    ray: str | None,
) -> bool:
    model, name, precision = engine
    sha256 = read_model(default_model() if model is None else model).sha256
    if ray is not None:  # a worker's working folder is another one
        bags, out = [bag.absolute() for bag in bags], out.absolute()
        model = model if model is None or str(model) in SHIPPED else model.absolute()
    fleet = FleetOptions(model, sha256, name, precision, 1, options, pipeline, tuple(limits))
    here = _here(fleet, jobs, len(bags))
    with here if ray is None else _on_ray(ray, out, fleet, jobs, len(bags)) as workers:
        summary = _shown(bags, out, *workers)
    print_summary(summary, out)
    return not summary['failed'] and not summary['crossed']


@contextmanager
def _here(options: FleetOptions, jobs: int | None, bags: int) -> Iterator[_Workers]:
    jobs = min(jobs or default_jobs(bags, options.engine), bags)
    yield partial(BagWorker, replace(options, threads=threads_for(jobs))), Processes(jobs)


@contextmanager
def _on_ray(
    address: str, out: Path, options: FleetOptions, jobs: int | None, bags: int
) -> Iterator[_Workers]:
    with ray_cluster(address) as cluster, marked(out) as mark:

        def share(threads: int) -> Share:
            return share_of(options.engine, threads, cluster.gpus)

        jobs = min(jobs or max(1, cluster.room(share(1))), bags)
        # As many threads as all of them can have, wherever they come to run.
        most = int(cluster.cpus // jobs)
        threads = next((t for t in range(most, 1, -1) if cluster.room(share(t)) >= jobs), 1)
        make = partial(worker_on_node, mark, replace(options, threads=threads))
        yield make, cluster.workers(jobs, share(threads))


def _shown(
    bags: Sequence[Path], out: Path, make: Callable[[], BagWorker], run: Runner
) -> dict[str, Any]:
    with progress_bar(f'{len(bags)} bags') as show:
        show(0, len(bags))

        def landed(each: str, outcome: Outcome, done: int, total: int) -> None:
            show(done, total)
            OUTPUT.print(f'{each}: {_in_short(outcome)}', soft_wrap=True)

        return replay_fleet(bags, out, make, run, landed)


def _in_short(outcome: Outcome) -> str:
    metrics = outcome.metrics
    if metrics is None:
        return 'failed'
    frames = f'{metrics["frames_out"]} of {metrics["frames_in"]} frames'
    return f'{frames}, as before' if outcome.reused else frames
