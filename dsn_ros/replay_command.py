"""What ``dsn replay`` does: one bag into a folder, or many bags into a folder each."""

from collections.abc import Sequence
from pathlib import Path

from dsn_ros.console import OUTPUT, print_metrics, print_summary, progress_bar
from dsn_ros.engines import default_model, load_engine, read_model
from dsn_ros.errors import UserError
from dsn_ros.fleet import default_jobs, expand, replay_fleet, threads_for
from dsn_ros.fleet_worker import FleetOptions, Outcome
from dsn_ros.pipeline import PipelineOptions
from dsn_ros.replay import ReplayOptions, replay
from dsn_ros.thresholds import Limit, crossed

__all__ = ['EngineChoice', 'replay_bags']

EngineChoice = tuple[Path | None, str, str]
"""(model or None for the shipped one, engine, precision), as for load_engine."""


def replay_bags(
    paths: Sequence[Path],
    out: Path,
    engine: EngineChoice,
    options: ReplayOptions,
    pipeline: PipelineOptions,
    limits: Sequence[Limit] = (),
    jobs: int | None = None,
) -> bool:
    """Replay ``paths`` and print what came of it; whether all went well and no limit was crossed.

    One bag goes straight into ``out``; several, or a folder of bags, into a folder each. Raises
    UserError for what the user can mend.
    """
    if any(limit.compared for limit in limits) and not (options.compare or options.lidar):
        raise UserError(
            '--max-abs-rel and --min-miou need a comparison: give --compare or --lidar'
        )
    bags = expand(paths, out)
    if list(paths) == bags and len(bags) == 1:
        return _one(bags[0], out, engine, options, pipeline, limits)
    return _many(bags, out, engine, options, pipeline, limits, jobs)


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
) -> bool:
    model, name, precision = engine
    sha256 = read_model(default_model() if model is None else model).sha256
    jobs = min(jobs or default_jobs(len(bags), name), len(bags))
    fleet = FleetOptions(
        model, sha256, name, precision, threads_for(jobs), options, pipeline, tuple(limits)
    )
    with progress_bar(f'{len(bags)} bags') as show:
        show(0, len(bags))

        def landed(each: str, outcome: Outcome, done: int, total: int) -> None:
            show(done, total)
            OUTPUT.print(f'{each}: {_in_short(outcome)}', soft_wrap=True)

        summary = replay_fleet(bags, out, fleet, jobs, landed)
    print_summary(summary, out)
    return not summary['failed'] and not summary['crossed']


def _in_short(outcome: Outcome) -> str:
    metrics = outcome.metrics
    if metrics is None:
        return 'failed'
    frames = f'{metrics["frames_out"]} of {metrics["frames_in"]} frames'
    return f'{frames}, as before' if outcome.reused else frames
