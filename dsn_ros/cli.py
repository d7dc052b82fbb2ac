"""``dsn``, the command: one verb for each thing one does with the package."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from dsn_core.errors import UserError
from dsn_ros import cli_bench, cli_offline
from dsn_ros.cli_options import (
    CameraHeightOption,
    EngineOption,
    FovOption,
    IgnoreOption,
    MinConfidenceOption,
    ModelOption,
    OutOption,
    OutputSize,
    PrecisionOption,
    RayOption,
    ScaleOption,
    engine_from,
    pipeline_options,
)
from dsn_ros.console import ERRORS, OUTPUT, print_metrics, progress_bar

__all__ = ['app', 'main']

app = typer.Typer(
    help='Depth and semantic labels from one colour camera, by day and by night.',
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode='markdown',
    context_settings={'help_option_names': ['-h', '--help']},
)


@app.command()
def replay(
    bags: Annotated[
        list[Path],
        typer.Argument(help='Bag folders, .mcap, .db3 or ROS 1 .bag files, or folders of bags.'),
    ],
    out: OutOption,
    topic: Annotated[str | None, typer.Option(help='Image topic; default: the only one.')] = None,
    camera_info: Annotated[
        str | None, typer.Option(help='CameraInfo topic; default: the one beside the image.')
    ] = None,
    model: ModelOption = None,
    engine: EngineOption = 'auto',
    precision: PrecisionOption = 'auto',
    size: Annotated[OutputSize, typer.Option(help='Size of the outputs.')] = OutputSize.model,
    points: Annotated[
        bool, typer.Option('--points', help='Write the point cloud as well (large).')
    ] = False,
    compare: Annotated[
        bool, typer.Option('--compare', help="Score against the bag's ground truth topics.")
    ] = False,
    depth_truth: Annotated[str | None, typer.Option(help='Topic of true depth.')] = None,
    labels_truth: Annotated[str | None, typer.Option(help='Topic of true labels.')] = None,
    lidar: Annotated[
        str | None,
        typer.Option(help='Score depth against this PointCloud2 topic; auto: the only one.'),
    ] = None,
    max_abs_rel: Annotated[
        list[str] | None, typer.Option(help='Fail above it: NUMBER or CONDITION=NUMBER.')
    ] = None,
    min_miou: Annotated[
        list[str] | None, typer.Option(help='Fail below it: NUMBER or CONDITION=NUMBER, 0 to 1.')
    ] = None,
    min_fps: Annotated[str | None, typer.Option(help='Fail below so many frames/s.')] = None,
    max_dropped: Annotated[
        str | None, typer.Option(help='Fail above this share of dropped frames, 0 to 1.')
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help='Processes for many bags; default: what fits.')
    ] = None,
    ray: RayOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help='At most so many frames.')] = None,
    scale: ScaleOption = 'none',
    camera_height: CameraHeightOption = 0.0,
    min_confidence: MinConfidenceOption = 0.0,
    fov: FovOption = 0.0,
    ignore: IgnoreOption = None,
) -> None:
    """Run the perception pipeline over bags, without ROS.

    Writes perception.mcap (for Foxglove, RViz, ros2 bag), metrics.json and report.html; of
    several bags into a folder each, and a table over all of them (summary.md). Exit code 1: a
    limit (--max-..., --min-...) was crossed, or one of several bags failed.

    Examples: `dsn replay my_drive --out out/my_drive`,
    `dsn replay drive.mcap --lidar auto --max-abs-rel 0.2 --max-abs-rel night=0.3 --out out`
    """
    from dsn_ros.replay import ReplayOptions
    from dsn_ros.replay_command import replay_bags
    from dsn_ros.thresholds import limits_from

    options = ReplayOptions(
        topic, camera_info, limit, points, compare, depth_truth, labels_truth, lidar
    )
    limits = limits_from(
        {
            'max-abs-rel': max_abs_rel or [],
            'min-miou': min_miou or [],
            'min-fps': [min_fps] if min_fps else [],
            'max-dropped': [max_dropped] if max_dropped else [],
        }
    )
    pipeline = pipeline_options(
        scale, min_confidence, fov, size.value, camera_height, ignore or ()
    )
    choice = (model, engine, precision)
    if not replay_bags(bags, out, choice, options, pipeline, limits, jobs, ray):
        raise typer.Exit(1)


@app.command()
def infer(
    paths: Annotated[list[Path], typer.Argument(help='Pictures, folders or videos.')],
    out: OutOption,
    model: ModelOption = None,
    engine: EngineOption = 'auto',
    precision: PrecisionOption = 'auto',
    scale: ScaleOption = 'none',
    camera_height: CameraHeightOption = 0.0,
    min_confidence: MinConfidenceOption = 0.0,
    fov: FovOption = 0.0,
    ignore: IgnoreOption = None,
) -> None:
    """Depth and labels of pictures, folders of pictures and videos.

    Per picture: NAME.depth.npy, NAME.depth.png (millimetres), NAME.labels.png, NAME.overlay.png,
    at the picture's own size.

    Examples: `dsn infer photo.jpg --fov 70 --out out`, `dsn infer drive.mp4 --out out/drive`
    """
    from dsn_ros.infer import infer as run

    loaded = engine_from(model, engine, precision)
    with progress_bar(paths[0].name) as show:
        options = pipeline_options(
            scale, min_confidence, fov, camera_height=camera_height, ignore=ignore or ()
        )
        metrics = run(paths, out, loaded, options, show)
    print_metrics(metrics, out)


@app.command()
def calibrate(
    bag: Annotated[Path, typer.Argument(help='Bag folder, .mcap, .db3 or ROS 1 .bag file.')],
    by: Annotated[str, typer.Option(help='What tells metres: lidar, odometry or height.')],
    out: Annotated[
        Path | None, typer.Option('--out', '-o', help="File (.yaml) for the node's parameters.")
    ] = None,
    camera_height: CameraHeightOption = 0.0,
    lidar: Annotated[str, typer.Option(help='PointCloud2 topic; auto: the only one.')] = 'auto',
    topic: Annotated[str | None, typer.Option(help='Image topic; default: the only one.')] = None,
    camera_info: Annotated[
        str | None, typer.Option(help='CameraInfo topic; default: the one beside the image.')
    ] = None,
    model: ModelOption = None,
    engine: EngineOption = 'auto',
    precision: PrecisionOption = 'auto',
    limit: Annotated[int | None, typer.Option(min=1, help='At most so many frames.')] = None,
    max_spread: Annotated[
        float, typer.Option(min=0.001, help='Fail where frames disagree by more (0.15: 15 %).')
    ] = 0.15,
    fov: FovOption = 0.0,
) -> None:
    """Find one fixed scale for a camera and a model: metres for one unit of the network.

    Prints the factor, how far single frames disagree and how many there were, by condition where
    the bag tells it.

    Examples: `dsn calibrate my_drive --by lidar --out scale.yaml`,
    `dsn calibrate my_drive --by height --camera-height 1.4`
    """
    from dsn_ros.calibrate import CalibrateOptions, write_parameters
    from dsn_ros.calibrate import calibrate as run

    options = CalibrateOptions(
        by,  # type: ignore[arg-type]
        camera_height=camera_height,
        lidar=lidar,
        topic=topic,
        camera_info=camera_info,
        fov_degrees=fov,
        limit=limit,
        max_spread=max_spread,
    )
    loaded = engine_from(model, engine, precision)
    with progress_bar(bag.name) as show:
        found = run(bag, loaded, options, show)
    OUTPUT.print(f'scale.factor {found.all}, by {by}; {found.frames_in} frames looked at')
    for condition, factor in found.conditions.items():
        OUTPUT.print(f'{condition}: {factor}')
    if out is not None:
        about = f'Found by dsn calibrate {bag.name} --by {by} for {loaded.metadata.name}'
        write_parameters(out, found, about)
        OUTPUT.print(f'use {out} as params_file', soft_wrap=True)


@app.command()
def engine(
    model: Annotated[
        Path | None,
        typer.Argument(help='Deploy graph (.onnx), or lite2, which ships; default: lite.'),
    ] = None,
    engine: EngineOption = 'auto',
    precision: PrecisionOption = 'auto',
    list_: Annotated[
        bool, typer.Option('--list', help='Tell which engines this machine can use.')
    ] = False,
) -> None:
    """Build, cache and self-test the engine for this machine.

    Examples: `dsn engine --list`, `dsn engine my_model.onnx`
    """
    from dsn_ros.engines import list_engines, self_test

    if list_:
        table = Table('engine', 'device', 'usable', 'why')
        for status in list_engines():
            usable = Text('yes', 'green') if status.usable else Text('no', 'red')
            table.add_row(status.name, status.device, usable, status.why)
        OUTPUT.print(table)
        return
    loaded = engine_from(model, engine, precision)
    figures = self_test(loaded)
    OUTPUT.print(
        f'{loaded.metadata.name} {loaded.height}x{loaded.width} on {loaded.name} '
        f'{loaded.precision} ({loaded.device}): the golden frame differs by '
        f'{figures.depth_error:.3%} in depth, {figures.label_agreement:.1%} of labels agree'
    )


for verb in (*cli_offline.VERBS, *cli_bench.VERBS):
    app.command()(verb)


def main() -> None:
    """Run the command; a user's error is one line and exit code 2."""
    logging.basicConfig(level=logging.WARNING, format='%(message)s', stream=sys.stderr)
    logging.getLogger('dsn_core').setLevel(logging.INFO)
    logging.getLogger('dsn_ros').setLevel(logging.INFO)
    try:
        app(standalone_mode=True)
    except UserError as error:
        ERRORS.print(f'dsn: {error}', highlight=False, soft_wrap=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt as error:
        ERRORS.print(f'dsn: {error or "stopped"}')
        raise SystemExit(130) from None


if __name__ == '__main__':
    main()
