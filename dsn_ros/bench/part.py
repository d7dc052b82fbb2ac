"""What a part of the benchmark is, and how its figures are written."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from dsn_core.evaluation.tables import Table
from dsn_ros.bench.race import Progress, spread

__all__ = ['NONE', 'NO_TORCH', 'Part', 'Show', 'as_json', 'figure', 'rounded', 'with_spread']

NONE = '\u2013'
NO_TORCH = "torch is not installed: pip install 'dsn_ros[train]'"

Show = Callable[[str], AbstractContextManager[Progress]]
"""Shows a bar with this title while its block runs."""


class Part(Protocol):
    """A part: stopped while it measures, it still tells what it has."""

    name: str
    skipped: dict[str, str]
    """What was not measured, and why."""

    def measure(self, show: Show) -> None:
        """Measure everything; may be interrupted at any time."""

    def as_json(self) -> dict[str, Any]:
        """What was measured, for the file."""

    def tables(self) -> list[Table]:
        """The same for people; none where nothing was measured."""


def as_json(values: Sequence[float], factor: float = 1.0, keep: bool = True) -> dict[str, Any]:
    """Median and quartiles of ``values`` times ``factor``, and with ``keep`` each of them."""
    found = spread(values)
    figures: dict[str, Any] = {
        'median': rounded(found.median * factor),
        'low': rounded(found.low * factor),
        'high': rounded(found.high * factor),
    }
    if keep:
        figures['rounds'] = [rounded(value * factor) for value in values]
    return figures


def figure(value: float | None) -> str:
    """Three digits, or all before the point; a dash for None."""
    if value is None:
        return NONE
    size = abs(value)
    return f'{value:.0f}' if size >= 100 else f'{value:.1f}' if size >= 10 else f'{value:.2f}'


def with_spread(found: Mapping[str, Any]) -> str:
    """The median of what ``as_json`` made, and the quartiles in brackets."""
    return f'{figure(found["median"])} ({figure(found["low"])} to {figure(found["high"])})'


def rounded(value: float | None) -> float | None:
    """Five significant digits."""
    return None if value is None else float(f'{value:.5g}')
