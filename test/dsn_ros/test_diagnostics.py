"""What an operator is told: the worst first, with the remedy, and every figure."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from dsn_ros.camera import Camera
from dsn_ros.diagnostics import (
    MAX_REASONS,
    NEWER,
    TOO_OLD,
    Level,
    NodeFacts,
    Statistics,
    camera_state,
    diagnose,
)
from dsn_ros.lighting import LightingState
from dsn_ros.scale import Scale

CAMERA = Camera.pinhole(96, 64, 80.0, 80.0, 47.5, 31.5)
ACTIVE = NodeFacts('active', image_topic='/image', camera_state='used', listened_to=True)


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr('dsn_ros.diagnostics.time.monotonic', lambda: clock.now)
    return clock


def seen(metric=True, camera=CAMERA, faults=()):
    return SimpleNamespace(
        faults=faults,
        scale=Scale(1.5, metric, 'because'),
        camera=camera,
        lighting=LightingState('dusk', 0.4, 'dusk'),
    )


def after(*events):
    """A report after frames that met these ends.

    'ok', 'relative', the faults of one that was withheld, or a reason for dropping.
    """
    statistics = Statistics()
    for event in events:
        statistics.received()
        if event in ('ok', 'relative'):
            statistics.published({'infer': 20.0, 'total': 25.0}, 0.03, seen(event == 'ok'))
        elif isinstance(event, tuple):
            statistics.published({'infer': 20.0, 'total': 25.0}, 0.03, seen(faults=event))
        else:
            statistics.dropped(event, '' if event in (NEWER, TOO_OLD) else f'text of {event}')
    return statistics.report()


def test_all_well_tells_the_rate():
    diagnosis = diagnose(ACTIVE, after('ok', 'ok', NEWER))
    assert diagnosis.level == Level.OK
    assert diagnosis.message.endswith('frames/s')
    values = dict(diagnosis.values)
    assert (values['frames in'], values['frames out']) == ('3', '2')
    assert values[f'dropped: {NEWER}'] == '1'
    assert values['latency infer'] == '20.0 ms (p95 20.0 ms)'
    assert values['depth'] == 'metres'


@pytest.mark.parametrize(
    ('facts', 'events', 'level', 'said'),
    [
        (NodeFacts('unconfigured', 'not configured: why'), [], Level.ERROR, 'not configured: why'),
        (NodeFacts('inactive'), ['ok'], Level.OK, 'inactive'),
        (ACTIVE, [], Level.WARN, 'no frames on /image'),
        (ACTIVE, ['bad', 'ok'], Level.WARN, '1 frames not usable: text of bad'),
        (ACTIVE, ['bad', 'bad'], Level.ERROR, '2 frames not usable: text of bad'),
        (ACTIVE, [TOO_OLD], Level.ERROR, 'older than max_age'),
        (ACTIVE, ['ok', TOO_OLD], Level.OK, 'frames/s'),
        (ACTIVE, ['relative'], Level.WARN, 'depth is relative, not metres: because'),
        (ACTIVE, ['ok', ('black',)], Level.WARN, '1 frames withheld: the picture is black'),
        (ACTIVE, [('white',)] * 2, Level.ERROR, '2 frames withheld: the picture is overexposed'),
        (replace(ACTIVE, trouble='it hangs'), ['ok'], Level.ERROR, 'it hangs'),
        (replace(ACTIVE, unfit=('/rviz gets nothing',)), ['ok'], Level.WARN, '/rviz gets nothing'),
    ],
)
def test_trouble_is_told_first(facts, events, level, said):
    diagnosis = diagnose(facts, after(*events))
    assert diagnosis.level == level
    assert said in diagnosis.message


def test_withheld_frames_are_counted_by_what_speaks_against_them():
    report = after('ok', ('black',), ('black', 'labels'))
    assert report.withheld == {'black': 2, 'labels': 1}
    assert (report.recent_out, report.recent_withheld) == (3, 2)
    values = dict(diagnose(ACTIVE, report).values)
    assert (values['withheld: black'], values['withheld: labels']) == ('2', '1')


def test_a_camera_that_falls_silent_is_an_error_until_it_speaks_again(clock):
    statistics = Statistics()
    statistics.listening()
    statistics.received()
    statistics.published({'total': 25.0}, 0.03, seen())
    clock.now += 3.2
    diagnosis = diagnose(ACTIVE, statistics.report())
    assert diagnosis.level == Level.ERROR
    assert diagnosis.message == 'no frames on /image for 3.2 s: check the camera'
    statistics.received()
    statistics.published({'total': 25.0}, 0.03, seen())
    assert diagnose(ACTIVE, statistics.report()).level == Level.OK
    clock.now += 60  # deactivated meanwhile
    statistics.listening()
    assert diagnose(ACTIVE, statistics.report()).level == Level.OK


def test_frames_that_come_while_none_goes_out_are_told(clock):
    statistics = Statistics()
    statistics.received()
    statistics.published({'total': 25.0}, 0.03, seen())
    for _ in range(25):
        clock.now += 0.1
        statistics.received()
        statistics.dropped(NEWER)
    diagnosis = diagnose(ACTIVE, statistics.report())
    assert (diagnosis.level, diagnosis.message) == (
        Level.WARN,
        'no output for 2.5 s: the engine is busy',
    )
    slow = Statistics()
    slow.received()
    slow.published({'total': 1000.0}, 0.03, seen())
    clock.now += 2.5
    slow.received()
    assert diagnose(ACTIVE, slow.report()).level == Level.OK  # it always takes a second


def test_a_period_counts_only_its_own_frames():
    statistics = Statistics()
    statistics.received()
    statistics.dropped('bad', 'text')
    assert statistics.report().recent_dropped == {'bad': 1}
    second = statistics.report()
    assert second.recent_dropped == {}
    assert second.dropped == {'bad': 1}


def test_reasons_do_not_grow_without_end():
    report = after(*(f'bad {i}' for i in range(100)))
    assert len(report.dropped) == MAX_REASONS + 1
    assert sum(report.dropped.values()) == 100


@pytest.mark.parametrize(
    ('camera', 'size', 'fov', 'said'),
    [
        (None, (64, 96), 0.0, 'none received on /info: remap'),
        (Camera.pinhole(96, 64, 0.0, 0.0, 0.0, 0.0), (64, 96), 0.0, 'uncalibrated'),
        (CAMERA, (128, 192), 0.0, '/info is for 96 x 64, the images are 192 x 128'),
        (None, (64, 96), 60.0, 'camera.fov_degrees (60) is used'),
        (CAMERA, (64, 96), 0.0, 'used'),
        (CAMERA, None, 0.0, 'used'),
    ],
)
def test_the_camera_info_is_judged(camera, size, fov, said):
    assert said in camera_state('/info', camera, size, fov)
