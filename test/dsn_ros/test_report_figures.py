"""The report's legends, tables and chart: what they say and how they say it."""

import math

import numpy as np
import pytest
from support.report_factory import METRIC, METRICS, RELATIVE, Page, decoded, perception, report

from dsn_core.labels import CITYSCAPES, UNLABELLED
from dsn_core.visual import colourise_depth
from dsn_ros import report_figures
from dsn_ros.report import MAX_LATENCIES, ReportBuilder
from dsn_ros.report_html import number


class TestLegends:
    def test_shares_of_the_classes_seen(self) -> None:
        builder = ReportBuilder('x', CITYSCAPES.names)
        builder.add(perception())  # a quarter sky, the rest road
        other = perception()
        other.labels[:] = UNLABELLED
        builder.add(other)
        texts = Page(builder.render({})).texts
        start = texts.index('unlabelled')
        assert texts[start : start + 6] == [
            'unlabelled', '50.0\u202f%', 'road', '37.5\u202f%', 'sky', '12.5\u202f%',
        ]  # fmt: skip
        assert 'car' not in texts

    def test_a_class_without_a_name(self) -> None:
        builder = ReportBuilder('x', ['floor'])
        builder.add(perception())
        assert {'floor', 'class 10'} <= {*Page(builder.render({})).texts}

    def test_depth_bar_has_the_colours_of_the_pictures(self) -> None:
        page = Page(report(1).render({}))
        bar = next(a['src'] for t, a in page.elements if t == 'img' and a.get('class') == 'bar')
        painted = decoded(bar or '')[0]
        near, far = np.float32(2), np.float32(80)
        ends = colourise_depth(np.array([[near, far]], dtype=np.float32))[0]
        assert painted[[0, -1]].tolist() == ends.tolist()
        assert {'2', '20', '80\xa0m'} <= {*page.texts}

    def test_relative_depth_says_so(self) -> None:
        builder = ReportBuilder('x', CITYSCAPES.names)
        builder.add(perception(depth=math.inf, scale=RELATIVE))  # nothing to take a range from
        gradient = perception(scale=RELATIVE)
        gradient.depth[:] = np.linspace(0.1, 5.0, 48, dtype=np.float32)
        builder.add(gradient)
        builder.add(perception(depth=400.0, scale=RELATIVE))
        page = Page(builder.render({}))
        assert any('Relative units, not metres' in each for each in page.texts)
        assert {'0.1', '5'} <= {*page.texts}
        assert 'the camera is not calibrated' in page.texts

    def test_metric_from_the_second_frame_on_shows_both(self) -> None:
        builder = ReportBuilder('x', CITYSCAPES.names)
        for scale in (RELATIVE, METRIC, METRIC):
            builder.add(perception(scale=scale))
        page = builder.render({})
        assert 'Frames painted so: 1.' in page
        assert 'Frames painted so: 2.' in page

    @pytest.mark.parametrize(('near', 'far'), [(2.0, 80.0), (0.003, 0.005), (1.0, 1e6)])
    def test_ticks_are_apart_and_within(self, near: float, far: float) -> None:
        ticks = [tick for tick, _ in report_figures._depth_ticks(near, far)]
        assert ticks[0] == near
        assert ticks[-1] == far
        assert min(np.diff(np.log(ticks))) > 0.09 * math.log(far / near)


class TestLatency:
    def test_is_bounded_and_keeps_the_slowest(self) -> None:
        builder = ReportBuilder('x', CITYSCAPES.names, max_frames=1)
        frames, slow = 4 * MAX_LATENCIES + 5, 1234
        for i in range(frames):
            ms = {'infer': 500.0 if i == slow else 20.0}
            builder.add(perception(height=2, width=2), latency_ms=ms)
        assert len(builder._latencies) <= MAX_LATENCIES
        assert (slow, 500.0) in [(each.index, each.total) for each in builder._latencies]
        page = builder.render({})
        assert 'Each point is the slowest of 8 frames.' in page
        assert '1 point reaches beyond the axis, up to 500 ms.' in page

    def test_chart_stacks_the_stages_but_not_their_total(self) -> None:
        page = Page(report(10).render(METRICS))
        assert page.count('polygon') == 2
        assert '999' not in page.texts

    def test_one_frame_needs_no_chart(self) -> None:
        assert Page(report(1).render({})).count('svg') == 1  # the play button's

    @pytest.mark.parametrize(
        ('highest', 'top', 'count'),
        [(45.0, 50.0, 6), (0.7, 0.8, 5), (1.0, 1.0, 3), (0.0, 1.0, 2), (math.nan, 1.0, 2)],
    )
    def test_axis(self, highest: float, top: float, count: int) -> None:
        end, ticks = report_figures._axis(highest)
        assert end == pytest.approx(top)
        assert len(ticks) == count
        assert ticks[-1] == pytest.approx(top)


class TestFigures:
    def test_facts(self) -> None:
        texts = Page(report(3).render(METRICS)).texts
        assert {
            '1,000 of 1,005', '5 dropped', '28.7 frames/s', 'onnxruntime fp32', 'some CPU',
            '576 \u00d7 320', 'metres \u00d7 1.31', 'model and focal length', '24.3', '412',
            'undecodable picture', 'the bag ends early', 'Bag: /bags/street',
            'Model sha256: ab12',
        } <= {*texts}  # fmt: skip

    def test_comparison_goes_from_day_to_all(self) -> None:
        texts = Page(report(3).render(METRICS)).texts
        start = texts.index('mIoU ↑') + 1
        rows = ' '.join(texts[start : texts.index('IoU by class')])
        assert rows == (
            'day \u2013 \u2013 \u2013 \u2013 \u2013 '
            'night \u2013 0.200 \u2013 \u2013 0.400 '
            'all 30 0.123 5.000 0.900 \u2013'
        )
        classes = texts[texts.index('IoU by class') :]
        assert classes[:4] == ['IoU by class', 'day', 'night', 'all']
        assert classes[4:8] == ['road', '0.987', '\u2013', '\u2013']
        assert classes[8:12] == ['car', '\u2013', '0.250', '\u2013']

    @pytest.mark.parametrize('missing', [*METRICS])
    def test_any_key_may_be_missing_or_empty(self, missing: str) -> None:
        builder = report(2)
        builder.render({k: v for k, v in METRICS.items() if k != missing})
        builder.render({**METRICS, missing: None})
        if isinstance(METRICS[missing], dict):
            builder.render({**METRICS, missing: {}})

    @pytest.mark.parametrize(
        ('value', 'shown'),
        [(1234, '1,234'), (0.0, '0'), (24.308, '24.3'), (412.7, '413'), (0.00012, '0.0001'),
         (math.nan, '\u2013'), (None, '\u2013'), ('x', '\u2013'), (True, '\u2013'),
         (np.float32(2.5), '2.50'), (np.int64(7), '7')],
    )  # fmt: skip
    def test_numbers(self, value: object, shown: str) -> None:
        assert number(value) == shown
