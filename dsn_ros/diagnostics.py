"""What the node tells of itself: counts, rates and latencies, and what they mean to an operator.

Pure Python; the node turns a :class:`Diagnosis` into a diagnostic_msgs message.
"""

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from dsn_ros.any_engine import AnyEngine
from dsn_ros.camera import Camera
from dsn_ros.pipeline import Perception
from dsn_ros.sanity import MEANING
from dsn_ros.scale import Scale

__all__ = [
    'Diagnosis',
    'Level',
    'NodeFacts',
    'Report',
    'Statistics',
    'camera_state',
    'diagnose',
    'engine_facts',
]

NEWER = 'newer frame came'
TOO_OLD = 'too old'
MAX_REASONS = 20  # a driver gone mad must not fill the message with ever new reasons
WINDOW = 200  # frames over which latencies are told
SILENT = 2.0  # seconds without a frame that are worth a warning
SLOW = 5.0  # times what nearly all frames took: then it is worth one that no output comes


class Level(IntEnum):
    """Levels of ``diagnostic_msgs/DiagnosticStatus``."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Report:
    """Counts since the start, and what happened in the ``seconds`` since the report before."""

    frames_in: int
    frames_out: int
    unwatched: int
    dropped: Mapping[str, int]
    seconds: float
    silent_s: float  # since the last frame came in
    waiting_s: float  # since the last frame went out, or since one first came to be seen
    withheld: Mapping[str, int]  # frames out with each of the faults of sanity.CHECKS
    recent_out: int
    recent_withheld: int
    recent_faults: Mapping[str, int]
    recent_dropped: Mapping[str, int]
    latency_ms: Mapping[str, tuple[float, float]]  # stage: (median, 95th percentile)
    age_s: float | None
    scale: Scale | None  # of the last frame
    lighting: str  # of the last frame
    calibrated: bool  # whether its camera is known
    last_error: str


class _Counts(NamedTuple):
    at: float  # time.monotonic
    frames_out: int
    withheld: int
    dropped: Counter[str]
    faults: Counter[str]


class Statistics:
    """Counts frames; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in = self._out = self._unwatched = 0
        self._dropped: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._withheld = 0
        self._latency: dict[str, deque[float]] = {}
        self._age: float | None = None
        self._scale: Scale | None = None
        self._lighting = ''
        self._calibrated = False
        self._last_error = ''
        self._before = _Counts(time.monotonic(), 0, 0, Counter(), Counter())
        self._last_in = -math.inf
        self._waiting_since = math.inf

    def listening(self) -> None:
        """Frames are listened for from now on; how long there were none before is no matter."""
        with self._lock:
            self._last_in = time.monotonic()
            self._waiting_since = math.inf

    def received(self) -> None:
        """Count a frame that came in."""
        with self._lock:
            self._in += 1
            self._last_in = time.monotonic()
            self._waiting_since = min(self._waiting_since, self._last_in)

    def unwatched(self) -> None:
        """Count a frame that was not looked at because nobody listens to any output."""
        with self._lock:
            self._unwatched += 1
            self._waiting_since = math.inf

    def dropped(self, reason: str, error: str = '') -> None:
        """Count a frame that was not used; ``error`` is the full text, where there is one."""
        with self._lock:
            if reason not in self._dropped and len(self._dropped) >= MAX_REASONS:
                reason = 'other'
            self._dropped[reason] += 1
            self._last_error = error or self._last_error

    def published(self, latency_ms: Mapping[str, float], age_s: float, seen: Perception) -> None:
        """Count a frame whose outputs are out, ``age_s`` seconds after its stamp."""
        with self._lock:
            self._out += 1
            self._waiting_since = time.monotonic()
            self._faults.update(seen.faults)
            self._withheld += bool(seen.faults)
            self._age = age_s
            self._scale = seen.scale
            self._lighting = seen.lighting.condition
            self._calibrated = seen.camera is not None
            for stage, value in latency_ms.items():
                self._latency.setdefault(stage, deque(maxlen=WINDOW)).append(value)

    def clock_jumped(self) -> None:
        """Forget what was measured against a clock that has jumped."""
        with self._lock:
            self._age = None

    def totals(self) -> tuple[int, int, int]:
        """Return the frames that came in, went out and were dropped since the start."""
        with self._lock:
            return self._in, self._out, self._dropped.total()

    def report(self) -> Report:
        """Return the counts, and begin a new period."""
        with self._lock:
            before, now = self._before, time.monotonic()
            self._before = _Counts(
                now, self._out, self._withheld, self._dropped.copy(), self._faults.copy()
            )
            return Report(
                frames_in=self._in,
                frames_out=self._out,
                unwatched=self._unwatched,
                dropped=dict(self._dropped),
                seconds=now - before.at,
                silent_s=now - self._last_in,
                waiting_s=max(now - self._waiting_since, 0.0),
                withheld=dict(self._faults),
                recent_out=self._out - before.frames_out,
                recent_withheld=self._withheld - before.withheld,
                recent_faults=dict(self._faults - before.faults),
                recent_dropped=dict(self._dropped - before.dropped),
                latency_ms={stage: _median_and_p95(v) for stage, v in self._latency.items()},
                age_s=self._age,
                scale=self._scale,
                lighting=self._lighting,
                calibrated=self._calibrated,
                last_error=self._last_error,
            )


def _median_and_p95(values: deque[float]) -> tuple[float, float]:
    ordered = sorted(values)
    last = len(ordered) - 1
    return ordered[round(0.5 * last)], ordered[round(0.95 * last)]


@dataclass(frozen=True)
class NodeFacts:
    """What the node knows beside its counts.

    ``state`` is the lifecycle state; ``problem`` why configuring failed, ''; ``engine`` what is
    loaded, as key and value, empty before configuring. ``image_topic`` and ``camera_state`` (see
    :func:`camera_state`) are for the reader; ``notes``: whatever else there is to show.
    ``trouble``: why the engine gives no answers now, ''. ``unfit``: who can't be connected with
    one of the topics, and why.
    """

    state: str
    problem: str = ''
    image_topic: str = ''
    engine: Mapping[str, str] = field(default_factory=dict)
    camera_state: str = ''
    listened_to: bool = False
    points_wanted: bool = False
    obstacles_wanted: bool = False
    trouble: str = ''
    unfit: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Diagnosis:
    """One ``diagnostic_msgs/DiagnosticStatus`` without its name."""

    level: Level
    message: str
    values: tuple[tuple[str, str], ...]


def engine_facts(engine: AnyEngine) -> dict[str, str]:
    """Return what to tell of ``engine``, as it is called in PerceptionStatus."""
    return {
        'engine': engine.name,
        'device': engine.device,
        'precision': engine.precision,
        'model': engine.metadata.name,
    }


def camera_state(
    topic: str, camera: Camera | None, size: tuple[int, int] | None, fov_degrees: float = 0.0
) -> str:
    """Say whether the calibration received on ``topic`` fits frames of ``size`` (height, width).

    'used' where it does; else the reason, and what is done or to do about it.
    """
    if camera is None:
        reason, remedy = f'none received on {topic}', 'remap camera_info'
    elif not camera.calibrated:
        reason, remedy = f'{topic} has K[0] = 0 or not finite (uncalibrated)', 'calibrate'
    elif size is not None and (camera.height, camera.width) != size:
        sizes = f'{camera.width} x {camera.height}, the images are {size[1]} x {size[0]}'
        reason = f'{topic} is for {sizes}'
        remedy = 'remap camera_info to that of this image'
    else:
        return 'used'
    if fov_degrees > 0:
        return f'{reason}: parameter camera.fov_degrees ({fov_degrees:g}) is used'
    return f'{reason}: {remedy}, or set parameter camera.fov_degrees'


def diagnose(facts: NodeFacts, report: Report) -> Diagnosis:
    """Judge: the worst that there is to say first, and every figure."""
    findings = [] if facts.state == 'active' and not facts.problem else [_not_running(facts)]
    if facts.state == 'active':
        findings += _findings(facts, report)
    level = max((level for level, _ in findings), default=Level.OK)
    said = [text for each, text in findings if each == level]
    rate = report.recent_out / report.seconds if report.seconds > 0 else 0.0
    message = '; '.join(said) if said else f'{rate:.1f} frames/s'
    return Diagnosis(level, message, tuple(_values(facts, report, rate)))


def _not_running(facts: NodeFacts) -> tuple[Level, str]:
    if facts.problem:
        return Level.ERROR, facts.problem
    return Level.OK, facts.state


def _findings(facts: NodeFacts, report: Report) -> list[tuple[Level, str]]:
    findings = [(Level.WARN, each) for each in facts.unfit]
    if facts.trouble:
        findings.append((Level.ERROR, facts.trouble))
    bad = {r: n for r, n in report.recent_dropped.items() if r not in (NEWER, TOO_OLD)}
    if bad:
        level = Level.WARN if report.recent_out else Level.ERROR
        findings.append((level, f'{sum(bad.values())} frames not usable: {report.last_error}'))
    if TOO_OLD in report.recent_dropped and not report.recent_out:
        findings.append(
            (
                Level.ERROR,
                'every frame is older than max_age: raise it, or set use_sim_time for a bag',
            )
        )
    if report.recent_withheld:
        level = Level.WARN if report.recent_withheld < report.recent_out else Level.ERROR
        why = '; '.join(MEANING[each] for each in report.recent_faults)
        findings.append((level, f'{report.recent_withheld} frames withheld: {why}'))
    findings += _flow(facts, report)
    if report.scale is not None and not report.scale.metric:
        findings.append((Level.WARN, f'depth is relative, not metres: {report.scale.source}'))
    if facts.points_wanted and report.recent_out and not report.calibrated:
        findings.append((Level.WARN, f'no points without a lens: {facts.camera_state}'))
    if facts.obstacles_wanted and report.recent_out:
        if not report.calibrated:
            findings.append((Level.WARN, f'no obstacles without a lens: {facts.camera_state}'))
        elif report.scale is not None and not report.scale.metric:
            findings.append((Level.WARN, 'no obstacles while depth is relative'))
    return findings


def _flow(facts: NodeFacts, report: Report) -> list[tuple[Level, str]]:
    """What there is to say of frames that do not come, or do not go out."""
    if not report.frames_in:
        check = 'check the topic (image) and image_transport'
        return [(Level.WARN, f'no frames on {facts.image_topic}: {check}')]
    if report.silent_s >= SILENT:
        since = f'no frames on {facts.image_topic} for {report.silent_s:.1f} s'
        return [(Level.ERROR, f'{since}: check the camera')]
    if not facts.listened_to:
        return [(Level.OK, 'idle: nobody listens to an output')]
    usual_ms = report.latency_ms.get('total', (0.0, 0.0))[1]
    busy = not report.recent_dropped.keys() - {NEWER}  # else frames were given up
    if busy and report.waiting_s >= max(SILENT, SLOW * usual_ms / 1e3):
        return [(Level.WARN, f'no output for {report.waiting_s:.1f} s: the engine is busy')]
    return []


def _values(facts: NodeFacts, report: Report, rate: float) -> list[tuple[str, str]]:
    values = [('state', facts.state), *facts.engine.items()]
    values += [
        ('rate', f'{rate:.2f} Hz'),
        ('frames in', str(report.frames_in)),
        ('frames out', str(report.frames_out)),
        ('frames nobody listened for', str(report.unwatched)),
    ]
    values += [(f'dropped: {reason}', str(n)) for reason, n in sorted(report.dropped.items())]
    values += [(f'withheld: {fault}', str(n)) for fault, n in sorted(report.withheld.items())]
    values += [
        (f'latency {stage}', f'{median:.1f} ms (p95 {p95:.1f} ms)')
        for stage, (median, p95) in report.latency_ms.items()
    ]
    if report.age_s is not None:
        values.append(('age at publication', f'{report.age_s:.3f} s'))
    if report.scale is not None:
        values += [
            ('depth', 'metres' if report.scale.metric else 'relative'),
            ('scale factor', f'{report.scale.factor:g}'),
            ('scale source', report.scale.source),
        ]
        if report.scale.spread is not None:
            values.append(('scale spread', f'{report.scale.spread:.1%}'))
    if report.lighting:
        values.append(('light', report.lighting))
    if facts.camera_state:
        values.append(('camera_info', facts.camera_state))
    if report.last_error:
        values.append(('last error', report.last_error))
    return [*values, *facts.notes.items()]
