"""One table over many bags: summary.json and summary.md."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dsn_ros.thresholds import crossed

if TYPE_CHECKING:
    from dsn_ros.fleet_worker import Outcome

__all__ = [
    'COMPARISON_HEADER',
    'HEADER',
    'as_markdown',
    'comparison_cells',
    'summarise',
    'table_rows',
]

COMPARISON_HEADER = ('frames', 'Abs Rel', 'median-scaled', 'RMSE', 'd<1.25', 'mIoU')
HEADER = ('bag', 'condition', *COMPARISON_HEADER, 'fps', 'dropped')
_DEPTHS = ('depth', 'depth_median_scaled')
_KEPT = ('bag', 'frames_in', 'frames_out', 'dropped', 'rate_hz', 'comparison', 'thresholds')


def summarise(outcomes: Mapping[str, 'Outcome'], missing: Sequence[str] = ()) -> dict[str, Any]:
    """The content of summary.json.

    ``outcomes`` by name; ``missing``: names of bags that are not done yet. ``comparison`` sums
    up by condition: the mean over all compared frames of all bags (of the mIoU: of the bags'
    own, each with the weight of its frames).
    """
    bags: dict[str, Any] = {}
    for name, outcome in sorted(outcomes.items()):
        if outcome.metrics is None:
            bags[name] = {'error': outcome.error}
        else:
            bags[name] = {k: outcome.metrics[k] for k in _KEPT if k in outcome.metrics}
    done = [o.metrics for o in outcomes.values() if o.metrics is not None]
    lines = {name: crossed(row) for name, row in bags.items()}
    summary: dict[str, Any] = {
        'bags': bags,
        'comparison': _pooled([metrics.get('comparison', {}) for metrics in done]),
        'failed': [name for name, row in bags.items() if 'error' in row],
        'crossed': {name: found for name, found in lines.items() if found},
        'missing': sorted(missing),
    }
    if done:
        summary['model'] = done[0]['model']
    return summary


def table_rows(summary: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Rows for HEADER: each bag by condition, then all bags by condition; '' where not known."""
    rows = []
    for name, bag in summary['bags'].items():
        if 'error' in bag:
            rows.append((name, 'failed', *[''] * (len(HEADER) - 2)))
            continue
        speed = (f'{bag["rate_hz"]:.1f}', str(sum(bag['dropped'].values())))
        compared = bag.get('comparison') or {'all': {'frames': bag['frames_out']}}
        rows += [
            (name, condition, *comparison_cells(row), *(speed if condition == 'all' else ('', '')))
            for condition, row in compared.items()
        ]
    for condition, row in summary['comparison'].items():
        rows.append(('all bags', condition, *comparison_cells(row), '', ''))
    return rows


def as_markdown(summary: Mapping[str, Any]) -> str:
    """The content of summary.md."""
    lines = ['# Bags', '', _line(HEADER), _line(['---'] * len(HEADER))]
    lines += [_line(row) for row in table_rows(summary)]
    for title, rows in (
        ('Failed', [f'{name}: {summary["bags"][name]["error"]}' for name in summary['failed']]),
        ('Crossed', [f'{n}: {line}' for n, found in summary['crossed'].items() for line in found]),
        ('Not done', summary['missing']),
    ):
        if rows:
            lines += ['', f'## {title}', '', *(f'- {row}' for row in rows)]
    return '\n'.join(lines) + '\n'


def _line(cells: Sequence[str]) -> str:
    return '| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells) + ' |'


def comparison_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What a table says of one condition's comparison, in the order of COMPARISON_HEADER."""
    depth, scaled, labels = (row.get(k) for k in (*_DEPTHS, 'labels'))
    return (
        str(row['frames']),
        f'{depth["abs_rel"]:.3f}' if depth else '',
        f'{scaled["abs_rel"]:.3f}' if scaled else '',
        f'{depth["rmse"]:.2f}' if depth else '',
        f'{depth["a1"]:.3f}' if depth else '',
        f'{100 * labels["miou"]:.1f} %' if labels else '',
    )


def _pooled(comparisons: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    pooled: dict[str, Any] = {}
    for condition in sorted({name for rows in comparisons for name in rows}):
        rows = [each[condition] for each in comparisons if condition in each]
        frames = sum(row['frames'] for row in rows)
        total: dict[str, Any] = {'frames': frames}
        for kind in _DEPTHS:
            have = [(row['frames'], row[kind]) for row in rows if kind in row]
            if have:
                names = have[0][1]
                total[kind] = {n: _mean([(w, each[n]) for w, each in have]) for n in names}
        labels = [(row['frames'], row['labels']['miou']) for row in rows if 'labels' in row]
        if labels:
            total['labels'] = {'miou': _mean(labels)}
        pooled[condition] = total
    return pooled


def _mean(weighted: Sequence[tuple[int, float]]) -> float:
    known = [(weight, value) for weight, value in weighted if not math.isnan(value)]
    total = sum(weight for weight, _ in known)
    return round(sum(w * v for w, v in known) / total, 4) if total else math.nan
