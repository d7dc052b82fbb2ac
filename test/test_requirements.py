"""What make installs is locked by hash, the robot's part was tested, all licences are known."""

import ast
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ('build', 'demo', 'test', 'torch', 'torch-cpu', 'torch-cuda', 'audit', 'docs', 'mutation')
SETUP = (ROOT / 'setup.py').read_text()


def entries(lock):
    """The entries of a lock file: (name, release, where it holds, hashes)."""
    text = (ROOT / 'requirements' / f'{lock}.txt').read_text()
    found = re.findall(r'^([\w.-]+)==(\S+)(.*)\n((?:    .*\n)+)', text, re.MULTILINE)
    lines = [line for line in text.splitlines() if not line.startswith(('#', '    '))]
    assert len(found) == len(lines), 'an entry without a hash'
    return [
        (name, release, where.strip(' ;\\'), re.findall(r'--hash=sha256:([0-9a-f]{64})\b', hashes))
        for name, release, where, hashes in found
    ]


def normal(requirement):
    """The name of a requirement, as indexes compare it."""
    return re.sub(r'[-_.]+', '-', re.match(r'[\w.-]+', requirement).group()).lower()


def required(*lists):
    """Names in setup.py: of install_requires, or of extras."""
    tree, names = ast.parse(SETUP), set()
    for node in ast.walk(tree):
        pairs = []
        if isinstance(node, ast.keyword):
            pairs = [(node.arg, node.value)]
        elif isinstance(node, ast.Dict):
            pairs = [
                (getattr(k, 'value', None), v) for k, v in zip(node.keys, node.values, strict=True)
            ]
        for key, value in pairs:
            if key in lists and isinstance(value, ast.List):
                names |= {normal(each.value) for each in value.elts}
    return names


@pytest.mark.parametrize('lock', LOCKS)
def test_every_release_has_its_hashes(lock):
    assert entries(lock)
    for name, _, _, hashes in entries(lock):
        assert hashes, name
        assert len(set(hashes)) == len(hashes), name


def test_the_robot_has_what_was_tested():
    tested = {(name, release) for name, release, *_ in entries('test')}
    assert {(name, release) for name, release, *_ in entries('demo')} <= tested


def test_what_setup_py_requires_is_locked():
    robot = {name for name, *_ in entries('demo')}
    assert {'numpy', 'onnx', 'rosbags'} <= required('install_requires') <= robot
    everything = {name for lock in LOCKS for name, *_ in entries(lock)}
    extras = required('test', 'train', 'teachers', 'sim', 'cluster', 'dev')
    assert {'torch', 'pytest', 'mujoco', 'ray'} <= extras <= everything


def test_one_release_for_each_python():
    from packaging.markers import Marker

    for lock in LOCKS:
        for python in ('3.10', '3.11', '3.12', '3.13', '3.14'):
            here = {'python_version': python, 'python_full_version': f'{python}.0'}
            here |= {'sys_platform': 'linux', 'platform_machine': 'x86_64'}
            names = [
                n for n, _, where, _ in entries(lock) if not where or Marker(where).evaluate(here)
            ]
            assert len(names) == len(set(names)), (lock, python)


def test_both_builds_of_pytorch_are_of_one_release():
    ((_, release, *_),) = entries('torch')
    ((_, alone, *_),) = entries('torch-cpu')
    assert alone == f'{release}+cpu'


def test_make_installs_nothing_else():
    text = (ROOT / 'Makefile').read_text()
    (install,) = re.findall(r'^INSTALL := (.*)$', text, re.MULTILINE)
    (locked,) = re.findall(r'^LOCKED := (.*)$', text, re.MULTILINE)
    assert '--no-deps' in install
    assert '--no-build-isolation' in install
    assert locked.startswith('$(INSTALL) --require-hashes --only-binary :all: --no-binary empy ')
    for line in text.splitlines():
        if '$(INSTALL)' in line and ':=' not in line:
            assert line.endswith('$(INSTALL) --editable .')
    assert len(re.findall('pip install', text)) == 1


def test_ci_audits_what_is_locked():
    assert 'make audit' in (ROOT / '.ci' / 'run').read_text()
    assert '.venv/audit/bin/python requirements/audit.py' in (ROOT / 'Makefile').read_text()


@pytest.fixture(scope='module')
def licences():
    return runpy.run_path(str(ROOT / 'requirements' / 'licences.py'))


def test_every_locked_package_has_a_licence(licences):
    uses = licences['locked']()
    page = licences['rows']((ROOT / 'docs' / 'licences.md').read_text())
    assert set(page) == set(uses)
    assert set(uses) == {name for lock in LOCKS for name, *_ in entries(lock)}
    assert licences['UNKNOWN'] not in page.values()


def test_what_a_robot_runs_is_not_under_the_gpl(licences):
    page = licences['rows']((ROOT / 'docs' / 'licences.md').read_text())
    robot = [name for name, use in licences['locked']().items() if use == 'robot']
    assert len(robot) > 25
    for name in robot:
        gpl = re.search(r'\bA?GPL|(?<!Lesser )General Public', page[name], re.IGNORECASE)
        assert not gpl or ' OR ' in page[name], f'{name}: {page[name]}'


def test_the_page_is_what_the_metadata_say(licences):
    page = licences['rows']((ROOT / 'docs' / 'licences.md').read_text())
    for name in ('numpy', 'pyyaml', 'rich'):
        assert licences['licence'](name) == page[name]


class TestAudit:
    """requirements/audit.py with a pip-audit that says what a test wants."""

    def audit(self, tmp_path, says):
        (tmp_path / 'pip_audit').mkdir()
        (tmp_path / 'pip_audit' / '__main__.py').write_text(says)
        script = ROOT / 'requirements' / 'audit.py'
        done = subprocess.run(
            [sys.executable, script],
            env={'PYTHONPATH': str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout

    def test_no_database_is_said_and_no_failure(self, tmp_path):
        code, said = self.audit(tmp_path, 'raise SystemExit("no route")')
        assert code == 0
        assert 'nothing was audited' in said

    def test_a_database_that_knows_nothing_is_none(self, tmp_path):
        skipped = '{"dependencies": [{"name": "a", "skip_reason": "not found"}]}'
        code, said = self.audit(tmp_path, f'print({skipped!r})')
        assert code == 0
        assert 'nothing was audited' in said

    def test_a_vulnerability_fails(self, tmp_path):
        found = (
            '{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", '
            '"fix_versions": ["2"]}]}, {"name": "b", "version": "1", "vulns": []}]}'
        )
        code, said = self.audit(tmp_path, f'print({found!r})\nraise SystemExit(1)')
        assert code == 1
        assert 'a 1: CVE-1, mended in 2' in said
        assert '2 releases, 1 with known vulnerabilities' in said

    def test_none_is_said(self, tmp_path):
        found = '{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}'
        assert self.audit(tmp_path, f'print({found!r})')[0] == 0
