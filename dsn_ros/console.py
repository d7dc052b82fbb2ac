"""What the command shows: a progress bar, and figures when it is done."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from dsn_core.errors import printable
from dsn_ros.fleet_summary import COMPARISON_HEADER, HEADER, comparison_cells, table_rows
from dsn_ros.thresholds import crossed

__all__ = [
    'ERRORS',
    'OUTPUT',
    'print_int8',
    'print_metrics',
    'print_profile',
    'print_summary',
    'progress_bar',
]

if TYPE_CHECKING:
    from dsn_core.profile import PartCost
    from dsn_ros.export_int8 import Int8Export


class _Plain(Console):
    """Prints texts of files and users, whose control characters command no terminal."""

    def print(self, *objects: Any, **options: Any) -> None:
        clean = (_lines(each) if isinstance(each, str) else each for each in objects)
        super().print(*clean, **options)


# Their brackets are no markup, either.
OUTPUT = _Plain(markup=False)
ERRORS = _Plain(markup=False, stderr=True)


class _Rate(ProgressColumn):
    """Frames a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f'{speed:.1f}/s' if speed else '', style='cyan')


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar with rate and time left on standard error while the block runs."""
    columns = (
        TextColumn('{task.description}', markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=ERRORS) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def print_metrics(metrics: dict[str, Any], out: Path) -> None:
    """Print what a replay or a run over pictures left in ``out``."""
    engine, infer_ms = metrics['engine'], metrics['latency_ms']['infer']['p50']
    OUTPUT.print(
        f'{metrics["frames_out"]} of {metrics["frames_in"]} frames, {metrics["rate_hz"]}/s, '
        f'{infer_ms:.0f} ms in {engine["name"]} {engine["precision"]} on {engine["device"]}'
    )
    for reason, count in metrics['dropped'].items():
        OUTPUT.print(f'dropped: {count} ({reason})')
    for problem in metrics['problems']:
        OUTPUT.print(f'note: {problem}', style='yellow')
    if 'comparison' in metrics:
        lidar = ' (LiDAR)' if 'lidar' in metrics else ''
        found = (
            f'{kind} with {topic}{lidar if kind == "depth" else ""}'
            for kind, topic in sorted(metrics['ground_truth'].items())
        )
        OUTPUT.print(f'compared: {", ".join(found)}', soft_wrap=True)
        OUTPUT.print(_comparison_table(metrics['comparison']))
    OUTPUT.print(f'look at {out / "report.html"}', soft_wrap=True)
    for line in crossed(metrics):
        ERRORS.print(f'crossed: {line}', style='red', soft_wrap=True)


def print_int8(made: 'Int8Export') -> None:
    """Print what an int8 graph was fitted to, and how it compares with the fp32 one."""
    frames = ', '.join(f'{count} by {light}' for light, count in sorted(made.frames.items()))
    OUTPUT.print(f'calibrated with {made.frames.total()} frames: {frames}')
    for light in sorted({'day', 'night'} - made.frames.keys()):
        OUTPUT.print(f'note: none of the frames is by {light}; add some', style='yellow')
    for light, loss in sorted(made.losses.items()):
        OUTPUT.print(
            f'by {light}, on some of them, against fp32: depth differs by {loss.depth:.2%} '
            f'(median), labels by {loss.labels:.2%}, by {loss.sure_labels:.2%} where fp32 is sure',
            soft_wrap=True,
        )
    if made.kept:
        OUTPUT.print(f'kept in float: {", ".join(made.kept)}', soft_wrap=True)


def print_profile(costs: Mapping[str, 'PartCost'], height: int, width: int, variant: str) -> None:
    """Print Table 4 beside the variant's own multiply-adds and parameters."""
    from dsn_core.profile import PAPER

    table = Table(
        'part',
        'GMACs, paper',
        'as the paper counts',
        'true',
        'M parameters, paper',
        'ours',
        title=f'Table 4 at {height}x{width}, variant {variant}',
    )
    for part, cost in costs.items():
        gmacs, params = PAPER[part]
        table.add_row(
            part,
            f'{gmacs:.3f}',
            f'{cost.thop_macs / 1e9:.3f}',
            f'{cost.true_macs / 1e9:.3f}',
            f'{params:.3f}',
            f'{cost.params / 1e6:.3f}',
        )
    OUTPUT.print(table)


def print_summary(summary: dict[str, Any], out: Path) -> None:
    """Print what a replay of many bags left in ``out``."""
    table = Table(*HEADER, box=SIMPLE_HEAD, pad_edge=False)
    for row in table_rows(summary):
        table.add_row(*map(printable, row))
    OUTPUT.print(table)
    OUTPUT.print(f'look at {out / "summary.md"}', soft_wrap=True)
    for name, lines in summary['crossed'].items():
        for line in lines:
            ERRORS.print(f'crossed: {name}: {line}', style='red', soft_wrap=True)
    for name in summary['failed']:
        error = summary['bags'][name]['error']
        ERRORS.print(f'failed: {name}: {error}', style='red', soft_wrap=True)


def _comparison_table(comparison: dict[str, Any]) -> Table:
    table = Table('condition', *COMPARISON_HEADER)
    for condition, row in comparison.items():
        table.add_row(printable(condition), *comparison_cells(row))
    return table


def _lines(text: str) -> str:
    return '\n'.join(map(printable, text.split('\n')))
