"""A report's HTML: the page around the viewer. ``report_figures`` draws the figures on it.

Everything that comes from a bag, a model or a label set passes ``text`` on its way into the page.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import groupby
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_ros import report_figures as figures
from dsn_ros.report_html import DASH, TIMES, data_uri, number, section, text

__all__ = ['Contents', 'DepthRange', 'Latency', 'Picture', 'page']

# More marks than this say more when one points at them than as a row of cut-off words.
MANY_CHAPTERS = 12

PLAY = (
    '<svg viewBox="0 0 20 20" aria-hidden="true"><path class="go" d="M5 2.5v15l13-7.5z"/>'
    '<path class="pause" d="M4 3h4.5v14H4zM11.5 3H16v14h-4.5z"/></svg>'
)


@dataclass(frozen=True)
class Picture:
    """One frame that is shown: ``image`` and ``depth`` as JPEG, ``labels`` as PNG.

    ``height`` and ``width`` are those of ``image``; the other two have the same shape.
    ``index`` counts the frames of the bag from 0; ``time_s`` is relative to the first one.
    """

    index: int
    time_s: float
    chapter: str | None
    height: int
    width: int
    image: bytes
    depth: bytes
    labels: bytes


@dataclass(frozen=True)
class Latency:
    """Milliseconds by stage of frame ``index``."""

    index: int
    stages: Mapping[str, float]

    @property
    def total(self) -> float:
        """Sum of the stages, milliseconds."""
        return sum(self.stages.values())


@dataclass(frozen=True)
class DepthRange:
    """What the depth's colours mean for the frames that are (not) ``metric``.

    ``settled`` is False while no frame had any depth to take the range from.
    """

    metric: bool
    near: float
    far: float
    settled: bool = True
    frames: int = 0

    def counted(self) -> 'DepthRange':
        """With one frame more."""
        return replace(self, frames=self.frames + 1)


@dataclass(frozen=True)
class Contents:
    """What was collected over the bag. ``pixels`` (256,): pixels by class id."""

    title: str
    class_names: Sequence[str]
    pictures: Sequence[Picture]
    latencies: Sequence[Latency]
    latency_step: int
    frames: int
    pixels: NDArray[np.int64]
    ranges: Sequence[DepthRange]
    scale: Mapping[str, Any]

    @property
    def timed(self) -> bool:
        """Whether the frames have stamps of their own (pictures in a folder have none)."""
        times = [p.time_s for p in self.pictures]
        return len(times) > 1 and len(set(times)) == len(times)


def page(contents: Contents, metrics: Mapping[str, Any]) -> str:
    """The whole page, self-contained."""
    templates = files('dsn_ros') / 'templates'
    style, script, html = (
        (templates / f'report.{kind}').read_text(encoding='utf-8')
        for kind in ('css', 'js', 'html')
    )
    return Template(html).substitute(
        title=text(contents.title),
        style=style,
        script=script,
        facts=_facts(contents, metrics),
        problems=_problems(metrics.get('problems') or ()),
        viewer=_viewer(contents),
        legends=figures.legends(contents.ranges, contents.class_names, contents.pixels),
        comparison=figures.comparison(metrics.get('comparison') or {}, contents.class_names),
        latency=figures.latency(
            contents.latencies, contents.latency_step, contents.frames, metrics
        ),
        footer=_footer(contents.title, metrics),
        data=_data(contents),
    )


def _facts(contents: Contents, metrics: Mapping[str, Any]) -> str:
    engine, model = metrics.get('engine') or {}, metrics.get('model') or {}
    scale = metrics.get('scale') or contents.scale
    dropped = sum((metrics.get('dropped') or {}).values())
    came_in = metrics.get('frames_in', contents.frames)
    facts = [
        (
            'Frames',
            f'{number(metrics.get("frames_out", contents.frames))} of {number(came_in)}',
            f'{number(dropped)} dropped' if dropped else 'none dropped',
        )
    ]
    if metrics.get('rate_hz') is not None:
        facts.append(('Rate', f'{number(metrics["rate_hz"])} frames/s', ''))
    if engine:
        facts.append(
            (
                'Engine',
                ' '.join(str(engine[k]) for k in ('name', 'precision') if engine.get(k)),
                str(engine.get('device') or ''),
            )
        )
    if model:
        size = (
            f'{model["width"]} {TIMES} {model["height"]}'
            if {'width', 'height'} <= {*model}
            else ''
        )
        facts.append(('Model', str(model.get('name') or 'unnamed'), size))
    if scale:
        factor = scale.get('factor')
        times = '' if factor in (None, 1, 1.0) else f' {TIMES} {number(factor)}'
        kind = 'metres' if scale.get('metric') else 'relative'
        facts.append(('Depth', kind + times, str(scale.get('source') or '')))
    rows = ''.join(
        f'<div><dt>{text(name)}</dt><dd>{text(value)}<small>{text(more)}</small></dd></div>'
        for name, value, more in facts
    )
    return f'<dl class="facts">{rows}</dl>'


def _problems(problems: Sequence[str]) -> str:
    if not problems:
        return ''
    rows = ''.join(f'<li>{text(each)}</li>' for each in problems)
    return section('Problems', f'<ul>{rows}</ul>', kind='problems')


def _viewer(contents: Contents) -> str:
    if not contents.pictures:
        return section('No pictures', '<p>Not one frame came through, so there are none.</p>')
    first, count = contents.pictures[0], len(contents.pictures)
    panes = ''.join(
        _pane(name, kinds, first)
        for name, kinds in (
            ('Camera', ('image',)),
            ('Depth', ('depth',)),
            ('Labels', ('labels',)),
            ('Overlay', ('image', 'labels')),
        )
    )
    caption, stamp = _caption(contents, first)
    shown = (
        'Every frame is shown.'
        if count == contents.frames
        else (f'{count} of {number(contents.frames)} frames are shown, evenly spaced.')
    )
    without_script = (
        f'<noscript><p class="readout">Scripts are off: this is the first of {count} pictures.'
        '</p></noscript>'
        if count > 1
        else ''
    )
    return (
        f'<section class="viewer" aria-label="Frames"><div class="panes">{panes}</div>'
        '<div class="controls" hidden>'
        f'<button class="play" type="button" aria-label="Play">{PLAY}</button>'
        f'<div class="timeline"><input class="scrub" type="range" min="0" max="{count - 1}" '
        'value="0" aria-label="Frame"><div class="strip"></div>'
        f'{_chapters(contents.pictures)}</div>'
        f'<p class="readout"><b class="caption">{text(caption)}</b>'
        f'<span class="stamp">{text(stamp)}</span>'
        f'<span class="chapter">{text(first.chapter or "")}</span>'
        f'<span class="keys">{text(shown)} Arrow keys step, space plays.</span></p></div>'
        f'{without_script}</section>'
    )


def _pane(name: str, kinds: Sequence[str], first: Picture) -> str:
    pictures = ''.join(
        f'<img data-kind="{kind}" src="{_uri(first, kind)}" alt="{"" if i else text(name)}">'
        for i, kind in enumerate(kinds)
    )
    blend = (
        '<label class="blend" hidden><span>labels</span><input type="range" min="0" max="100" '
        'value="50" aria-label="Strength of the labels"></label>'
    )
    shape = f'aspect-ratio: {first.width} / {first.height}'
    return (
        f'<figure><button class="pane" type="button" style="{shape}" aria-pressed="false" '
        f'aria-label="Enlarge {text(name)}">{pictures}</button>'
        f'<figcaption>{text(name)}{blend if len(kinds) > 1 else ""}</figcaption></figure>'
    )


def _chapters(pictures: Sequence[Picture]) -> str:
    """Marks of the same proportions as the strip of pictures above them."""
    runs = [
        (name, [position for position, _ in run])
        for name, run in groupby(enumerate(pictures), key=lambda each: each[1].chapter)
    ]
    if len(runs) == 1 and runs[0][0] is None:
        return ''
    marks = ''.join(
        f'<a href="#frame={pictures[run[0]].index}" style="flex: {len(run)} 1 0" '
        f'data-first="{run[0]}" data-last="{run[-1]}" title="{text(name or "")}">'
        f'{text(name or DASH)}</a>'
        for name, run in runs
    )
    many = ' many' if len(runs) > MANY_CHAPTERS else ''
    return f'<nav class="chapters{many}" aria-label="Chapters">{marks}</nav>'


def _caption(contents: Contents, picture: Picture) -> tuple[str, str]:
    caption = f'Frame {number(picture.index)} of {number(contents.frames)}'
    return caption, f'{picture.time_s:.3f} s' if contents.timed else ''


def _data(contents: Contents) -> str:
    """What the script needs, as JSON that cannot end the element it stands in."""
    rows = []
    for picture in contents.pictures:
        caption, stamp = _caption(contents, picture)
        rows.append(
            {
                'index': picture.index,
                'caption': caption,
                'stamp': stamp,
                'chapter': picture.chapter or '',
                **{kind: _uri(picture, kind) for kind in ('image', 'depth', 'labels')},
            }
        )
    data = json.dumps({'frames': rows, 'total': contents.frames}, separators=(',', ':'))
    return data.replace('&', '\\u0026').replace('<', '\\u003c').replace('>', '\\u003e')


def _uri(picture: Picture, kind: str) -> str:
    return data_uri(getattr(picture, kind), 'png' if kind == 'labels' else 'jpeg')


def _footer(title: str, metrics: Mapping[str, Any]) -> str:
    facts = []
    bag = str(metrics.get('bag') or '')
    if bag and bag != title:
        facts.append(f'Bag: {bag}')
    sha256 = (metrics.get('model') or {}).get('sha256')
    if sha256:
        facts.append(f'Model sha256: {sha256}')
    return f'<footer>{"<br>".join(text(each) for each in facts)}</footer>' if facts else ''
