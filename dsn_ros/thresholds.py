"""Limits for the figures of a run: what makes a robot's regression test fail."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsn_ros.errors import UserError

__all__ = ['Limit', 'crossed', 'judge', 'limits_from']

WHOLE = 'all'

# Option -> (figure, whether more than the limit crosses it, the largest limit that makes sense).
_FIGURES = {
    'max-abs-rel': ('abs_rel', True, math.inf),
    'min-miou': ('miou', False, 1.0),
    'min-fps': ('rate_hz', False, math.inf),
    'max-dropped': ('dropped', True, 1.0),
}
_COMPARED = ('abs_rel', 'miou')


@dataclass(frozen=True)
class Limit:
    """One limit: ``figure`` of ``condition`` ('all': the whole run) at most or at least ``value``.

    ``abs_rel`` is the relative depth error: in metres where the depth is metric, median-scaled
    where it is relative. ``miou`` 0 to 1; ``rate_hz`` frames a second; ``dropped`` the share of
    frames that gave no result.
    """

    figure: str
    value: float
    at_most: bool
    condition: str = WHOLE

    @property
    def compared(self) -> bool:
        """Whether it takes a comparison with ground truth to know the figure."""
        return self.figure in _COMPARED


def limits_from(options: Mapping[str, Sequence[str]]) -> list[Limit]:
    """The limits that the command's options state: {'max-abs-rel': ['0.45', 'night=0.5'], ...}.

    A number alone is for the whole run, CONDITION=NUMBER for one condition. Raises UserError.
    """
    limits = []
    for option, texts in options.items():
        figure, at_most, largest = _FIGURES[option]
        for text in texts:
            condition, equals, number = text.rpartition('=')
            condition = condition.strip() if equals else WHOLE
            try:
                value = float(number)
            except ValueError:
                value = math.nan
            by_condition = 'a number or CONDITION=NUMBER' if figure in _COMPARED else 'a number'
            fits = condition == WHOLE or (figure in _COMPARED and condition)
            if not fits or not 0 <= value <= largest or math.isinf(value):
                upto = ' of 0 to 1' if largest == 1 else ' of zero or more'
                raise UserError(f'--{option} must be {by_condition}{upto}, got {text!r}')
            limits.append(Limit(figure, value, at_most, condition))
    return limits


def judge(metrics: Mapping[str, Any], limits: Sequence[Limit]) -> list[dict[str, Any]]:
    """Hold what metrics.json holds against ``limits``: one row each, JSON-able.

    A figure that was not measured crosses its limit: a test that compares nothing is no test.
    """
    rows = []
    for limit in limits:
        value = _measured(metrics, limit)
        if value is None:
            over = True
        else:
            over = value > limit.value if limit.at_most else value < limit.value
        rows.append(
            {
                'condition': limit.condition,
                'figure': limit.figure,
                'limit': limit.value,
                'bound': 'max' if limit.at_most else 'min',
                'value': value,
                'crossed': over,
            }
        )
    return rows


def crossed(metrics: Mapping[str, Any]) -> list[str]:
    """One line for each row of ``thresholds`` in ``metrics`` that was crossed."""
    lines = []
    for row in metrics.get('thresholds', ()):
        if row['crossed']:
            value = 'not measured' if row['value'] is None else f'{row["value"]:.4g}'
            what = f'{row["condition"]} {row["figure"]}'
            lines.append(f'{what} is {value}, {row["bound"]} {row["limit"]:g}')
    return lines


def _measured(metrics: Mapping[str, Any], limit: Limit) -> float | None:
    if limit.figure == 'rate_hz':
        return float(metrics['rate_hz'])
    if limit.figure == 'dropped':
        frames = metrics['frames_in']
        return round(sum(metrics['dropped'].values()) / frames, 6) if frames else None
    row = metrics.get('comparison', {}).get(limit.condition, {})
    if limit.figure == 'miou':
        value = row.get('labels', {}).get('miou')
    else:
        metric = metrics.get('scale', {}).get('metric', False)
        value = row.get('depth' if metric else 'depth_median_scaled', {}).get('abs_rel')
    return None if value is None or math.isnan(value) else float(value)
