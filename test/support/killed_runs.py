"""Replays that are killed at random moments: the old results or the new ones, never half."""

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dsn_ros.bags import open_bag
from dsn_ros.replay import ReplayOptions, replay
from dsn_ros.results_folder import staged
from support.bag_factory import Recording
from support.report_factory import Page
from support.stand_in_engine import StandInEngine

FRAMES = (4, 7)  # of one run and of the next, by which their results are told apart
OURS = ('metrics.json', 'perception.mcap', 'report.html')


def small_drive(folder: Path) -> Path:
    """The bag that is replayed."""
    recording = Recording().frames('/image', max(FRAMES), size=(120, 160), info='/camera_info')
    return recording.write(folder / 'drive')


def run(bag: Path, out: Path, frames: int) -> None:
    """Replay ``frames`` frames of ``bag`` into ``out``."""
    replay(bag, out, StandInEngine(), ReplayOptions(limit=frames, points=True))


def frames_in(out: Path) -> int:
    """How many frames the results in ``out`` are of, by all three; AssertionError if they differ.

    0 where there are none.
    """
    there = [name for name in OURS if (out / name).exists()]
    if not there:
        return 0
    assert there == list(OURS), f'only {there}'
    metrics = json.loads((out / 'metrics.json').read_text())
    page = Page((out / 'report.html').read_text(encoding='utf-8'))
    with open_bag(out / 'perception.mcap') as bag:
        written = sum(1 for _ in bag.messages(['/perception/depth/image']))
        assert not bag.problems, bag.problems
    assert metrics['frames_out'] == page.data['total'] == written
    return written


def killed(bag: Path, out: Path, frames: int, after: float | None) -> bool:
    """Run in a process that is killed ``after`` seconds; whether it was killed before its end.

    None: it is left to end.
    """
    child = os.fork()
    if child == 0:
        try:
            run(bag, out, frames)
        finally:
            os._exit(0)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def kill_runs(
    folder: Path, seed: int, count: int, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Kill ``count`` replays into one folder, and look at it after each; a last one finishes.

    What the dead leave is looked at as it lies there. Where it is being moved into place, it is
    as the next run finds it: that run is shown here to finish or remove it before all else.
    """
    bag, out = small_drive(folder), folder / 'out'
    out.mkdir()
    (out / 'notes.txt').write_text('mine')
    run(bag, out, FRAMES[1])
    started = time.monotonic()
    assert not killed(bag, out, FRAMES[0], None)
    whole_run = time.monotonic() - started
    source, standing = random.Random(seed), FRAMES[0]
    results: Counter[str] = Counter()
    number = 0
    while results['killed'] < count:
        number += 1
        wanted = FRAMES[number // 2 % 2]
        # Anywhere, and every other time around its end, where files are put into place.
        first = 0.7 if number % 2 else 0.0
        if not killed(bag, out, wanted, source.uniform(first, 1.3) * whole_run):
            results['ended first'] += 1
        else:
            results['killed'] += 1
            if any(out.glob('.complete-*')):
                results['killed while its files were moved'] += 1
                with staged(out):  # what any next run begins with
                    pass
        found = frames_in(out)
        assert found in (standing, wanted), f'kill {number}: {found} frames'
        results['old results' if found == standing else 'new results'] += 1
        standing = found
        say(f'\r{results["killed"]} kills')
    run(bag, out, FRAMES[1])
    assert frames_in(out) == FRAMES[1]
    assert sorted(f.name for f in out.iterdir()) == sorted([*OURS, 'notes.txt'])
    return dict(results)
