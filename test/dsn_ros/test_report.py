"""The report: one page that holds everything it shows and nothing it should not."""

import math
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.report_factory import METRIC, METRICS, RELATIVE, Page, decoded, perception, report

from dsn_core.labels import CITYSCAPES
from dsn_ros.report import ReportBuilder
from dsn_ros.scale import Scale

HOSTILE = '</script><script>alert("1")</script>&\'\udc80'


class TestPictures:
    @pytest.mark.parametrize('frames', [1, 59, 60, 61, 1000])
    def test_are_bounded_and_evenly_spaced(self, frames: int) -> None:
        page = Page(report(frames).render({}))
        indices = page.indices()
        assert indices[0] == 0
        assert min(frames, 30) <= len(indices) <= 60
        steps = set(np.diff(indices).tolist())
        assert len(steps) <= 1
        assert frames - indices[-1] <= max(steps, default=1)
        assert page.data['total'] == frames

    @pytest.mark.parametrize('frames', [1, 9, 10, 11, 20, 21, 40, 41, 157])
    @pytest.mark.parametrize('wrong', [0, 1])
    def test_are_the_same_where_their_number_is_known_before(
        self, frames: int, wrong: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plain = Page(report(frames, max_frames=10).render({})).indices()
        made: list[int] = []
        add = ReportBuilder._add_picture

        def counted(self: ReportBuilder, index: int, *rest: Any) -> None:
            made.append(index)
            add(self, index, *rest)

        monkeypatch.setattr(ReportBuilder, '_add_picture', counted)
        builder = report(frames, max_frames=10, expected=frames - wrong)
        assert Page(builder.render({})).indices() == plain
        if not wrong:
            assert made == plain  # and none in vain

    def test_one_is_enough(self) -> None:
        assert Page(report(100, max_frames=1).render({})).indices() == [0]

    def test_sizes(self) -> None:
        builder = ReportBuilder('x', CITYSCAPES.names, width=32)
        builder.add(perception(height=48, width=96))
        builder.add(perception(height=96, width=48))  # a portrait among pictures
        builder.add(perception(height=10, width=20))  # small ones are not enlarged
        frames = Page(builder.render({})).data['frames']
        assert [decoded(f['image']).shape[:2] for f in frames] == [(16, 32), (64, 32), (10, 20)]
        assert [decoded(f['depth']).shape[:2] for f in frames] == [(16, 32), (64, 32), (10, 20)]
        assert [decoded(f['labels']).shape[:2] for f in frames] == [(32, 64), (96, 48), (10, 20)]

    def test_labels_keep_their_colours(self) -> None:
        frame = Page(report(1).render({})).data['frames'][0]
        colours = np.unique(decoded(frame['labels']).reshape(-1, 3), axis=0).tolist()
        assert colours == sorted([[128, 64, 128], [70, 130, 180]])

    def test_the_first_shows_without_a_script(self) -> None:
        page = Page(report(5).render({}))
        kinds = [
            attrs['data-kind']
            for tag, attrs in page.elements
            if tag == 'img' and (attrs.get('src') or '').startswith('data:image/')
            if 'data-kind' in attrs
        ]
        assert kinds == ['image', 'depth', 'labels', 'image', 'labels']

    @pytest.mark.parametrize('value', [math.inf, math.nan])
    @pytest.mark.parametrize('scale', [METRIC, RELATIVE])
    def test_sky_and_unknown_depth(self, value: float, scale: Scale) -> None:
        builder = ReportBuilder('x', CITYSCAPES.names)
        builder.add(perception(depth=value, scale=scale))
        painted = decoded(Page(builder.render({})).data['frames'][0]['depth'])
        assert abs(int(painted.mean()) - (90 if math.isnan(value) else 0)) <= 2

    def test_busy_scenes_stay_small(self, tmp_path: Path) -> None:
        random = np.random.default_rng(0)
        builder = ReportBuilder('x', CITYSCAPES.names)
        for _ in range(10):
            each = perception(height=320, width=576)
            coarse = random.integers(0, 255, (40, 72, 3), dtype=np.uint8)
            each.image[:] = cv2.resize(coarse, (576, 320))
            each.depth[:] = cv2.resize(coarse[..., 0], (576, 320)) / 4 + 1
            patches = np.ascontiguousarray(coarse[::2, ::2, 1] // 14)
            each.labels[:] = cv2.resize(patches, (576, 320), interpolation=cv2.INTER_NEAREST)
            builder.add(each)
        builder.write(tmp_path / 'report.html', METRICS)
        assert (tmp_path / 'report.html').stat().st_size < 4_000_000 / 6


class TestViewer:
    def test_tells_frame_and_time(self) -> None:
        frames = Page(report(3).render({})).data['frames']
        assert [(f['caption'], f['stamp']) for f in frames] == [
            ('Frame 0 of 3', '0.000 s'),
            ('Frame 1 of 3', '0.100 s'),
            ('Frame 2 of 3', '0.200 s'),
        ]

    def test_pictures_without_stamps_have_no_time(self) -> None:
        builder = ReportBuilder('x', CITYSCAPES.names)
        for _ in range(3):
            builder.add(perception())
        assert {f['stamp'] for f in Page(builder.render({})).data['frames']} == {''}

    def test_marks_chapters(self) -> None:
        builder = ReportBuilder('x', CITYSCAPES.names)
        for i, chapter in enumerate(['day'] * 4 + ['night'] * 2 + ['day'] * 1):
            builder.add(perception(stamp_ns=i), chapter=chapter)
        page = Page(builder.render({}))
        marks = [
            (attrs['data-first'], attrs['data-last'], attrs['title'], attrs['href'])
            for tag, attrs in page.elements
            if tag == 'a'
        ]
        assert marks == [
            ('0', '3', 'day', '#frame=0'),
            ('4', '5', 'night', '#frame=4'),
            ('6', '6', 'day', '#frame=6'),
        ]

    def test_without_chapters_has_no_marks(self) -> None:
        assert Page(report(3).render({})).count('a') == 0

    def test_no_frame_at_all(self) -> None:
        page = Page(ReportBuilder('empty', CITYSCAPES.names).render({'problems': ['no images']}))
        assert page.data == {'frames': [], 'total': 0}
        assert {'No pictures', 'no images'} <= {*page.texts}


class TestSafety:
    def hostile_page(self) -> tuple[str, str]:
        builder = ReportBuilder(HOSTILE, [HOSTILE] * 19)
        scale = Scale(1.0, True, HOSTILE)
        for i in range(3):
            each = perception(stamp_ns=i, scale=scale)
            builder.add(each, chapter=HOSTILE, latency_ms={HOSTILE: 1.0})
        metrics: dict[str, Any] = {
            'bag': HOSTILE + '2',
            'dropped': {HOSTILE: 1},
            'latency_ms': {HOSTILE: {'p50': HOSTILE}},
            'rate_hz': HOSTILE,
            'engine': {'name': HOSTILE, 'device': HOSTILE, 'precision': HOSTILE},
            'model': dict.fromkeys(('name', 'height', 'width', 'scale', 'sha256'), HOSTILE),
            'scale': {'metric': True, 'factor': HOSTILE, 'source': HOSTILE},
            'problems': [HOSTILE],
            'comparison': {
                HOSTILE: {
                    'depth': {'abs_rel': HOSTILE},
                    'labels': {'miou': HOSTILE, 'iou': {HOSTILE: HOSTILE}},
                    'frames': HOSTILE,
                }
            },
        }
        return builder.render(metrics), report(3).render(METRICS)

    def test_names_are_text_and_nothing_else(self) -> None:
        hostile, harmless = self.hostile_page()
        assert 'alert("1")' not in hostile
        assert hostile.count('<script') == harmless.count('<script') == 2
        assert hostile.count('</script') == 2
        page = Page(hostile)
        assert page.data['frames'][0]['chapter'] == HOSTILE
        shown = HOSTILE.replace('\udc80', '?')
        assert page.texts.count(shown) >= 8
        known = {*(k for _, attrs in Page(harmless).elements for k in attrs), 'title', 'href'}
        names = {k for _, attrs in page.elements for k in attrs}
        assert names <= {*known, 'data-first', 'data-last'}

    def test_a_name_that_is_no_utf8_is_written(self, tmp_path: Path) -> None:
        builder = ReportBuilder('bag\udcff', CITYSCAPES.names)
        builder.add(perception())
        builder.write(tmp_path / 'report.html', {'bag': 'bag\udcff'})
        assert '<h1>bag?</h1>' in (tmp_path / 'report.html').read_text(encoding='utf-8')

    def test_asks_for_nothing_from_outside(self) -> None:
        for html in (*self.hostile_page(), report(3).render(METRICS)):
            page = Page(html)
            assert not re.search(r'https?:|//[a-z]|@import|url\(', html.split('<script type')[0])
            assert not re.search(r'https?:|import\s|fetch|XMLHttp|WebSocket', page.raw['script'])
            for address in page.addresses():
                assert address.startswith(('data:', '#frame='))

    def test_content_security_policy(self) -> None:
        page = Page(report(1).render({}))
        policies = [a.get('content') for t, a in page.elements if 'http-equiv' in a]
        assert policies == [
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
            "script-src 'unsafe-inline'"
        ]

    def test_write_leaves_one_file(self, tmp_path: Path) -> None:
        path = tmp_path / 'report.html'
        path.write_text('the old one')
        report(2).write(path, METRICS)
        assert [each.name for each in tmp_path.iterdir()] == ['report.html']
        assert path.read_text(encoding='utf-8').startswith('<!DOCTYPE html>')

    @pytest.mark.parametrize('options', [{'max_frames': 0}, {'width': 3}])
    def test_refuses_senseless_options(self, options: dict[str, int]) -> None:
        with pytest.raises(ValueError, match='must be at least'):
            ReportBuilder('x', CITYSCAPES.names, **options)
