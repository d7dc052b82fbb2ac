"""What a contributor and a release lean on: hooks, templates, containers, the release check."""

import re
import runpy
import shutil
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
RELEASE = runpy.run_path(str(ROOT / 'scripts' / 'release_check.py'))
TEMPLATES = ROOT / '.github' / 'ISSUE_TEMPLATE'
DOCKER = sorted((ROOT / 'docker').glob('*.Dockerfile'))


def hooks():
    repos = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos']
    return {hook['id']: (repo, hook) for repo in repos for hook in repo['hooks']}


def test_hooks_are_pinned_and_of_the_locked_release():
    found = hooks()
    assert set(found) == {'ruff-check', 'ruff-format', 'codespell', 'mypy', 'lint-imports'}
    for repo, _ in found.values():
        assert repo['repo'] == 'local' or re.fullmatch(r'v\d+\.\d+\.\d+', repo['rev'])
    locked = re.search(r'^ruff==(\S+)', (ROOT / 'requirements' / 'test.txt').read_text(), re.M)
    assert found['ruff-check'][0]['rev'] == f'v{locked.group(1)}'


def test_local_hooks_are_what_make_lint_runs():
    made = (ROOT / 'Makefile').read_text()
    for name in ('mypy', 'lint-imports'):
        assert f'\t{hooks()[name][1]["entry"]}\n' in made


@pytest.mark.parametrize('name', ['bug', 'feature'])
def test_templates_are_forms_that_forges_read(name):
    form = yaml.safe_load((TEMPLATES / f'{name}.yml').read_text())
    assert {'name', 'description', 'body'} <= set(form)
    ids = [each['id'] for each in form['body']]
    assert len(set(ids)) == len(ids)
    for each in form['body']:
        assert each['type'] in ('textarea', 'input', 'checkboxes')
        assert each['attributes']['label']


def test_a_bug_asks_for_a_saved_frame():
    text = (TEMPLATES / 'bug.yml').read_text()
    assert 'ros2 service call /perception/save_frame std_srvs/srv/Trigger' in text
    assert "'~/save_frame'" in (ROOT / 'dsn_ros' / 'perception_node.py').read_text()


@pytest.mark.parametrize('page', ['CONTRIBUTING.md', 'QUALITY_DECLARATION.md'])
def test_files_that_are_named_are_there(page):
    text = (ROOT / page).read_text(encoding='utf-8')
    everything = {
        path.relative_to(ROOT).as_posix()
        for folder in ('dsn_core', 'dsn_ros', 'test', 'docs', 'config', 'scripts', 'requirements')
        for path in (ROOT / folder).rglob('*')
    }
    named = re.findall(r'`([\w./-]+/?[\w-]+\.(?:py|md|yaml|txt|rst))`', text)
    assert len(named) > 2
    for name in named:
        if 'NAME' not in name:
            there = (ROOT / name).is_file() or any(e.endswith(f'/{name}') for e in everything)
            assert there, name


def test_the_release_s_three_are_here():
    assert {file.name for file in DOCKER} == {
        *('cpu.Dockerfile', 'nvidia.Dockerfile', 'jetson.Dockerfile'),
    }


@pytest.mark.parametrize('file', DOCKER, ids=lambda file: file.stem)
def test_a_container_says_that_it_was_not_built(file):
    text = file.read_text()
    assert '# NOT BUILT by its makers' in text
    assert 'were not built or run' in (ROOT / 'docker' / 'README.md').read_text()
    for name in re.findall(r'-r src/dsn_ros/(\S+)', text):
        assert (ROOT / name).is_file(), name
    (base,) = re.findall(r'^FROM (\S+)', text, re.MULTILINE)
    assert re.search(r':(?!latest)\S+$', base)


class TestRelease:
    """scripts/release_check.py on trees and wheels that are not ready."""

    @pytest.fixture
    def tree(self, tmp_path):
        for name in ('package.xml', 'msg/package.xml', 'LICENSE', 'docs/licences.md'):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
        (tmp_path / 'dsn_core').mkdir()
        for name in ('package.xml', 'msg/package.xml'):
            self.edit(tmp_path / name, r'<version>.*?</version>', '<version>1.2.3</version>')
        (tmp_path / 'dsn_core' / '__init__.py').write_text("__version__ = '1.2.3'\n")
        log = 'Changelog\n\n1.2.3 (2026-01-02)\n------------------\n* A.\n'
        (tmp_path / 'CHANGELOG.rst').write_text(log)
        return tmp_path

    def edit(self, file, pattern, text):
        changed, count = re.subn(pattern, text, file.read_text(), count=1)
        assert count == 1
        file.write_text(changed)

    def test_a_tree_that_is_ready(self, tree):
        assert list(RELEASE['faults'](tree, tag=True)) == []

    def test_this_tree_is_ready_but_for_the_tag(self):
        assert list(RELEASE['faults'](ROOT)) == []

    @pytest.mark.parametrize(
        ('file', 'pattern', 'text', 'said'),
        [
            ('package.xml', '1.2.3', '1.2.4', 'versions differ'),
            ('msg/package.xml', '1.2.3', '1.2.4', 'versions differ'),
            ('dsn_core/__init__.py', '1.2.3', '1.2.4', 'versions differ'),
            ('CHANGELOG.rst', r'1\.2\.3', '1.2.2', 'versions differ'),
            (
                'CHANGELOG.rst',
                'Changelog\n',
                'Forthcoming\n-----------\n',
                'still has Forthcoming',
            ),
            ('msg/package.xml', '>Apache-2.0<', '>MIT<', 'its licence is MIT'),
            ('LICENSE', 'Apache License', 'Licence', 'not the Apache License'),
            ('docs/licences.md', r'\| MIT \|', '| not said |', 'has no licence'),
        ],
    )
    def test_what_is_not_ready_is_named(self, tree, file, pattern, text, said):
        self.edit(tree / file, pattern, text)
        (fault,) = RELEASE['faults'](tree, tag=True)
        assert said in fault

    def wheel(self, tmp_path, *more, without=''):
        file = tmp_path / 'dsn_ros-1.2.3-py3-none-any.whl'
        with zipfile.ZipFile(file, 'w') as made:
            for each in RELEASE['NEEDED']:
                if each.startswith('/'):
                    name = f'dsn_ros-1.2.3.dist-info{each}'
                elif each.startswith('dsn_'):
                    name = each
                else:
                    name = f'dsn_ros-1.2.3.data/data/{each}'
                if each != without:
                    made.writestr(name, '')
            for each in more:
                made.writestr(each, '')
        return list(RELEASE['wheel_faults'](file, '1.2.3'))

    def test_a_wheel_that_is_whole(self, tmp_path):
        assert self.wheel(tmp_path) == []

    @pytest.mark.parametrize('name', RELEASE['NEEDED'])
    def test_what_a_wheel_lacks_is_named(self, name, tmp_path):
        (fault,) = self.wheel(tmp_path, without=name)
        assert f'{name} is missing' in fault

    @pytest.mark.parametrize(
        'name', ['test/x.py', 'dsn_ros/test_x.py', 'dsn_core/a.safetensors', 'runs/a.onnx']
    )
    def test_what_does_not_belong_in_a_wheel_is_named(self, name, tmp_path):
        found = self.wheel(tmp_path, name)
        assert found
        assert all(f'{name} does not belong there' in each for each in found)

    def test_the_wheel_of_this_tree_is_whole(self, tmp_path):
        if not (ROOT / '.git').exists():
            pytest.skip('no clone: what belongs into a wheel is what git tracks')
        made = RELEASE['built'](ROOT, tmp_path)
        assert list(RELEASE['wheel_faults'](made, RELEASE['versions'](ROOT)['package.xml'])) == []
        names = zipfile.ZipFile(made).namelist()
        for file in (*(ROOT / 'config').rglob('*.*'), *(ROOT / 'launch').glob('*.py')):
            wanted = f'share/dsn_ros/{file.relative_to(ROOT).as_posix()}'
            assert any(name.endswith(wanted) for name in names), wanted

    def test_a_wheel_of_another_version_is_named(self, tmp_path):
        file = tmp_path / 'dsn_ros-1.2.2-py3-none-any.whl'
        zipfile.ZipFile(file, 'w').close()
        assert any('not of version' in each for each in RELEASE['wheel_faults'](file, '1.2.3'))
