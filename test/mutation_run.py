"""Can the tests fail? Mutmut changes one thing of the code at a time, and the tests are to notice.

    make mutants [ARGS='--count 150 --seed 1 --group scale']

Which files are changed and which tests are asked, says [tool.mutmut] in pyproject.toml. There are
some thousands of changes: of each group a sample is drawn, always the same one for a seed.
Prints, for each group, how many were noticed, then what was changed where it was not; ends with
1 where it was less than 80 % of a group. The copies and all verdicts stay in mutants/: `mutmut
browse` shows them.
"""

import argparse
import os
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MUTMUT = str(Path(sys.executable).parent / 'mutmut')
GROUPS = {
    'losses': 'dsn_core.losses.',
    'geometry': 'dsn_core.geometry.',
    'messages': ('dsn_ros.messages.', 'dsn_ros.message_builders.', 'dsn_ros.compressed_images.'),
    'camera': 'dsn_ros.camera.',
    'scale': 'dsn_ros.scale',
}
FIRST = 'dsn_core.geometry.x_invert_transform__mutmut_1'  # to have the rest made and listed
NOTICED = ('killed', 'timeout', 'segfault')
WANTED = 0.8


def main() -> int:
    """Draw, run and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--count', type=int, default=150, help='changes for each group')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--group', choices=GROUPS, action='append', help='these groups only')
    parser.add_argument('--processes', type=int, default=1)
    parser.add_argument(
        '--keep', action='store_true', help='try again only what was not noticed in an earlier run'
    )
    options = parser.parse_args()
    run = ['run', '--max-children', str(options.processes)]
    _mutmut(*run, FIRST)
    names = sorted(_verdicts())
    samples = {}
    for group in options.group or GROUPS:
        all_of_it = [name for name in names if name.startswith(GROUPS[group])]
        # Its own generator for each: the sample is the same whichever groups are asked for.
        chosen = random.Random(options.seed).sample(all_of_it, min(options.count, len(all_of_it)))
        samples[group] = chosen
        _say(f'{group}: {len(chosen)} of {len(all_of_it)} changes\n')
    known = _verdicts() if options.keep else {}
    tried = [n for chosen in samples.values() for n in chosen if known.get(n) not in NOTICED]
    if tried:
        _mutmut(*run, *tried)
    verdicts = _verdicts()
    for group, chosen in samples.items():
        for name in chosen:
            if verdicts[name] not in NOTICED:
                _say(f'\n{group}, {verdicts[name]}: {name}\n{_change(name)}')
    _say('\n')
    enough = True
    for group, chosen in samples.items():
        counts = Counter(verdicts[name] for name in chosen)
        noticed = sum(counts[verdict] for verdict in NOTICED) / len(chosen)
        enough = enough and noticed >= WANTED
        said = ', '.join(f'{count} {verdict}' for verdict, count in sorted(counts.items()))
        _say(f'{group}: {noticed:.0%} noticed ({said})\n')
    return 0 if enough else 1


def _mutmut(*arguments: str) -> None:
    """Run mutmut, which ends with an error where the tests fail without any change."""
    # Of pytest's plugins only the one in use: they are set up anew for every change.
    env = {**os.environ, 'PYTEST_DISABLE_PLUGIN_AUTOLOAD': '1', 'OMP_NUM_THREADS': '1'}
    env['PYTEST_PLUGINS'] = '_hypothesis_pytestplugin'
    done = subprocess.run(
        [MUTMUT, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f'mutmut failed:\n{(done.stdout + done.stderr)[-4000:]}')


def _verdicts() -> dict[str, str]:
    """What came of each change: 'not checked' of those that were not tried."""
    said = subprocess.run(
        [MUTMUT, 'results', '--all', 'True'], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return dict(re.findall(r'^ +(\S+): (.+)$', said, re.MULTILINE))


def _change(name: str) -> str:
    """The lines before and after."""
    said = subprocess.run(
        [MUTMUT, 'show', name], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return ''.join(f'{line}\n' for line in re.findall(r'^[-+](?![-+]).*$', said, re.MULTILINE))


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == '__main__':
    raise SystemExit(main())
