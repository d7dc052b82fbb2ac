"""Holds all locked releases against the advisory database; says so where it can't be reached.

python requirements/audit.py     (make audit: in an environment that has pip-audit)

Ends with 1 where a locked release has a known vulnerability, with 0 otherwise.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PROBE = HERE / 'build.txt'  # one release: without a network the client asks for minutes
PROBE_TIME, TIME = 60, 1800  # seconds


def main() -> int:
    """Audit, print, and return the exit code."""
    if not _answers(_asked([PROBE], PROBE_TIME)):
        _say('pip-audit: the advisory database cannot be reached from here; nothing was audited')
        return 0
    found = _asked(sorted(HERE.glob('*.txt')), TIME)
    if not _answers(found):
        _say('pip-audit: the advisory database stopped answering; run it again')
        return 1
    bad = [each for each in found if each.get('vulns')]
    for each in bad:
        for one in each['vulns']:
            mended = ', '.join(one['fix_versions']) or 'no release yet'
            _say(f'{each["name"]} {each["version"]}: {one["id"]}, mended in {mended}')
    _say(f'pip-audit: {len(found)} releases, {len(bad)} with known vulnerabilities')
    return 1 if bad else 0


def _asked(files: Sequence[Path], seconds: float) -> list[dict[str, Any]]:
    """What pip-audit says of the releases in ``files``; nothing where it does not come to it."""
    command = [sys.executable, '-m', 'pip_audit', '--disable-pip', '--require-hashes']
    command += ['--format', 'json', '--progress-spinner', 'off']
    command += [f'--requirement={file}' for file in files]
    try:
        done = subprocess.run(  # it says on standard error that all is well, whatever it knew
            command, capture_output=True, timeout=seconds, text=True, check=False
        )
        found: list[dict[str, Any]] = json.loads(done.stdout)['dependencies']
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return []
    return found


def _answers(found: Sequence[dict[str, Any]]) -> bool:
    """Whether the database knew any of these releases."""
    return any('skip_reason' not in each for each in found)


def _say(text: str) -> None:
    sys.stdout.write(text + '\n')


if __name__ == '__main__':
    sys.exit(main())
