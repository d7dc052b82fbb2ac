"""The report of `make coverage` summed up by package; ends with 1 where it is under 85 %.

python test/coverage_by_package.py out/coverage/coverage.json

A share is that of lines and branches together, as coverage counts it in its own reports.
"""

import json
import sys
from collections import Counter
from pathlib import Path

WANTED = 85.0  # percent
COUNTED = ('num_statements', 'covered_lines', 'num_branches', 'covered_branches')


def main(report: Path) -> int:
    """Print a line for each package, and one for all."""
    packages: dict[str, Counter[str]] = {}
    everything: Counter[str] = Counter()
    for file, found in json.loads(report.read_text(encoding='utf-8'))['files'].items():
        counts = Counter({name: found['summary'][name] for name in COUNTED})
        packages.setdefault(str(Path(file).parent), Counter()).update(counts)
        everything.update(counts)
    if not everything['num_statements']:
        sys.stdout.write(f'{report} has no files: nothing was measured\n')
        return 1
    for package, counts in sorted(packages.items()):
        sys.stdout.write(_line(package, counts))
    sys.stdout.write(_line('all', everything))
    if _percent(everything) < WANTED:
        sys.stdout.write(f'{_percent(everything):.1f} % is less than {WANTED:.0f} %\n')
        return 1
    return 0


def _percent(counts: Counter[str]) -> float:
    there = counts['num_statements'] + counts['num_branches']
    return 100 * (counts['covered_lines'] + counts['covered_branches']) / there if there else 100.0


def _line(name: str, counts: Counter[str]) -> str:
    lines = f'{counts["covered_lines"]} of {counts["num_statements"]} lines'
    branches = f'{counts["covered_branches"]} of {counts["num_branches"]} branches'
    return f'{name:24} {_percent(counts):5.1f} %  {lines:22} {branches}\n'


if __name__ == '__main__':
    raise SystemExit(main(Path(sys.argv[1])))
