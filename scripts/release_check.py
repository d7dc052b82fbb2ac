"""Says what keeps this tree from being released: python scripts/release_check.py [--tag].

One version in all manifests and the changelog; a wheel, built here, that holds what it should and
nothing else; licences that agree. With --tag also: the changelog has no Forthcoming, and the tag
of this commit is the version. Exit code 1 and one line each where something is not ready. Needs
the environment of the tests (.venv/test).
"""

import argparse
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
MANIFESTS = ('package.xml', 'msg/package.xml')
LICENCE = 'Apache-2.0'
NEEDED = ('dsn_ros/weights/depthsegnet.onnx', 'dsn_ros/weights/depthsegnet.safetensors')
NEEDED += ('dsn_ros/templates/report.html', 'dsn_ros/cli.py')
NEEDED += ('dsn_core/labels.py', 'share/dsn_ros/package.xml', 'config/perception.yaml')
NEEDED += ('launch/perception.launch.py', '/licenses/LICENSE')
MOST = 60 * 2**20  # bytes of a wheel


def versions(root: Path) -> dict[str, str]:
    """The version by each file that names one; '' where it does not."""
    code = (root / 'dsn_core' / '__init__.py').read_text(encoding='utf-8')
    named = re.search(r"^__version__ = '([^']+)'$", code, re.MULTILINE)
    found = {'dsn_core/__init__.py': named.group(1) if named else ''}
    for name in MANIFESTS:
        found[name] = ElementTree.parse(root / name).findtext('version') or ''
    log = (root / 'CHANGELOG.rst').read_text(encoding='utf-8')
    sections = re.findall(r'^(\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)\n-+$', log, re.MULTILINE)
    found['CHANGELOG.rst'] = sections[0] if sections else ''
    return found


def faults(root: Path, tag: bool = False) -> Iterator[str]:
    """What is not ready in the tree at ``root``; ``tag``: for a release, not on the way to it."""
    found = versions(root)
    if len(set(found.values())) != 1 or '' in found.values():
        yield 'versions differ: ' + ', '.join(f'{k} {v or "none"}' for k, v in found.items())
    for name in MANIFESTS:
        said = ElementTree.parse(root / name).findtext('license')
        if said != LICENCE:
            yield f'{name}: its licence is {said}, not {LICENCE}'
    if 'Apache License' not in (root / 'LICENSE').read_text(encoding='utf-8')[:200]:
        yield 'LICENSE: not the Apache License'
    if 'not said' in (root / 'docs' / 'licences.md').read_text(encoding='utf-8'):
        yield 'docs/licences.md: a dependency has no licence: python requirements/licences.py'
    if tag:
        log = (root / 'CHANGELOG.rst').read_text(encoding='utf-8')
        if re.search('^Forthcoming$', log, re.MULTILINE):
            yield 'CHANGELOG.rst: it still has Forthcoming: give the section version and date'


def wheel_faults(wheel: Path, version: str) -> Iterator[str]:
    """What the wheel lacks, and what it should not hold."""
    if wheel.stat().st_size > MOST:
        yield f'{wheel.name}: {wheel.stat().st_size >> 20} MiB, more than {MOST >> 20}'
    if not wheel.name.startswith(f'dsn_ros-{version}-'):
        yield f'{wheel.name}: not of version {version}'
    names = zipfile.ZipFile(wheel).namelist()
    for each in NEEDED:
        if not any(name.endswith(each) for name in names):
            yield f'{wheel.name}: {each} is missing'
    for name in names:
        top = name.split('/')[0]
        if top not in ('dsn_core', 'dsn_ros') and not top.startswith(f'dsn_ros-{version}.d'):
            yield f'{wheel.name}: {name} does not belong there'
        stray = r'(^|/)(test_\w+\.py|__pycache__|\.env)|\.(safetensors|mcap|pt)$'
        if name not in NEEDED and re.search(stray, name):
            yield f'{wheel.name}: {name} does not belong there'


def built(root: Path, out: Path) -> Path:
    """The wheel of a copy of the files that git tracks; what lies about in the tree stays out."""
    tree = out / 'tree'
    tracked = subprocess.run(
        ['git', 'ls-files', '-z'], cwd=root, capture_output=True, check=True, text=True
    ).stdout
    for name in filter(None, tracked.split('\0')):
        if (root / name).is_file() and not name.startswith(('test/', 'demo/')):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((root / name).read_bytes())
    command = [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps']
    command += ['--no-build-isolation', '--wheel-dir', str(out), str(tree)]
    subprocess.run(command, check=True)
    return next(out.glob('*.whl'))


def main() -> int:
    """Look, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--tag', action='store_true', help='this commit is to be released')
    tag = parser.parse_args().tag
    found = list(faults(ROOT, tag))
    version = versions(ROOT)['dsn_core/__init__.py']
    if tag:
        command = ['git', 'tag', '--points-at', 'HEAD']
        tags = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        if tags.split() and version not in tags.split():
            found.append(f'the tag is {" ".join(tags.split())}, the version {version}')
    with tempfile.TemporaryDirectory() as folder:
        found += wheel_faults(built(ROOT, Path(folder)), version)
    for each in found:
        sys.stdout.write(f'{each}\n')
    sys.stdout.write(f'dsn_ros {version}: {f"{len(found)} not ready" if found else "ready"}\n')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
