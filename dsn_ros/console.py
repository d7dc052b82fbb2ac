"""What the command shows: a progress bar, and figures when it is done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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

__all__ = ['ERRORS', 'OUTPUT', 'print_metrics', 'progress_bar']

# What is printed comes from files and users: its brackets are no markup.
OUTPUT = Console(markup=False)
ERRORS = Console(markup=False, stderr=True)


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
        OUTPUT.print(_comparison_table(metrics['comparison']))
    OUTPUT.print(f'look at {out / "report.html"}', soft_wrap=True)


def _comparison_table(comparison: dict[str, Any]) -> Table:
    table = Table('condition', 'frames', 'Abs Rel', 'median-scaled', 'RMSE', 'd<1.25', 'mIoU')
    for condition, row in comparison.items():
        depth, scaled = row.get('depth'), row.get('depth_median_scaled')
        labels = row.get('labels')
        table.add_row(
            condition,
            str(row['frames']),
            f'{depth["abs_rel"]:.3f}' if depth else '',
            f'{scaled["abs_rel"]:.3f}' if scaled else '',
            f'{depth["rmse"]:.2f}' if depth else '',
            f'{depth["a1"]:.3f}' if depth else '',
            f'{100 * labels["miou"]:.1f} %' if labels else '',
        )
    return table
