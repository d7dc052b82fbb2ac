"""The page of an evaluation: the tables, IoU by class, reliability, and pictures.

Everything that comes from a configuration, a model or a data set passes ``text``.
"""

from collections.abc import Sequence
from importlib.resources import files
from string import Template
from typing import Any

from dsn_core.evaluation.run import RowScore
from dsn_core.evaluation.tables import Block, Table
from dsn_core.labels import CITYSCAPES
from dsn_ros.report_html import DASH, section, text

__all__ = ['page']

_ORDER = ('day', 'dusk', 'night')
_SIDE = 100  # of a reliability diagram, its own units


def page(tables: Sequence[Table], scores: Sequence[RowScore], title: str) -> str:
    """The whole page, self-contained, without a script."""
    templates = files('dsn_ros') / 'templates'
    style = (templates / 'report.css').read_text(encoding='utf-8')
    html = (templates / 'evaluation.html').read_text(encoding='utf-8')
    return Template(html).substitute(
        title=text(title),
        style=style,
        tables=''.join(_table(table) for table in tables),
        classes=_classes(scores),
        reliability=_reliability(scores),
        examples=_examples(scores),
    )


def _table(table: Table) -> str:
    heads = _heads(table.columns)
    body = ''.join(_block(block, len(table.columns)) for block in table.blocks)
    return section(
        table.title,
        f'<p class="note">{text(table.note)}</p><div class="scroll"><table><thead><tr>{heads}'
        f'</tr></thead><tbody>{body}</tbody></table></div>',
    )


def _heads(columns: Sequence[str]) -> str:
    return ''.join(
        f'<th scope="col"{" class=number" if i else ""}>{text(column)}</th>'
        for i, column in enumerate(columns)
    )


def _block(block: Block, columns: int) -> str:
    rows = []
    if block.heading:
        heading = f'<th scope="rowgroup" colspan="{columns}">{text(block.heading)}</th>'
        rows.append(f'<tr class="part">{heading}</tr>')
    for line in block.lines:
        cells = ''.join(f'<td>{text(cell)}</td>' for cell in line.cells)
        note = ' (paper)' if line.origin == 'paper' else ''
        rows.append(
            f'<tr class="{line.origin}"><th scope="row">{text(line.name + note)}</th>{cells}</tr>'
        )
    return ''.join(rows)


def _classes(scores: Sequence[RowScore]) -> str:
    """A table of meters for each row that has labels: a class a line, a condition a column."""
    palette = CITYSCAPES.palette()
    parts = []
    for score in scores:
        iou = {
            condition: figures['labels']['iou']
            for condition, figures in _by_light(score)
            if figures['labels']
        }
        rows = []
        for index, name in enumerate(CITYSCAPES.names):
            if any(name in each for each in iou.values()):
                red, green, blue = (int(v) for v in palette[index])
                swatch = f'<i class="swatch" style="background: rgb({red} {green} {blue})"></i>'
                cells = ''.join(f'<td>{_meter(each.get(name))}</td>' for each in iou.values())
                rows.append(f'<tr><th scope="row">{swatch}{text(name)}</th>{cells}</tr>')
        if rows:
            parts.append(
                f'<div class="scroll"><table><thead><tr>{_heads([_who(score), *iou])}</tr>'
                f'</thead><tbody>{"".join(rows)}</tbody></table></div>'
            )
    return section('IoU by class', ''.join(parts)) if parts else ''


def _meter(value: float | None) -> str:
    if value is None:
        return DASH
    shown = f'{100 * value:.1f}'
    return f'<span class="meter"><i style="--v: {shown}%"></i>{shown}</span>'


def _reliability(scores: Sequence[RowScore]) -> str:
    figures = [
        _diagram(f'{_who(score)}, {condition}', each['calibration'])
        for score in scores
        for condition, each in _by_light(score)
        if each['calibration']
    ]
    if not figures:
        return ''
    note = (
        'Bars: how often the label is right, by the confidence that was given; on the dashed '
        'line they agree. The darker a bar, the more pixels.'
    )
    return section(
        'Reliability',
        f'<p class="note">{text(note)}</p><div class="reliability">{"".join(figures)}</div>',
    )


def _diagram(name: str, calibration: dict[str, Any]) -> str:
    bins = calibration['bins']
    width = _SIDE / len(bins)
    most = max(each['pixels'] for each in bins)
    bars = ''.join(
        f'<rect class="s3" x="{i * width:.2f}" y="{_SIDE * (1 - each["accuracy"]):.2f}" '
        f'width="{width * 0.9:.2f}" height="{_SIDE * each["accuracy"]:.2f}" '
        f'opacity="{0.25 + 0.75 * (each["pixels"] / most) ** 0.5:.2f}"><title>'
        f'{text(_bin_text(each))}</title></rect>'
        for i, each in enumerate(bins)
        if each['pixels']
    )
    return (
        f'<figure><svg viewBox="0 0 {_SIDE} {_SIDE}" role="img" '
        f'aria-label="{text(f"Reliability of {name}")}">{bars}'
        f'<line class="even" x1="0" y1="{_SIDE}" x2="{_SIDE}" y2="0"/></svg>'
        f'<figcaption>{text(name)}<span>ECE {100 * calibration["ece"]:.2f}&nbsp;%</span>'
        '</figcaption></figure>'
    )


def _bin_text(each: dict[str, Any]) -> str:
    return (
        f'confidence {100 * each["confidence"]:.1f} %, right {100 * each["accuracy"]:.1f} %, '
        f'{each["pixels"]:,} pixels'
    )


def _examples(scores: Sequence[RowScore]) -> str:
    """For each set and condition: the first picture, what is true of it, and what rows said."""
    parts = []
    for set_name in dict.fromkeys(score.set_name for score in scores):
        of_set = [score for score in scores if score.set_name == set_name]
        for condition in dict.fromkeys(c for score in of_set for c, _ in _by_light(score)):
            shown: dict[str, str] = {}
            for score in of_set:
                pictures = score.conditions.get(condition, {}).get('pictures', {})
                for kind, address in pictures.items():
                    own = kind in ('depth', 'labels')
                    shown.setdefault(f'{kind}: {score.name}' if own else kind, address)
            figures = ''.join(
                f'<figure><img src="{text(address)}" alt="{text(name)}">'
                f'<figcaption>{text(name)}</figcaption></figure>'
                for name, address in shown.items()
            )
            heading = f'{set_name}, {condition}'
            parts.append(section(heading, f'<div class="examples">{figures}</div>'))
    return ''.join(parts)


def _by_light(score: RowScore) -> list[tuple[str, dict[str, Any]]]:
    """Conditions and their figures, in the order of the light, others last."""

    def place(each: tuple[str, dict[str, Any]]) -> int:
        return _ORDER.index(each[0]) if each[0] in _ORDER else len(_ORDER)

    return sorted(score.conditions.items(), key=place)


def _who(score: RowScore) -> str:
    return f'{score.name} on {score.set_name}'
