"""The report's legends, tables and chart, as HTML."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.labels import CITYSCAPES, UNLABELLED
from dsn_core.visual import colourise_depth
from dsn_ros.report_html import DASH, data_uri, number, section, text

if TYPE_CHECKING:
    from dsn_ros.report_page import DepthRange, Latency

__all__ = ['comparison', 'latency', 'legends']

CONDITIONS = ('day', 'dusk', 'night')
STAGE_COLOURS = 6
CHART = (1000, 200)  # the chart's own units, across and up


def legends(
    ranges: Sequence['DepthRange'], class_names: Sequence[str], pixels: NDArray[np.int64]
) -> str:
    """What the colours of depth and labels mean. ``pixels`` (256,): pixels by class id."""
    if not ranges:
        return ''
    depth = ''.join(_depth_legend(each, len(ranges) > 1) for each in ranges)
    return (
        f'<section class="card legends"><div><h2>Depth</h2>{depth}</div>'
        f'<div><h2>Labels</h2>{_label_legend(class_names, pixels)}</div></section>'
    )


def _depth_legend(each: 'DepthRange', mixed: bool) -> str:
    near, far = each.near, each.far
    across = np.geomspace(near, far, 512, dtype=np.float32)[None]
    bar = data_uri(_png(colourise_depth(across, near, far)), 'png')
    unit = 'm' if each.metric else ''
    ticks = ''.join(
        f'<span style="left: {100 * math.log(tick / near) / math.log(far / near):.2f}%">'
        f'{tick:.2g}{"&nbsp;" + unit if last and unit else ""}</span>'
        for tick, last in _depth_ticks(near, far)
    )
    meaning = (
        'Metres along the optical axis; nearer and farther take the colour at the end.'
        if each.metric
        else 'Relative units, not metres. The colours span the first frame&rsquo;s depth '
        'without 2\u202f% at either end.'
    )
    if mixed:
        meaning += f' Frames painted so: {number(each.frames)}.'
    colours = colourise_depth(np.array([[np.inf, np.nan]], dtype=np.float32))[0]
    special = ''.join(
        f'<li>{_swatch(colour)}{name}</li>'
        for name, colour in zip(('sky', 'unknown'), colours, strict=True)
    )
    return (
        f'<p class="note">{meaning}</p><img class="bar" src="{bar}" alt="Depth colours from '
        f'{number(near)} to {number(far)} {unit or "units"}"><div class="ticks">{ticks}</div>'
        f'<ul class="inline-keys">{special}</ul>'
    )


def _depth_ticks(near: float, far: float) -> list[tuple[float, bool]]:
    """Round depths between the ends and the ends themselves, each with whether it is the last."""
    decades = range(math.floor(math.log10(near)), math.ceil(math.log10(far)) + 1)
    room = (far / near) ** 0.1  # labels closer than a tenth of the bar would touch
    rounds = [m * 10.0**d for d in decades for m in (1, 2, 4)]
    ticks = [near]
    for each in rounds:
        if each > ticks[-1] * room and each * room < far:
            ticks.append(each)
    return [*((tick, False) for tick in ticks), (far, True)]


def _label_legend(class_names: Sequence[str], pixels: NDArray[np.int64]) -> str:
    total = int(pixels.sum())
    palette = CITYSCAPES.palette()
    seen = [int(each) for each in np.argsort(-pixels, kind='stable') if pixels[each]]
    rows, parts = [], []
    for each in seen:
        named = class_names[each] if each < len(class_names) else f'class {each}'
        name = 'unlabelled' if each == UNLABELLED else named
        share = 100 * int(pixels[each]) / total
        shown = f'{share:.1f}' if share >= 0.1 else '< 0.1'
        rows.append(
            f'<li>{_swatch(palette[each])}<span>{text(name)}</span>'
            f'<span class="share">{text(shown)}\u202f%</span></li>'
        )
        parts.append(
            f'<i style="flex: {share:.4f} 1 0; background: {_rgb(palette[each])}" '
            f'title="{text(name)}"></i>'
        )
    return (
        '<p class="note">The classes seen, by their share of the pixels of all frames.</p>'
        f'<div class="shares" aria-hidden="true">{"".join(parts)}</div>'
        f'<ul class="keys-list">{"".join(rows)}</ul>'
    )


def latency(
    latencies: Sequence['Latency'], step: int, frames: int, metrics: Mapping[str, Any]
) -> str:
    """Where the time went, over time and by stage, and which frames were dropped."""
    stages = list(dict.fromkeys(stage for each in latencies for stage in each.stages))
    chart = _chart(latencies, stages, step, frames) if stages and len(latencies) > 1 else ''
    tables = [_stages_table(stages, metrics.get('latency_ms') or {}), _dropped_table(metrics)]
    tables = [table for table in tables if table]
    if not chart and not tables:
        return ''
    two = ' two' if len(tables) == 2 else ''
    return section('Latency', f'{chart}<div class="split{two}">{"".join(tables)}</div>')


def _chart(latencies: Sequence['Latency'], stages: Sequence[str], step: int, frames: int) -> str:
    totals = np.array([each.total for each in latencies])
    # The first frame often takes many times as long as the rest and would flatten them all.
    top, ticks = _axis(float(np.percentile(totals, 98)) * 1.25)
    width, height = CHART
    across = np.array([each.index for each in latencies]) * width / max(1, frames - 1)
    lower = np.zeros(len(latencies))
    areas = []
    for i, stage in enumerate(stages):
        upper = lower + [each.stages.get(stage, 0.0) for each in latencies]
        outline = [*zip(across, upper, strict=True), *zip(across[::-1], lower[::-1], strict=True)]
        points = ' '.join(f'{x:.1f},{height * (1 - min(y / top, 1.1)):.1f}' for x, y in outline)
        areas.append(f'<polygon class="s{i % STAGE_COLOURS}" points="{points}"/>')
        lower = upper
    grid = ''.join(
        f'<line class="grid" x1="0" x2="{width}" y1="{height * (1 - each / top):.1f}" '
        f'y2="{height * (1 - each / top):.1f}"/>'
        for each in ticks
    )
    labels = ''.join(
        f'<span class="y" style="top: {100 * (1 - each / top):.1f}%">{each:g}'
        f'{"&nbsp;ms" if each == ticks[-1] else ""}</span>'
        for each in ticks
    )
    beyond = totals[totals > top]
    notes = ['The stages on top of one another, by frame.']
    if step > 1:
        notes.append(f'Each point is the slowest of {number(step)} frames.')
    if beyond.size:
        point = 'point reaches' if beyond.size == 1 else 'points reach'
        highest = number(float(beyond.max()))
        notes.append(f'{beyond.size} {point} beyond the axis, up to {highest} ms.')
    keys = ''.join(
        f'<li><i class="swatch s{i % STAGE_COLOURS}"></i>{text(stage)}</li>'
        for i, stage in enumerate(stages)
    )
    last = number(max(0, frames - 1))
    return (
        f'<p class="note">{text(" ".join(notes))}</p><ul class="inline-keys">{keys}</ul>'
        f'<div class="chart"><svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" '
        f'role="img" aria-label="Latency by stage over the frames">{grid}{"".join(areas)}</svg>'
        f'{labels}<span class="x first" style="left: 0">frame 0</span>'
        f'<span class="x last" style="left: 100%">{last}</span></div>'
    )


def _axis(highest: float) -> tuple[float, list[float]]:
    """The end of an axis from 0 that holds ``highest``, and its round ticks."""
    if not highest > 0 or not math.isfinite(highest):
        return 1.0, [0.0, 1.0]
    decade = 10.0 ** math.floor(math.log10(highest / 3))
    tick = next(m * decade for m in (1, 2, 5, 10) if highest / (m * decade) <= 4.5)
    count = math.ceil(highest / tick)
    return tick * count, [tick * i for i in range(count + 1)]


def _stages_table(stages: Sequence[str], by_stage: Mapping[str, Mapping[str, float]]) -> str:
    if not by_stage:
        return ''
    columns = ('p50', 'p90', 'p99', 'max')
    rows = []
    for stage, figures in by_stage.items():
        swatch = ''
        if stage in stages:
            swatch = f'<i class="swatch s{stages.index(stage) % STAGE_COLOURS}"></i>'
        cells = ''.join(f'<td>{number(figures.get(column))}</td>' for column in columns)
        kind = ' class="all"' if stage == 'total' else ''
        rows.append(f'<tr{kind}><th scope="row">{swatch}{text(stage)}</th>{cells}</tr>')
    return _table(['ms', *columns], rows)


def _dropped_table(metrics: Mapping[str, Any]) -> str:
    dropped = {k: v for k, v in (metrics.get('dropped') or {}).items() if v}
    rows = [
        f'<tr><th scope="row">{text(reason)}</th><td>{number(count)}</td></tr>'
        for reason, count in dropped.items()
    ]
    return _table(['Dropped, by reason', 'frames'], rows, kind='wrap') if rows else ''


def comparison(by_condition: Mapping[str, Any], class_names: Sequence[str]) -> str:
    """How depth and labels compare with the ground truth, by condition."""
    if not by_condition:
        return ''
    # The light's order, then what else there is, then the sum.
    order = [*CONDITIONS, *(c for c in by_condition if c not in (*CONDITIONS, 'all')), 'all']
    conditions = [c for c in order if c in by_condition]
    rows = []
    for condition in conditions:
        figures = by_condition[condition] or {}
        depth, labels = figures.get('depth') or {}, figures.get('labels') or {}
        values = [depth.get('abs_rel'), depth.get('rmse'), depth.get('a1'), labels.get('miou')]
        cells = ''.join(f'<td>{_fixed(value)}</td>' for value in values)
        kind = ' class="all"' if condition == 'all' else ''
        rows.append(
            f'<tr{kind}><th scope="row">{text(condition)}</th>'
            f'<td>{number(figures.get("frames"))}</td>{cells}</tr>'
        )
    head = ['', 'frames', 'Abs Rel ↓', 'RMSE, m ↓', 'δ < 1.25 ↑', 'mIoU ↑']
    classes = _classes_table(by_condition, conditions, class_names)
    return section(
        'Against the ground truth', f'<div class="scroll">{_table(head, rows)}</div>{classes}'
    )


def _classes_table(
    by_condition: Mapping[str, Any], conditions: Sequence[str], class_names: Sequence[str]
) -> str:
    iou = {c: (by_condition[c] or {}).get('labels', {}).get('iou') or {} for c in conditions}
    scored = list(dict.fromkeys(name for each in iou.values() for name in each))
    if not scored:
        return ''
    palette = CITYSCAPES.palette()
    rows = []
    for name in scored:
        known = name in class_names
        swatch = _swatch(palette[list(class_names).index(name)]) if known else ''
        cells = ''.join(f'<td>{_meter(iou[c].get(name))}</td>' for c in conditions)
        rows.append(f'<tr><th scope="row">{swatch}{text(name)}</th>{cells}</tr>')
    return f'<div class="scroll">{_table(["IoU by class", *conditions], rows)}</div>'


def _meter(value: Any) -> str:
    shown = _fixed(value)
    if shown == DASH:
        return shown
    return f'<span class="meter"><i style="--v: {100 * value:.1f}%"></i>{shown}</span>'


def _fixed(value: Any) -> str:
    """Three decimals, as papers give these figures; a dash for none."""
    return DASH if number(value) == DASH else f'{value:.3f}'


def _table(head: Sequence[str], rows: Sequence[str], kind: str = '') -> str:
    cells = ''.join(
        f'<th scope="col"{" class=number" if i else ""}>{text(each)}</th>'
        for i, each in enumerate(head)
    )
    return (
        f'<table class="{kind}"><thead><tr>{cells}</tr></thead>'
        f'<tbody>{"".join(rows)}</tbody></table>'
    )


def _swatch(colour: NDArray[np.uint8]) -> str:
    return f'<i class="swatch" style="background: {_rgb(colour)}"></i>'


def _rgb(colour: NDArray[np.uint8]) -> str:
    red, green, blue = (int(each) for each in colour)
    return f'rgb({red} {green} {blue})'


def _png(picture: NDArray[np.uint8]) -> bytes:
    ok, data = cv2.imencode('.png', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not ok:
        raise RuntimeError('OpenCV could not encode the depth legend')
    return data.tobytes()
