"""Every command in the pages is one: `dsn` parses it, configurations load, cheap ones are run."""

import ast
import json
import shutil
from pathlib import Path

import pytest
import yaml
from support.page_commands import (
    PAGES,
    ROOT,
    Command,
    commands,
    fault,
    fences,
    page_commands,
    spoken_commands,
)

pytest.importorskip('typer', reason='typer is not installed')

import typer
from typer.main import get_command

from dsn_ros.cli import app
from dsn_ros.engines import default_model

STREET = ROOT / 'demo' / 'street'
VERBS = get_command(app).commands
UsageError = typer.BadParameter.__base__  # click's, wherever typer keeps it
EVERY = page_commands()
DSN = [each for each in EVERY if each.program == 'dsn']
# Verbs that are not run here: why, and what runs them.
PARSED_ONLY = {
    'simulate': 'draws towns: test/dsn_core/simulation',
    'export': 'wants a checkpoint: test_export.py, test_export_int8.py',
    'bench': 'takes minutes: test/dsn_ros/bench',
    'calibrate-confidence': 'wants a data set: test_calibrate_confidence.py',
}
FEW = ('--limit', '2')


def of(*verbs: str) -> list[Command]:
    """The pages' commands of these verbs, each once."""
    once = {each.words: each for each in DSN if each.words[1] in verbs}
    return list(once.values())


def parsed(command: Command) -> dict[str, object]:
    """The verb's parameters as the command line gives them; raises UsageError."""
    verb, *words = command.words[1:]
    # Numbers stand where a shell's loop would put them.
    words = ['1' if word in ('$k', '$s') else 'day' if word == '$1' else word for word in words]
    words = ['1' if word == '$2' else word for word in words]
    return dict(VERBS[verb].make_context(verb, words).params)


def test_commands_are_found_in_all_that_a_shell_knows():
    script = (
        'A=1 dsn one x \\\n  --y "a b"   # said\nfor k in 1 2; do dsn two $k; done\n'
        'f() { dsn three; }\nf\n. venv && dsn four\n'
    )
    found = [' '.join(each.words) for each in commands('page', script)]
    assert found == ['dsn one x --y a b', 'dsn two $k', 'dsn three', '. venv', 'dsn four']


def test_there_are_many():
    assert len(EVERY) > 90
    assert {each.page for each in EVERY} >= {'README.md', 'docs/quick-start.md', 'docs/scale.md'}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page):
    """A block that said nothing would be commands that nobody holds against anything."""
    for language, body in fences(page.read_text(encoding='utf-8')):
        assert language in ('sh', 'console', 'yaml', 'python', 'text'), body


def test_what_else_the_blocks_hold_is_whole():
    blocks = [block for page in PAGES for block in fences(page.read_text(encoding='utf-8'))]
    kinds = {'yaml': yaml.safe_load, 'python': ast.parse}
    read = [kinds[language](body) for language, body in blocks if language in kinds]
    assert len(read) > 2
    assert all(read)


@pytest.mark.parametrize(
    'command', [c for c in (*EVERY, *spoken_commands()) if c.program != 'dsn'], ids=str
)
def test_what_a_command_names_is_there(command):
    assert fault(command) == ''


@pytest.mark.parametrize(
    ('line', 'said'),
    [
        ('make demos', 'no'),
        ("pip install '.[training]'", 'no such extra'),
        ('pytest test/test_nothing.py', 'there is no'),
        ('python test/long_runs.py letters', 'knows no'),
        ('python test/long_runs.py messages --counts 1', 'knows no'),
        ('python3 -m dsn_ros.nothing', 'no module'),
        ('ros2 launch dsn_ros perception.launch.py images:=/x', 'has no argument'),
        ('ros2 launch dsn_ros nav2_demo.launch.py bag:=/x', 'has no argument'),
        ('ros2 service call /perception/safe_frame x', 'no service'),
        ('ros2 param set /perception scale.mod ground', 'no parameter'),
        ('docker build -f docker/gpu.Dockerfile .', 'there is no'),
        ('unheard of', 'nothing holds this'),
    ],
)
def test_a_command_that_is_wrong_is_found(line, said):
    (command,) = commands('page', line)
    assert said in fault(command)


@pytest.mark.parametrize('command', of(*VERBS), ids=str)
def test_the_command_takes_it(command):
    parsed(command)


def test_the_help_s_own_examples_are_taken():
    examples = []
    for verb, command in VERBS.items():
        quoted = (command.help or '').replace('\n', ' ').split('`')[1::2]
        examples += [each for text in quoted for each in commands(verb, text)]
    ours = [each for each in examples if each.program == 'dsn']
    assert len(ours) > 15
    for each in ours:
        parsed(each)


@pytest.mark.parametrize(
    'line',
    [
        'dsn replay bag --out x --scaling ground',
        'dsn replay bag',
        'dsn simulate --out x --towns many',
        'dsn export a.safetensors --out x --precision fp15',
    ],
)
def test_a_command_line_that_is_wrong_is_not(line):
    (command,) = commands('page', line)
    with pytest.raises(UsageError):
        parsed(command)


def test_every_verb_is_run_or_said_not_to_be():
    run = {'replay', 'infer', 'engine', 'calibrate', 'profile', 'train', 'ablate', 'evaluate'}
    assert run | set(PARSED_ONLY) == set(VERBS)


class TestRun:
    """What takes seconds is run: on the demo bag, in the place of the reader's own."""

    @pytest.fixture(autouse=True)
    def clone(self, tmp_path, monkeypatch):
        """Stand where a reader stands: in a clone, with bags and models beside it."""
        for name in ('config', 'demo', 'dsn_ros'):
            (tmp_path / name).symlink_to(ROOT / name)
        monkeypatch.chdir(tmp_path)

    def bag(self, path: str) -> str:
        """Put the demo bag where a command expects one."""
        made = Path(path.removeprefix('/'))
        if not made.exists():
            made.parent.mkdir(parents=True, exist_ok=True)
            made.symlink_to(STREET / 'street.mcap' if made.suffix == '.mcap' else STREET)
        return str(made)

    def run(self, *words: str) -> int:
        done = get_command(app).main(list(words), standalone_mode=False)
        return done or 0

    def words(self, command: Command) -> list[str]:
        """The command's words, with its bags, models and pictures there."""
        params, words = parsed(command), list(command.words[1:])
        for path in map(str, params.get('bags') or [params.get('bag')]):
            words = [self.bag(path) if word == path else word for word in words]
        out = params.get('out')
        words = [str(out).removeprefix('/') if word == str(out) else word for word in words]
        model = params.get('model')
        if model is not None and not Path(str(model)).exists():
            Path(str(model)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(default_model(), str(model))
        return words

    @pytest.mark.parametrize('command', of('replay'), ids=str)
    def test_replays(self, command):
        words = self.words(command)
        if '--ray' in words:
            pytest.skip('needs a cluster: test_fleet_ray.py has one')
        limits = any(word.startswith(('--max-', '--min-')) for word in words)
        try:
            code = self.run(*words, *FEW)
        except typer.Exit as ended:
            code = ended.exit_code
        assert code in ((0, 1) if limits else (0,))
        made = [json.loads(each.read_text()) for each in Path().rglob('out/**/metrics.json')]
        assert made
        assert all(each['frames_out'] == 2 for each in made)

    @pytest.mark.parametrize('command', of('calibrate'), ids=str)
    def test_calibrates(self, command):
        assert self.run(*self.words(command), '--limit', '12', '--max-spread', '9') == 0

    @pytest.mark.parametrize('command', of('infer'), ids=str)
    def test_infers(self, command):
        shutil.copy(ROOT / 'docs' / 'images' / 'street.jpg', 'picture.jpg')
        assert self.run(*self.words(command)) == 0
        assert list(Path('out').rglob('*.depth.npy'))

    @pytest.mark.parametrize('command', of('engine', 'profile'), ids=str)
    def test_tells(self, command):
        if command.words[1] == 'profile':
            pytest.importorskip('torch', reason='torch is not installed')
        assert self.run(*self.words(command)) == 0

    @pytest.mark.parametrize('command', of('train', 'ablate'), ids=str)
    def test_what_is_trained_is_shown(self, command, capsys):
        pytest.importorskip('torch', reason='torch is not installed')
        for word in command.words[3:]:
            key, _, value = word.partition('=')
            if key in ('day', 'night'):
                self.bag(value)
        assert self.run(*[w for w in command.words[1:] if w != '--show'], '--show') == 0
        assert capsys.readouterr().out

    @pytest.mark.parametrize('command', of('evaluate'), ids=str)
    def test_what_is_evaluated_is_read(self, command):
        from dsn_core.evaluation.config import load_evaluation

        params = parsed(command)
        path = Path(str(params['config']))
        if path.parent == Path():
            pytest.skip(f'{path} is described, not shipped')
        assert load_evaluation(path, params['overrides'] or ()).rows
