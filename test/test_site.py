"""The pages say what the code says: the command, the picture of the parts, messages, links."""

import ast
import re
import runpy
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / 'docs'
NAV = yaml.safe_load((DOCS / 'mkdocs.yml').read_text())['nav']
HOLE = '…'


def spoken():
    """Every text in the sources; where one has a value in it, ``HOLE`` stands for that."""
    for package in ('dsn_core', 'dsn_ros'):
        for file in (ROOT / package).rglob('*.py'):
            yield from spoken_in(ast.parse(file.read_text(encoding='utf-8')))


def spoken_in(tree):
    parts = {part for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for part in n.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield ''.join(
                str(each.value) if isinstance(each, ast.Constant) else HOLE for each in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in parts:
            yield node.value


@pytest.fixture(scope='module')
def texts():
    return list(spoken())


def quoted():
    """The messages of the page: the first cell of each row."""
    page = (DOCS / 'troubleshooting.md').read_text(encoding='utf-8')
    return [m for m in re.findall(r'^\| `(.+?)` \|', page, re.MULTILINE) if m != 'message']


def says(text, message):
    """Whether the source's ``text`` can become ``message``: all words of it, in their order."""
    parts = [re.escape(part) for part in message.split(HOLE)]
    return re.search('.*'.join(parts), text, re.DOTALL) is not None


def test_a_message_is_not_found_where_it_is_not():
    assert says(f'{HOLE} is for {HOLE}: stop', f'{HOLE} is for {HOLE}')
    assert not says('there is no bag', 'there is no dog')


@pytest.mark.parametrize('message', quoted())
def test_a_quoted_message_is_in_the_sources(message, texts):
    assert any(re.search('[a-z]{3}', part) for part in message.split(HOLE))
    assert any(says(text, message) for text in texts), message


def test_enough_is_explained():
    assert len(quoted()) > 50


def test_every_fault_of_a_frame_is_explained():
    from dsn_ros.sanity import MEANING

    page = quoted()
    for meaning in MEANING.values():
        assert any(meaning.startswith(each.rstrip(f' {HOLE}')) for each in page), meaning


# Where the node's diagnostics get their words from: file, and functions (or classes) in it.
TOLD = {
    'diagnostics.py': ('camera_state', '_findings', '_flow'),
    'topics.py': ('unfit',),
    'scale.py': ('depth_scale',),
    'scale_measure.py': ('_filtered', '_by_ground', '_by_motion'),
    'scale_ground.py': ('ground_scale', '_gated'),
    'scale_odometry.py': ('MotionScale', 'motion_scale', '_gated'),
    'watched_engine.py': ('WatchedEngine',),
}
# What is logged alone, and where metres come from when there are some.
ELSEWHERE = (
    *('out of memory: pictures', 'stopped while', 'the engine could not be closed'),
    'model and focal length',
)


def told():
    """What diagnostics can say: the sentences in those functions that are no docstring."""
    for file, names in TOLD.items():
        tree = ast.parse((ROOT / 'dsn_ros' / file).read_text(encoding='utf-8'))
        parts = [node for node in ast.walk(tree) if getattr(node, 'name', '') in names]
        assert {part.name for part in parts} == set(names)
        for part in parts:
            docs = {
                ast.get_docstring(each, clean=False)
                for each in ast.walk(part)
                if isinstance(each, (ast.FunctionDef, ast.ClassDef))
            }
            for text in spoken_in(part):
                ours = text not in docs and not text.startswith((f'{HOLE}:', *ELSEWHERE))
                if ours and len(re.findall(r'[a-z]{2,}', text)) > 2:
                    yield text


@pytest.mark.parametrize('text', sorted(set(told())))
def test_what_diagnostics_can_say_is_explained(text):
    page = (DOCS / 'troubleshooting.md').read_text(encoding='utf-8')
    explained = [each for each in re.findall('`(.+?)`', page) if re.search('[a-z]{3}', each)]
    assert any(says(text, each) for each in explained), text


def test_the_reference_of_the_command_is_its_help():
    pytest.importorskip('typer', reason='typer is not installed')
    written = runpy.run_path(str(DOCS / 'cli.py'))['text']()
    assert (DOCS / 'cli.md').read_text(encoding='utf-8') == written, (
        'out of date: python docs/cli.py'
    )


def test_the_picture_of_the_parts_is_what_the_imports_say():
    pytest.importorskip('grimp', reason='import-linter is not installed')
    drawn = runpy.run_path(str(DOCS / 'images' / 'architecture.py'))['svg']()
    assert (DOCS / 'images' / 'architecture.svg').read_text(encoding='utf-8') == drawn, (
        'out of date: python docs/images/architecture.py'
    )


def pages(nav):
    for each in nav:
        for value in each.values():
            yield from pages(value) if isinstance(value, list) else [value]


def test_every_page_can_be_reached():
    there = {file.relative_to(ROOT).as_posix() for file in DOCS.glob('*.md')}
    assert there <= set(pages(NAV))
    assert all((ROOT / page).is_file() for page in pages(NAV))


def test_ci_builds_the_site():
    assert 'make docs' in (ROOT / '.ci' / 'run').read_text()
    assert 'docs/build.py' in (ROOT / 'Makefile').read_text()


class TestFaults:
    """docs/build.py looks through what was built."""

    def found(self, tmp_path, body):
        (tmp_path / 'other.html').write_text('<h2 id="there">x</h2>')
        (tmp_path / 'index.html').write_text(body)
        return runpy.run_path(str(DOCS / 'build.py'))['faults'](tmp_path)

    @pytest.mark.parametrize(
        'body',
        [
            '<a href="nowhere.html">x</a>',
            '<a href="other.html#nowhere">x</a>',
            '<img src="none.png">',
            '<script src="https://cdn.example/x.js"></script>',
            '<link rel="stylesheet" href="//fonts.example/x.css">',
        ],
    )
    def test_what_leads_nowhere_or_elsewhere_is_found(self, tmp_path, body):
        assert len(self.found(tmp_path, body)) == 1

    def test_what_is_whole_is_not(self, tmp_path):
        body = '<h1 id="a">x</h1><a href="#a">x</a><a href="other.html#there">x</a>'
        body += '<a href="https://example.org">x</a>'
        assert self.found(tmp_path, body) == []


def test_the_site_is_built_and_whole(tmp_path):
    python = ROOT / '.venv' / 'docs' / 'bin' / 'python'
    if not python.is_file():
        pytest.skip('the environment of make docs is not there: make docs')
    done = subprocess.run(
        [python, DOCS / 'build.py', tmp_path / 'site'],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / 'site' / 'docs' / 'nav2.html').is_file()


def test_commands_in_the_pages_have_options_that_exist():
    from typer.main import get_command

    from dsn_ros.cli import app

    verbs = get_command(app).commands
    texts = [(ROOT / page).read_text(encoding='utf-8') for page in pages(NAV)]
    seen = set()
    for line in '\n'.join(texts).splitlines():
        found = re.search(r'(?:^|[`/ ])dsn ([a-z][a-z-]*)((?: [^`#|]*)?)', line)
        if not found or found.group(1) not in verbs:
            continue
        verb = found.group(1)
        known = {option for param in verbs[verb].params for option in param.opts}
        for option in re.findall(r'(?<= )(--[a-z][a-z-]+)', found.group(2).split('; ')[0]):
            assert option in known | {'--help'}, line
            seen.add((verb, option))
    assert len(seen) > 25
