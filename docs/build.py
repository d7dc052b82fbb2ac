"""Builds the site, and looks whether it is whole: python docs/build.py [FOLDER] (make docs).

The pages lie where they lie in the repository, so that the same links work here, in a forge and
on the site. What is built reads nothing from anywhere else: no fonts, no scripts, no pictures.
Needs zensical (requirements/docs.txt), which reads docs/mkdocs.yml.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
PARTS = ('config', 'docker', 'docs', 'examples')
SUFFIXES = ('.md', '.svg', '.jpg', '.png', '.yaml', '.css', '.rviz', '.py', '.Dockerfile', '')
FILES = ('README.md', 'CONTRIBUTING.md', 'QUALITY_DECLARATION.md', 'SECURITY.md')
FILES += ('CHANGELOG.rst', 'LICENSE')
LOADS = {('script', 'src'), ('img', 'src'), ('link', 'href'), ('iframe', 'src'), ('a', 'href')}


class Page(HTMLParser):
    """What a built page refers to (tag, address), and the anchors that it has."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.refers: list[tuple[str, str]] = []
        self.anchors: set[str] = set()
        self.feed(file.read_text(encoding='utf-8'))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == 'id' and value:
                self.anchors.add(value)
            if (tag, name) in LOADS and value:
                self.refers.append((tag, value))


def main() -> int:
    """Build, check, and return the exit code."""
    site = Path(sys.argv[1] if len(sys.argv) > 1 else 'out/site').resolve()
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder)
        _gather(stage / 'pages')
        shutil.copy(ROOT / 'docs' / 'mkdocs.yml', stage)
        command = [sys.executable, '-m', 'zensical', 'build', '--strict', '--clean']
        code = subprocess.run(command, cwd=stage, check=False).returncode
        if code:
            return code
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(stage / 'site', site)
    problems = faults(site)
    for each in problems:
        sys.stderr.write(f'{each}\n')
    sys.stdout.write(f'{site / "index.html"}: {len(list(site.rglob("*.html")))} pages\n')
    return 1 if problems else 0


def _gather(pages: Path) -> None:
    """Lay out what the site has as it lies in the repository."""
    for part in PARTS:
        for file in sorted((ROOT / part).rglob('*')):
            hidden = any(each.startswith(('.', '__')) for each in file.parts[len(ROOT.parts) :])
            if file.is_file() and file.suffix in SUFFIXES and not hidden:
                target = pages / file.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target)
    for name in FILES:
        shutil.copy(ROOT / name, pages)


def faults(site: Path) -> list[str]:
    """Links to nowhere, and what would be loaded from elsewhere, in the pages below ``site``."""
    pages = {file.resolve(): Page(file) for file in sorted(site.rglob('*.html'))}
    found = []
    for file, page in pages.items():
        name = file.relative_to(site.resolve()).as_posix()
        if name == '404.html':
            continue  # it is shown at any address, and so its own are absolute
        for tag, address in page.refers:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if tag != 'a':
                    found.append(f'{name}: {tag} loads {address}')
                continue
            target = file
            if parts.path:
                target = Path(os.path.normpath(file.parent / unquote(parts.path)))
            if not target.exists():
                found.append(f'{name}: {address} is not there')
            elif parts.fragment and target in pages:
                anchor = unquote(parts.fragment)
                if anchor not in pages[target].anchors:
                    found.append(f'{name}: {address} has no such heading')
    return found


if __name__ == '__main__':
    sys.exit(main())
