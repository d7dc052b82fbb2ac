"""Tables 1, 2 and 3 in the paper's layout, its figures beside ours; and one of what it lacks.

A table here is plain text in cells: the command, the Markdown and the page lay it out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dsn_core.evaluation import published
from dsn_core.evaluation.config import DepthProtocol, EvaluationConfig
from dsn_core.evaluation.run import RowScore

__all__ = ['Block', 'Line', 'Table', 'tables']

Origin = Literal['paper', 'ours', 'baseline']
_NONE = '\u2013'
_ERRORS = ('abs_rel', 'sq_rel', 'rmse', 'rmse_log', 'a1', 'a2', 'a3')
_ERROR_HEADS = ('Abs Rel↓', 'Sq Rel↓', 'RMSE↓', 'RMSE log↓', 'δ<1.25↑', 'δ<1.25²↑', 'δ<1.25³↑')
_SUMMARY = ('abs_rel', 'rmse', 'a1')
_SUMMARY_HEADS = ('Abs Rel↓', 'RMSE↓', 'δ<1.25↑')
_SCALINGS = {'median_scaled': 'median-scaled', 'unscaled': 'unscaled'}
# Names that data sets have for the paper's conditions.
_SAME = {'day-clear': 'day'}
_ORDER = ('day', 'dusk', 'night')


@dataclass(frozen=True)
class Line:
    """A line of a table: who, and a text for each other column."""

    name: str
    origin: Origin
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """Lines under a heading of their own; '' where there is none."""

    heading: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Table:
    """A table; the first column holds the lines' names and has ``columns[0]`` above it."""

    title: str
    note: str
    columns: tuple[str, ...]
    blocks: tuple[Block, ...]


def tables(scores: Sequence[RowScore], config: EvaluationConfig) -> list[Table]:
    """The paper's three tables, Table 3 in its two parts, and what the paper does not measure."""
    return [
        _table_1(_of(scores, 1), config.table_1),
        _table_2(_of(scores, 2), config.table_2),
        _table_3(
            _of(scores, 3),
            '3a',
            'nuScenes',
            published.TABLE_3_NUSCENES,
            published.TABLE_3_NUSCENES_CLASSES,
        ),
        _table_3(
            _of(scores, 3),
            '3b',
            'Oxford RobotCar',
            published.TABLE_3_ROBOTCAR,
            published.TABLE_3_ROBOTCAR_CLASSES,
        ),
        _beyond(scores),
    ]


def _of(scores: Sequence[RowScore], table: int) -> list[RowScore]:
    return [score for score in scores if table in score.tables]


def _table_1(scores: Sequence[RowScore], protocol: DepthProtocol) -> Table:
    blocks = []
    for condition in _conditions(scores, ('night', 'day')):
        lines = [
            Line(row.method, 'paper', _fixed(row.figures))
            for row in published.TABLE_1.get(condition, ())
        ]
        for name, score, scaling in _depth_lines(scores):
            errors = _errors(score, condition, 'table_1', scaling)
            if errors:
                lines.append(Line(name, _origin(score), _fixed(errors[each] for each in _ERRORS)))
        blocks.append(Block(condition.capitalize(), tuple(lines)))
    note = _depth_note('Oxford RobotCar', scores, protocol)
    title = f'Table 1: depth up to {protocol.cap:g} m'
    return Table(title, note, ('Method', *_ERROR_HEADS), tuple(blocks))


def _table_2(scores: Sequence[RowScore], protocol: DepthProtocol) -> Table:
    conditions = _conditions(scores, _ORDER)
    lines = []
    for row in published.TABLE_2:
        figures = {'day': row.day, 'night': row.night}
        cells = (_fixed(figures.get(c, (None, None, None))) for c in conditions)
        lines.append(Line(row.method, 'paper', (row.train, *_flat(cells))))
    for name, score, scaling in _depth_lines(scores):
        by_condition = [_errors(score, c, 'table_2', scaling) or {} for c in conditions]
        if any(by_condition):
            figures_of = (_fixed(e.get(each) for each in _SUMMARY) for e in by_condition)
            train = score.train or _NONE
            lines.append(Line(name, _origin(score), (train, *_flat(figures_of))))
    heads = [f'{condition} {head}' for condition in conditions for head in _SUMMARY_HEADS]
    note = _depth_note('nuScenes', scores, protocol)
    title = f'Table 2: depth up to {protocol.cap:g} m'
    return Table(title, note, ('Method', 'Train', *heads), (Block('', tuple(lines)),))


def _table_3(
    scores: Sequence[RowScore],
    number: str,
    data: str,
    paper: Sequence[published.LabelRow],
    classes: Sequence[str],
) -> Table:
    lines = []
    for condition in _conditions(scores, _ORDER):
        lines += [
            Line(row.method, 'paper', (condition, *_percent((row.miou, *row.classes))))
            for row in paper
            if row.condition == condition
        ]
        for score in scores:
            labels = _figures(score, condition).get('labels')
            if labels:
                shares = [labels['iou'].get(c) for c in classes]
                known = [share for share in shares if share is not None]
                miou = sum(known) / len(known) if known else None
                cells = _percent(_hundredfold((miou, *shares)))
                lines.append(Line(_name(score, scores), _origin(score), (condition, *cells)))
    note = (
        f'IoU in percent. The paper: {data}. {_ours(scores)} mIoU is the mean of the columns; '
        'a class that does not occur in the truth has none.'
    )
    title = f'Table {number}: semantic segmentation'
    return Table(title, note, ('Method', 'Split', 'mIoU', *classes), (Block('', tuple(lines)),))


def _beyond(scores: Sequence[RowScore]) -> Table:
    """Scale, calibration and steadiness: what the paper does not measure."""
    columns = (
        'Method',
        'Scale',
        'Scale spread↓',
        'mIoU, all classes↑',
        'ECE↓',
        'Depth change↓',
        'Labels kept↑',
        'True labels kept',
        'Frames',
    )
    blocks = []
    for condition in _conditions(scores, _ORDER):
        lines = []
        for score in scores:
            figures = _figures(score, condition)
            if figures:
                lines.append(Line(_name(score, scores), _origin(score), _more(score, figures)))
        if lines:
            blocks.append(Block(condition.capitalize(), tuple(lines)))
    note = (
        f'{_ours(scores)} Scale: median of prediction / truth (metric rows), and its standard '
        'deviation over the frames, relative. mIoU: percent, of every class in the truth. ECE: '
        'expected calibration error in percent, 15 bins. Depth change: mean |log| of what the '
        'ratio of prediction to truth changes by from frame to frame, in percent. Labels kept: '
        'points whose label is the same in the next frame, percent; the true labels lose some at '
        'edges.'
    )
    return Table('Beside the paper', note, columns, tuple(blocks))


def _more(score: RowScore, figures: Mapping[str, Any]) -> tuple[str, ...]:
    scale, temporal = figures['scale'] or {}, figures['temporal']
    calibration = figures['calibration'] or {}
    labelled = temporal['labels'] is not None
    return (
        *_fixed((scale.get('median') if score.metric else None, scale.get('spread'))),
        *_percent(
            _hundredfold(
                (
                    (figures['labels'] or {}).get('miou'),
                    calibration.get('ece'),
                    temporal['depth'],
                    temporal['labels'],
                    temporal['true_labels'] if labelled else None,
                )
            )
        ),
        str(figures['frames']),
    )


def _depth_lines(scores: Sequence[RowScore]) -> Iterator[tuple[str, RowScore, str]]:
    """A line for each scaling of each row."""
    for score in scores:
        for scaling, named in _SCALINGS.items():
            if scaling == 'median_scaled' or score.metric:
                yield f'{_name(score, scores)}, {named}', score, scaling


def _name(score: RowScore, scores: Sequence[RowScore]) -> str:
    several = len({each.set_name for each in scores}) > 1
    return f'{score.name} ({score.set_name})' if several else score.name


def _origin(score: RowScore) -> Origin:
    return 'baseline' if score.baseline else 'ours'


def _conditions(scores: Sequence[RowScore], first: Sequence[str]) -> list[str]:
    """The paper's conditions and those of ``scores``, the ones of ``first`` before others."""
    theirs = (_SAME.get(c, c) for score in scores for c in score.conditions)
    known = dict.fromkeys([*(c for c in first if c != 'dusk'), *theirs])
    return sorted(known, key=lambda c: first.index(c) if c in first else len(first))


def _figures(score: RowScore, condition: str) -> Mapping[str, Any]:
    for name, figures in score.conditions.items():
        if _SAME.get(name, name) == condition:
            return figures
    return {}


def _errors(
    score: RowScore, condition: str, protocol: str, scaling: str
) -> Mapping[str, float] | None:
    depth = _figures(score, condition).get('depth') or {}
    errors: Mapping[str, float] | None = depth.get(protocol, {}).get(scaling)
    return errors


def _depth_note(data: str, scores: Sequence[RowScore], protocol: DepthProtocol) -> str:
    return (
        f'The paper: {data}, median-scaled. {_ours(scores)} Truth between '
        f'{protocol.min_depth:g} and {protocol.cap:g} m; predictions resized to it bilinearly as '
        'inverse depth, scaled by the ratio of medians or not, clamped, averaged per picture.'
    )


def _ours(scores: Sequence[RowScore]) -> str:
    names = dict.fromkeys(score.set_name for score in scores)
    if not names:
        return 'None of our sets belongs here.'
    return f'Ours: {", ".join(names)}; figures of different data do not compare.'


def _fixed(values: Iterable[float | None]) -> tuple[str, ...]:
    return tuple(_NONE if value is None else f'{value:.3f}' for value in values)


def _percent(values: Iterable[float | None]) -> tuple[str, ...]:
    return tuple(_NONE if value is None else f'{value:.2f}' for value in values)


def _hundredfold(shares: Iterable[float | None]) -> Iterator[float | None]:
    return (None if share is None else 100 * share for share in shares)


def _flat(several: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(cell for cells in several for cell in cells)
