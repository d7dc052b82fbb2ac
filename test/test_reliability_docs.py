"""The tests that docs/reliability.md and docs/threat-model.md name are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = ('docs/reliability.md', 'docs/threat-model.md')


@pytest.fixture(scope='module')
def sources():
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding='utf-8')
        for path in (ROOT / 'test').rglob('*.py')
    }


@pytest.mark.parametrize('page', PAGES)
def test_every_test_that_is_named_is_there(page, sources):
    named = re.findall(r'`(test/\S+?\.py)(?:::(\w+))?`', (ROOT / page).read_text())
    assert len(named) > 10
    for file, name in named:
        assert file in sources, file
        assert not name or re.search(rf'^ *(?:class|def) {name}\b', sources[file], re.MULTILINE)


@pytest.mark.parametrize('page', PAGES)
def test_every_function_that_is_named_alone_is_there(page, sources):
    everything = '\n'.join(sources.values())
    for name in re.findall(r'`((?:test_|Test)\w+)`', (ROOT / page).read_text()):
        assert re.search(rf'^ *(?:class|def) {name}\b', everything, re.MULTILINE), name


@pytest.mark.parametrize('run', ['messages', 'bags', 'kills', 'storm', 'soak'])
def test_every_long_run_is_a_command_that_the_page_names(run):
    assert f'python test/long_runs.py {run} --count' in (ROOT / PAGES[0]).read_text()
    assert f"'{run}': {run}" in (ROOT / 'test' / 'long_runs.py').read_text()
