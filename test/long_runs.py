"""The long runs of docs/reliability.md; CI does a few rounds of each as tests.

python test/long_runs.py messages --count 100000
python test/long_runs.py bags
python test/long_runs.py kills --count 100
python test/long_runs.py soak --count 120    # minutes; with ROS 2 sourced
python test/long_runs.py storm --count 50    # turns of the lifecycle; with ROS 2 sourced
"""

import argparse
import faulthandler
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
os.environ.setdefault('OPENCV_LOG_LEVEL', 'SILENT')

import cv2
from support.broken_bags import break_bags
from support.fuzz_oracle import Oracle, fuzz, real_pictures
from support.killed_runs import kill_runs

from dsn_ros.message_builders import BagMessages, Messages, RosMessages

HANG = 600  # seconds without a message done: all stacks are printed, and the run has failed


def messages(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Bent messages through decoding, calibration and pipeline."""
    worlds: list[Messages] = [BagMessages()]
    if find_spec('sensor_msgs'):
        worlds.append(RosMessages())
    oracle = Oracle(folder)
    for done in fuzz(oracle, options.seed, options.count, worlds, real_pictures()):
        if done % 1000 == 0:
            faulthandler.dump_traceback_later(HANG, exit=True)
            _say(f'\r{done} messages')
    by_kind: Counter[str] = Counter()
    for (kind, verdict), count in oracle.verdicts.items():
        by_kind[
            f'{kind.rpartition("/")[2]} {"accepted" if verdict == "accepted" else "refused"}'
        ] += count
    return {
        'messages': oracle.verdicts.total(),
        'worlds': len(worlds),
        'slowest_s': round(oracle.slowest, 2),
        'errors_by_name': len([v for v in oracle.verdicts if v[1] != 'accepted']),
        **dict(sorted(by_kind.items())),
    }


def bags(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Bags cut at every percent and with bytes flipped."""
    return break_bags(folder, options.seed, options.count, _say)


def kills(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Replays killed at random moments."""
    return kill_runs(folder, options.seed, options.count, _say)


def soak(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The node at full rate for ``count`` minutes."""
    from support.soak import soak as run  # needs ROS

    def say(text: str) -> None:
        faulthandler.dump_traceback_later(HANG, exit=True)
        _say(text)

    return run(folder, options.count, say)


def storm(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The node's lifecycle, ``count`` turns of it."""
    from support.storm import storm as run  # needs ROS

    return run(folder, options.count, _say)


RUNS: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    'messages': messages,
    'bags': bags,
    'kills': kills,
    'soak': soak,
    'storm': storm,
}


def main() -> None:
    """Run one of them; prints what came of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('run', choices=RUNS)
    parser.add_argument('--count', type=int, default=100)
    parser.add_argument('--seed', type=int, default=1)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    faulthandler.dump_traceback_later(HANG, exit=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        result = RUNS[options.run](options, Path(folder))
    result['seconds'] = round(time.monotonic() - started)
    _say('\n')
    sys.stdout.write(json.dumps(result, indent=2) + '\n')


def _say(text: str) -> None:
    sys.stderr.write(text)


if __name__ == '__main__':
    main()
