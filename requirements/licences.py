"""Writes docs/licences.md: the licence of every locked release, as its own metadata has it.

python requirements/licences.py     (in an environment with what is locked: .venv/test)

Rows of releases that are not installed here (other systems, other Pythons, the audit's) stay as
they are in the file, so that one environment after the other can fill it.
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / 'docs' / 'licences.md'
USES = {
    **{'demo': 'robot', 'build': 'installing', 'test': 'tests', 'torch': 'tests'},
    **{'torch-cuda': 'tests', 'audit': 'audit', 'docs': 'docs'},
    **{'mutation': 'tests'},
}  # of what a lock file has, the first that has it counts
UNKNOWN = 'not said'
HEAD = """# Licences of what is installed

The project itself is [Apache-2.0](../LICENSE). Beside it, `make` installs these, and a robot those
that are marked so; none of them is under the GPL alone. Written by `requirements/licences.py` from
the packages' own metadata, but for what other systems or Pythons need, which is marked *by hand*;
which releases, say the lock files in `requirements/`.

The default weights hold, unchanged, the encoder of EfficientNet-Lite0, `lite2` that of Lite2, as
their authors (TensorFlow's TPU models, Apache-2.0) trained them on ImageNet, converted by ML
Illustrated (Apache-2.0); the rest of them was trained here, on pictures drawn here.

| package | licence | for |
|---|---|---|
"""


def locked() -> dict[str, str]:
    """What each locked package is for: the robot's packages first."""
    uses: dict[str, str] = {}
    for stem, use in USES.items():
        for name in re.findall(r'^([\w.-]+)==', (HERE / f'{stem}.txt').read_text(), re.MULTILINE):
            uses.setdefault(name, use)
    return uses


def rows(page: str) -> dict[str, str]:
    """The licence of each package by the page."""
    found = dict(re.findall(r'^\| ([\w.-]+) \| (.+?) \| \w+ \|$', page, re.MULTILINE))
    return {name: said for name, said in found.items() if name != 'package'}  # but for the head


def licence(name: str) -> str:
    """What the installed package ``name`` says; '' where it is not installed."""
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return ''
    classes = [
        text.rpartition(' :: ')[2]
        for text in about.get_all('Classifier') or ()
        if text.startswith('License :: ') and not text.endswith(':: OSI Approved')
    ]
    said = about.get('License') or ''
    short = said if said and len(said) < 80 and '\n' not in said else ''
    found = about.get('License-Expression') or ' and '.join(classes) or short or UNKNOWN
    return found.replace('|', '/')


def main() -> None:
    """Write the page; names on standard error what nobody said a licence of."""
    known = rows(PAGE.read_text(encoding='utf-8')) if PAGE.is_file() else {}
    text = HEAD
    for name, use in sorted(locked().items()):
        found = licence(name)
        if not found or found == UNKNOWN:
            found = known.get(name) or UNKNOWN
        if found == UNKNOWN:
            sys.stderr.write(f'{name}: its licence is not known here; write it into {PAGE}\n')
        text += f'| {name} | {found} | {use} |\n'
    PAGE.write_text(text, encoding='utf-8')


if __name__ == '__main__':
    main()
