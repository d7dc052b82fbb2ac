"""Table 5, the ablation, in the paper's layout, and what each part of the method does.

Of several seeds: mean ± sample standard deviation. Depth is median-scaled and in the protocol of
Table 2; mIoU is percent, of the eight classes of Table 3a that occur in the truth.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dsn_core.evaluation import published
from dsn_core.evaluation.config import DepthProtocol
from dsn_core.evaluation.run import RowScore
from dsn_core.evaluation.tables import Block, Line, Table

__all__ = ['PartEffect', 'ScoredVariant', 'Spread', 'part_effects', 'spreads', 'table_5']

_PARTS = {
    'RN': 'real night',
    'SN': 'synthetic night',
    'LE': 'light enhancement',
    'PD': 'day depth distillation',
}


class _Figure(NamedTuple):
    head: str
    digits: int
    better: int  # 1: more is better, -1: less


_FIGURES = {
    'miou': _Figure('mIoU↑', 2, 1),
    'abs_rel': _Figure('Abs Rel↓', 3, -1),
    'rmse': _Figure('RMSE↓', 3, -1),
    'a1': _Figure('δ<1.25↑', 3, 1),
}
_NONE = '\u2013'
# Names that data sets have for the paper's conditions.
_SAME = {'day-clear': 'day'}
_ORDER = ('day', 'dusk', 'night')


@dataclass(frozen=True)
class ScoredVariant:
    """A variant with the scores of its seeds on all sets; none where training failed."""

    name: str
    marks: tuple[str, ...] | None
    """The parts of Table 5 that it has; None: it is a baseline."""
    scores: tuple[RowScore, ...]


class Spread(NamedTuple):
    """A figure over seeds."""

    mean: float
    deviation: float | None
    """Sample standard deviation; None: one seed."""
    seeds: int


class PartEffect(NamedTuple):
    """What a part of the method does to one figure under one condition."""

    part: str
    set_name: str
    condition: str
    figure: str
    full: Spread
    without: Spread
    difference: float
    """Full minus without."""
    spread: float | None
    """Standard deviation of the difference of two single runs; None: one seed."""
    verdict: str


def spreads(scores: Sequence[RowScore]) -> dict[str, dict[str, Spread]]:
    """Condition → figure (miou, abs_rel, rmse, a1) → its spread over ``scores``, of one set.

    Figures that a score lacks (no labels, no depth) are left out.
    """
    values: dict[str, dict[str, list[float]]] = {}
    for score in scores:
        for name, figures in score.conditions.items():
            condition = values.setdefault(_SAME.get(name, name), {})
            for figure, value in _summary(figures).items():
                condition.setdefault(figure, []).append(value)
    return {
        name: {figure: _spread(found) for figure, found in values[name].items()}
        for name in _ordered(values)
    }


def part_effects(variants: Sequence[ScoredVariant]) -> list[PartEffect]:
    """Full minus without-part, for each part and set whose two variants have scores."""
    by_marks = {frozenset(v.marks): v for v in reversed(variants) if v.marks is not None}
    everything = frozenset(_PARTS)
    full = by_marks.get(everything)
    effects = []
    for part in _PARTS:
        without = by_marks.get(everything - {part})
        if full is None or without is None:
            continue
        for set_name in _set_names(full.scores):
            have, lack = (spreads(_on(v.scores, set_name)) for v in (full, without))
            for condition, figures in have.items():
                for figure in _FIGURES:
                    other = lack.get(condition, {}).get(figure)
                    if figure in figures and other is not None:
                        place = (part, set_name, condition, figure)
                        effects.append(_effect(*place, figures[figure], other))
    return effects


def table_5(
    variants: Sequence[ScoredVariant], others: Sequence[RowScore], protocol: DepthProtocol
) -> list[Table]:
    """Table 5 for each set, the paper's rows in it; then what each part does.

    ``others``: rows to stand below, trained networks and baselines without a picture.
    """
    names = _set_names([*(s for v in variants for s in v.scores), *others]) or ['']
    found = [_table(variants, others, protocol, name) for name in names]
    effects = part_effects(variants)
    return [*found, _effects_table(effects)] if effects else found


def _table(
    variants: Sequence[ScoredVariant],
    others: Sequence[RowScore],
    protocol: DepthProtocol,
    set_name: str,
) -> Table:
    ours = [(v, spreads(_on(v.scores, set_name))) for v in variants]
    beside = [(score, spreads([score])) for score in _on(others, set_name)]
    of_set = [figures for _, figures in (*ours, *beside)]
    conditions = _ordered({'day', 'night', *(c for figures in of_set for c in figures)})
    lines = []
    left = [(v, figures) for v, figures in ours if v.marks is not None]
    for row in published.TABLE_5:
        lines.append(_paper_line(row, conditions))
        same = [each for each in left if set(each[0].marks or ()) == set(row.marks)]
        left = [each for each in left if each not in same]
        lines += [_line(*each, conditions) for each in same]
    lines += [_line(*each, conditions) for each in left]
    blocks = [Block('', tuple(lines))]
    baselines = [_line(v, figures, conditions) for v, figures in ours if v.marks is None]
    if baselines:
        blocks.append(Block('Others, in the same budget', tuple(baselines)))
    if beside:
        rows = [
            Line(
                score.name,
                'baseline' if score.baseline else 'ours',
                (*_marks(None), *_cells(figures, conditions)),
            )
            for score, figures in beside
        ]
        blocks.append(Block('Not of this ablation', tuple(rows)))
    heads = [f'{c} {figure.head}' for c in conditions for figure in _FIGURES.values()]
    title = f'Table 5: ablation on {set_name}' if set_name else 'Table 5: ablation'
    return Table(title, _note(variants, protocol), ('Variant', *_PARTS, *heads), tuple(blocks))


def _note(variants: Sequence[ScoredVariant], protocol: DepthProtocol) -> str:
    seeds = max(
        (len(_on(v.scores, name)) for v in variants for name in _set_names(v.scores)), default=0
    )
    several = f'Mean ± sample standard deviation of {seeds} seeds. ' if seeds > 1 else ''
    named = ', '.join(f'{mark}: {what}' for mark, what in _PARTS.items())
    return (
        f'{named}. {several}The paper: nuScenes; figures of different data do not compare. Depth '
        f'from {protocol.min_depth:g} to {protocol.cap:g} m, median-scaled. mIoU in percent, of '
        'the classes of Table 3a.'
    )


def _paper_line(row: published.AblationRow, conditions: Sequence[str]) -> Line:
    missing = [part for part in _PARTS if part not in row.marks]
    figures = {
        condition: {
            figure: Spread(value, None, 1) for figure, value in zip(_FIGURES, values, strict=True)
        }
        for condition, values in (('day', row.day), ('night', row.night))
    }
    name = f'without {", ".join(missing)}' if missing else 'full'
    return Line(name, 'paper', (*_marks(row.marks), *_cells(figures, conditions)))


def _line(
    variant: ScoredVariant, figures: Mapping[str, Mapping[str, Spread]], conditions: Sequence[str]
) -> Line:
    cells = (*_marks(variant.marks), *_cells(figures, conditions))
    return Line(variant.name, 'ours', cells)


def _marks(marks: Iterable[str] | None) -> tuple[str, ...]:
    return tuple('✓' if part in (marks or ()) else '' for part in _PARTS)


def _cells(
    figures: Mapping[str, Mapping[str, Spread]], conditions: Sequence[str]
) -> tuple[str, ...]:
    return tuple(
        _text(figures.get(condition, {}).get(figure), figure)
        for condition in conditions
        for figure in _FIGURES
    )


def _text(value: Spread | None, figure: str) -> str:
    if value is None:
        return _NONE
    digits = _FIGURES[figure].digits
    more = '' if value.deviation is None else f' ± {value.deviation:.{digits}f}'
    return f'{value.mean:.{digits}f}{more}'


def _effects_table(effects: Sequence[PartEffect]) -> Table:
    several = len({effect.set_name for effect in effects}) > 1
    blocks = []
    for part, what in _PARTS.items():
        lines = []
        for effect in effects:
            if effect.part == part:
                head = f'{effect.condition} {_FIGURES[effect.figure].head}'
                name = f'{effect.set_name}, {head}' if several else head
                lines.append(Line(name, 'ours', _effect_cells(effect)))
        if lines:
            blocks.append(Block(f'{part}: {what}', tuple(lines)))
    note = (
        'The full variant minus the one that lacks the part. The spread is that of the difference '
        'of two single runs, √(s² + s²); a difference within it is none. One seed has no spread, '
        'and no verdict.'
    )
    columns = ('Figure', 'Full', 'Without', 'Full minus without', 'The part')
    return Table('What each part does', note, columns, tuple(blocks))


def _effect_cells(effect: PartEffect) -> tuple[str, ...]:
    digits = _FIGURES[effect.figure].digits
    spread = '' if effect.spread is None else f' ± {effect.spread:.{digits}f}'
    return (
        _text(effect.full, effect.figure),
        _text(effect.without, effect.figure),
        f'{effect.difference:+.{digits}f}{spread}',
        effect.verdict,
    )


def _effect(
    part: str, set_name: str, condition: str, figure: str, full: Spread, without: Spread
) -> PartEffect:
    difference = full.mean - without.mean
    spread = None
    if full.deviation is not None and without.deviation is not None:
        spread = math.hypot(full.deviation, without.deviation)
    gain = difference * _FIGURES[figure].better
    if spread is None:
        verdict = 'one seed: ' + ('better with it' if gain > 0 else 'not better with it')
    elif abs(difference) <= spread:
        verdict = 'within the spread'
    else:
        verdict = 'earns its place' if gain > 0 else 'does not earn its place'
    place = (part, set_name, condition, figure)
    return PartEffect(*place, full, without, difference, spread, verdict)


def _summary(figures: Mapping[str, Any]) -> dict[str, float]:
    """The figures of Table 5 that are there."""
    found: dict[str, float] = {}
    iou = (figures.get('labels') or {}).get('iou', {})
    shares = [iou[c] for c in published.TABLE_3_NUSCENES_CLASSES if iou.get(c) is not None]
    if shares:
        found['miou'] = 100 * sum(shares) / len(shares)
    depth = (figures.get('depth') or {}).get('table_2', {}).get('median_scaled')
    if depth:
        found |= {name: depth[name] for name in ('abs_rel', 'rmse', 'a1')}
    return found


def _spread(values: Sequence[float]) -> Spread:
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), deviation, len(values))


def _ordered(conditions: Iterable[str]) -> list[str]:
    """Conditions in the order of the light, others last, by name."""
    return sorted(conditions, key=lambda c: (_ORDER.index(c) if c in _ORDER else len(_ORDER), c))


def _set_names(scores: Iterable[RowScore]) -> list[str]:
    return list(dict.fromkeys(score.set_name for score in scores))


def _on(scores: Iterable[RowScore], set_name: str) -> list[RowScore]:
    return [score for score in scores if score.set_name == set_name]
