"""The verbs of ``dsn`` that need no robot: networks are made, measured and compared."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from dsn_core.errors import UserError
from dsn_ros.cli_options import GraphPrecision, OutOption, RayOption
from dsn_ros.console import ERRORS, OUTPUT, print_int8, print_profile, progress_bar

__all__ = ['VERBS']


def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help='Checkpoint (.safetensors) of dsn train; for int8 an fp32 deploy graph as well.'
        ),
    ],
    out: Annotated[Path, typer.Option('--out', '-o', help='Deploy graph (.onnx) to write.')],
    precision: Annotated[
        GraphPrecision, typer.Option(help='What the graph computes in.')
    ] = GraphPrecision.fp32,
    half_weights: Annotated[
        bool, typer.Option(help='Store the weights of an fp32 graph as half: half the file.')
    ] = False,
    height: Annotated[int | None, typer.Option(help='Height, a multiple of 32.')] = None,
    width: Annotated[int | None, typer.Option(help='Width, a multiple of 32.')] = None,
    calibrate: Annotated[
        list[Path] | None,
        typer.Option(
            help='Frames to fit int8 to, by day and by night: pictures, videos, folders of them, '
            'bags, or drives of dsn simulate; again for more. Default: the demo bag.'
        ),
    ] = None,
    calibration_frames: Annotated[
        int, typer.Option(min=1, help='How many of those frames, evenly spread.')
    ] = 96,
    topic: Annotated[
        str | None, typer.Option(help='Image topic of bags to calibrate with; default: the only.')
    ] = None,
) -> None:
    """Turn a checkpoint into a deploy graph for every engine.

    int8 is fitted to frames; parts of the network that it costs too much stay in float.

    Examples: `dsn export runs/street/phase-1.safetensors --out street.onnx`,
    `dsn export street.onnx --out street.int8.onnx --precision int8 --calibrate DAY_BAG
    --calibrate NIGHT_BAG`
    """
    int8 = precision is GraphPrecision.int8
    if int8 and half_weights:
        raise UserError(
            '--half-weights is for fp32: the weights of int8 graphs are stored as int8'
        )
    if not int8 and (calibrate or topic):
        raise UserError('--calibrate and --topic are for --precision int8')
    if not int8 and checkpoint.suffix == '.onnx':
        raise UserError(f'{checkpoint} is a deploy graph already: of one only int8 can be made')
    size = (height, width)
    try:
        if int8:
            from dsn_ros.export_int8 import export_int8

            with progress_bar('calibration') as show:
                made = export_int8(
                    checkpoint, out, calibrate or (), calibration_frames, topic, size, show
                )
            metadata = made.metadata
            print_int8(made)
        else:
            from dsn_core.export import export as run

            metadata = run(checkpoint, out, precision.value, *size, half_weights)
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed: pip install 'dsn_ros[train]'") from error
    megabytes = out.stat().st_size / 1e6
    OUTPUT.print(
        f'{out}: {metadata.height}x{metadata.width} {metadata.precision}, {megabytes:.1f} MB',
        soft_wrap=True,
    )


def profile(
    json_: Annotated[bool, typer.Option('--json', help='Print JSON.')] = False,
    height: Annotated[int, typer.Option(help='Height of the picture.')] = 320,
    width: Annotated[int, typer.Option(help='Width of the picture.')] = 576,
    variant: Annotated[
        str, typer.Option(help="The network's variant: paper, lite or lite2.")
    ] = 'paper',
) -> None:
    """Print Table 4: multiply-adds and parameters, as the paper counts and as they truly are."""
    from dsn_core.profile import as_json
    from dsn_core.profile import profile as run

    costs = run(height, width, variant=variant)
    if json_:
        sys.stdout.write(json.dumps(as_json(costs), indent=2) + '\n')
        return
    print_profile(costs, height, width, variant)


def simulate(
    out: OutOption,
    towns: Annotated[int, typer.Option(min=1, help='How many towns (one street each).')] = 4,
    first_seed: Annotated[int, typer.Option(min=0, help='Seed of the first town.')] = 0,
    condition: Annotated[
        list[str] | None,
        typer.Option(help='day, dusk or night; again for more. Default: all three.'),
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help='Frames of every drive.')] = 50,
    fps: Annotated[float, typer.Option(min=0.1, help='Frames a second.')] = 10.0,
    height: Annotated[int, typer.Option(help='Height of the pictures.')] = 320,
    width: Annotated[int, typer.Option(help='Width of the pictures.')] = 576,
    narrow: Annotated[
        float, typer.Option(help='Share of narrow streets, overgrown or built close, 0 to 1.')
    ] = 0.0,
    bag: Annotated[
        bool, typer.Option('--bag', help='Write one ROS 2 bag a town instead of folders.')
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help='Processes.')] = 1,
    gpu: Annotated[
        list[int] | None,
        typer.Option(min=0, help='EGL device that draws; again for more, shared by the workers.'),
    ] = None,
    lidar_fov: Annotated[
        float, typer.Option(help='Degrees that the LiDAR of a bag scans; 360: all around.')
    ] = 120.0,
) -> None:
    """Day, dusk and night drives down simulated streets, with exact ground truth.

    Towns whose seed ends in 8 are for validation, in 9 for tests, all others for training. What
    is whole in --out is left as it is: run again, an interrupted run goes on.

    Examples: `dsn simulate --out streets --towns 20 --fps 1`,
    `dsn simulate --out out --first-seed 9 --towns 1 --condition day --condition night --bag`
    """
    from dsn_core.simulation import CONDITIONS, SimulationOptions
    from dsn_core.simulation import simulate as simulate_folders
    from dsn_ros.simulated_bag import simulate_bags

    conditions = list(dict.fromkeys(condition or CONDITIONS))
    options = SimulationOptions(
        height=height, width=width, fps=fps, lidar_fov=lidar_fov, narrow=narrow
    )
    seeds = range(first_seed, first_seed + towns)
    run = simulate_bags if bag else simulate_folders
    with progress_bar('bags' if bag else 'drives') as show:
        run(out, seeds, conditions, frames, options, workers, show, gpu or ())


def train(
    config: Annotated[Path, typer.Argument(help='Configuration (.yaml).')],
    overrides: Annotated[list[str] | None, typer.Argument(help='key=value ...')] = None,
    stage: Annotated[
        str | None,
        typer.Option(
            help='Stop after this stage: frames, translate, day-depth, label, distil or export.'
        ),
    ] = None,
    show: Annotated[
        bool, typer.Option('--show', help='Print the whole configuration, explained, and stop.')
    ] = False,
    ray: RayOption = None,
) -> None:
    """Train a network; stopped, it goes on where it was when it is run again.

    Stages that are done and up to date are not done again. With more than one GPU or machine:
    `torchrun --nproc-per-node 4 -m dsn_ros.cli train CONFIG`. With --ray the frames are labelled
    and translated by a cluster; training is not shared out that way.

    Examples: `dsn train config/train/my_robot.yaml day=DAY_BAG night=NIGHT_BAG`,
    `dsn train config/train/sim_supervised.yaml out=runs/street`
    """
    try:
        from dsn_ros.train import show_config, train
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed: pip install 'dsn_ros[train]'") from error
    if show:
        sys.stdout.write(show_config(config, overrides or []))
        return
    OUTPUT.print(train(config, overrides or [], stage, ray))


def evaluate(
    config: Annotated[Path, typer.Argument(help='Configuration (.yaml).')],
    out: OutOption,
    overrides: Annotated[list[str] | None, typer.Argument(help='key=value ...')] = None,
) -> None:
    """Score networks and folders of predictions; print the paper's Tables 1, 2 and 3 with ours.

    Writes tables.md, evaluation.json and evaluation.html; run again, it does what is missing.

    Examples: `dsn evaluate config/eval/sim.yaml --out out/eval`,
    `dsn evaluate config/eval/sim.yaml rows=[default,my.onnx,PREDICTIONS] --out out/eval`
    """
    from dsn_ros.evaluate import evaluate as run
    from dsn_ros.evaluation_text import print_tables

    with progress_bar(config.stem) as show:
        tables = run(config, overrides or [], out, show)
    print_tables(tables, out)


def ablate(
    config: Annotated[Path, typer.Argument(help='Configuration (.yaml).')],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help='key=value ...; train.KEY=VALUE and evaluate.KEY=VALUE too.'),
    ] = None,
    variant: Annotated[
        list[str] | None, typer.Option(help='Only this variant; again for more.')
    ] = None,
    show: Annotated[
        bool, typer.Option('--show', help='Print what each variant changes, and stop.')
    ] = False,
) -> None:
    """Train the variants of an ablation in one budget; print the paper's Table 5 with ours.

    Writes table_5.md, ablation.json and evaluation.html into the configuration's `out`. Stopped,
    it goes on where it was when it is run again. Exit code 1: a training failed, the others are
    in the table.

    Examples: `dsn ablate config/ablation/sim_tiny.yaml`,
    `dsn ablate config/ablation/nuscenes.yaml seeds=[1,2,3] train.trainer.workers=16`
    """
    try:
        from dsn_ros.ablate import ablate, describe, load_ablation
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed: pip install 'dsn_ros[train]'") from error
    from dsn_ros.evaluation_text import print_tables

    ablation = load_ablation(config, overrides or [])
    if show:
        sys.stdout.write(describe(ablation))
        return
    result = ablate(ablation, variant or [])
    if result.tables:
        print_tables(result.tables, ablation.config.out)
    for failure in result.failures:
        ERRORS.print(f'failed: {failure}', style='red', soft_wrap=True)
    if result.failures:
        raise typer.Exit(1)


def calibrate_confidence(
    model: Annotated[Path, typer.Argument(help='Deploy graph (.onnx).')],
    config: Annotated[Path, typer.Argument(help='Configuration (.yaml) of dsn evaluate.')],
    out: Annotated[Path, typer.Option('--out', '-o', help='Deploy graph (.onnx) to write.')],
    overrides: Annotated[list[str] | None, typer.Argument(help='key=value ...')] = None,
) -> None:
    """Measure how far a graph's confidence can be believed, by light; write it into the graph.

    Example: `dsn calibrate-confidence my.onnx config/eval/confidence.yaml --out calibrated.onnx`
    """
    from dsn_ros.calibrate_confidence import calibrate_confidence as run

    with progress_bar(config.stem) as show:
        fits = run(model, config, out, overrides or [], show)
    for name, fit in fits.items():
        OUTPUT.print(
            f'{name}: {fit.pictures} pictures, calibration error {fit.before:.1%}, '
            f'{fit.after:.1%} with the table'
        )


VERBS = (export, profile, simulate, train, evaluate, ablate, calibrate_confidence)
