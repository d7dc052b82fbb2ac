"""``dsn bench``: the verb that measures speed."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from dsn_ros.console import ERRORS, OUTPUT, progress_bar

__all__ = ['VERBS']


class BenchPart(str, Enum):
    """What can be measured by itself."""

    limits = 'limits'
    engines = 'engines'
    path = 'path'
    replay = 'replay'
    start = 'start'
    training = 'training'


def bench(
    parts: Annotated[
        list[BenchPart] | None, typer.Argument(help='What to measure; default: everything.')
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option(
            help='Deploy graph (.onnx), or lite or lite2, which ship; again for more, of other '
            'sizes or precisions. The first is taken for path, replay, start and training. '
            'Default: lite.'
        ),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            help='A variant of the network with random weights beside the models, to see how fast '
            'it is here: paper, lite or lite2; again for more.'
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help='all, or one: openvino, onnxruntime, torch or tensorrt; :cpu or :cuda behind it '
            'names the device.'
        ),
    ] = 'all',
    batch: Annotated[
        list[int] | None,
        typer.Option(min=1, help='Pictures in one call; again for more. Default: 1 and 4.'),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help='Rounds of each race.')] = 15,
    threads: Annotated[
        int | None, typer.Option(min=1, help='CPU threads; default: as every library chooses.')
    ] = None,
    camera: Annotated[str, typer.Option(help="Size of the camera's pictures.")] = '1280x720',
    train_size: Annotated[
        str | None, typer.Option(help="Size that is trained on, as 576x320; default: the model's.")
    ] = None,
    train_batch: Annotated[int, typer.Option(min=1, help='Samples of a training step.')] = 2,
    json_: Annotated[
        Path | None, typer.Option('--json', help='File for all figures, every round of them.')
    ] = None,
    markdown: Annotated[
        bool, typer.Option('--markdown', help='Print the tables as Markdown.')
    ] = False,
    quick: Annotated[
        bool, typer.Option('--quick', help='A look in a fraction of the time; not to be quoted.')
    ] = False,
) -> None:
    """Measure speed side by side in one run, in rounds in which everybody has a turn.

    limits: matrix products and memory of this machine; engines: every engine and precision beside
    Monodepth2 and two separate networks in PyTorch; path: a frame from message to message, stage
    by stage; replay: a bag from file to file; start: time to the first output, and memory;
    training: steps beside a plain loop. Ctrl-C ends it with what was measured until then.

    Examples: `dsn bench --json bench.json`,
    `dsn bench limits engines --model small.onnx --model large.onnx --batch 1 --markdown`
    """
    from dsn_ros.bench import BenchOptions, size_of
    from dsn_ros.bench import bench as run
    from dsn_ros.bench import quick as shortened
    from dsn_ros.engines import default_model
    from dsn_ros.evaluation_text import show_tables, to_markdown

    options = BenchOptions(
        models=tuple(model or (default_model(),)),
        variants=tuple(variant or ()),
        parts=tuple(part.value for part in parts or BenchPart),
        engine=engine,
        batches=tuple(batch or (1, 4)),
        rounds=rounds,
        threads=threads,
        camera=size_of(camera, '--camera'),
        train_size=None if train_size is None else size_of(train_size, '--train-size'),
        train_batch=train_batch,
    )
    report = run(shortened(options) if quick else options, progress_bar)
    if markdown:
        OUTPUT.print(to_markdown(report.tables()), soft_wrap=True)
    else:
        show_tables(report.tables())
    OUTPUT.print(report.about, soft_wrap=True)
    for line in report.skipped:
        OUTPUT.print(f'not measured: {line}', style='yellow', soft_wrap=True)
    if json_ is not None:
        report.write(json_)
        OUTPUT.print(f'all figures: {json_}', soft_wrap=True)
    if not report.complete:
        ERRORS.print('stopped: the tables hold what was measured until then')
        raise typer.Exit(130)


VERBS = (bench,)
