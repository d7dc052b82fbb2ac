"""Writes docs/cli.md, the reference of the command, from its own help: python docs/cli.py.

A test holds the page against the command (test/test_site.py).
"""

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).with_suffix('.md')


def text() -> str:
    """The page, as Typer's own writer makes it of ``dsn_ros.cli``."""
    command = [sys.executable, '-m', 'typer', 'dsn_ros.cli', 'utils', 'docs', '--name', 'dsn']
    said = subprocess.run(
        [*command, '--title', 'The command dsn'],
        capture_output=True,
        text=True,
        check=True,
        cwd=PAGE.parents[1],
    ).stdout
    said = re.sub(r'<(?=[\w[])([^<>`\n]*)>(?![^`\n]*`)', r'\\<\1>', said)  # no tags of HTML
    said = re.sub(r'^\* `([\w-]+)`: .*\.\.\.$', lambda cut: _whole(cut[1], said), said, flags=re.M)
    head, _, rest = said.partition('\n\n')
    return f'{head}\n\nWritten by `python docs/cli.py` from `dsn --help`.\n\n{rest.rstrip()}\n'


def _whole(verb: str, said: str) -> str:
    """The list's line of ``verb`` with its whole first paragraph, which Typer cuts short."""
    found = re.search(rf'^## `dsn {verb}`\n\n(.+?)\n\n', said, flags=re.M | re.S)
    assert found is not None, verb
    return f'* `{verb}`: {" ".join(found[1].split())}'


if __name__ == '__main__':
    PAGE.write_text(text(), encoding='utf-8')
