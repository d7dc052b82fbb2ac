"""The commands in the pages: found, taken apart as a shell does, held against what they name."""

import ast
import importlib.util
import re
import runpy
import shlex
from dataclasses import dataclass
from pathlib import Path

import setuptools

from dsn_ros.parameter_table import PARAMETERS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *ROOT.glob('*.md'),
        *ROOT.glob('docs/*.md'),
        *(ROOT / folder / 'README.md' for folder in ('docker', 'examples')),
    ]
)
WORDS_OF_SHELL = ('do', 'then', '{', '(')
# What belongs to others, and why nothing here runs it.
OTHERS = {
    'cd': 'the shell',
    'source': 'the shell',
    '.': 'the shell',
    'git': 'clones this repository',
    'apt': "the system's packages",
    'rosdep': 'needs the network; test_package.py holds package.xml against the imports',
    'colcon': 'test_launch.py builds with it, with and without --symlink-install',
    'ros2 topic': "ROS's own",
    'ros2 bag': "ROS's own",
    'ros2 run': "ROS's own",
    'docker': 'no container runtime was at hand: docker/README.md says so',
    'torchrun': "PyTorch's own; test_label_free.py trains in two processes",
}


@dataclass(frozen=True)
class Command:
    """One command of a page: its words as a shell would pass them on."""

    page: str
    words: tuple[str, ...]

    @property
    def program(self) -> str:
        """What runs, without the folder of a virtual environment."""
        name = self.words[0]
        return name.rpartition('/')[2] if '/bin/' in name else name

    def __str__(self) -> str:
        return f'{self.page}: {shlex.join(self.words)}'


def fences(text: str) -> list[tuple[str, str]]:
    """The language and the text of each block of code in a page."""
    found = re.findall(r'^( *)```(\w*)\n(.*?)^\1```$', text, re.MULTILINE | re.DOTALL)
    return [(language, body) for _, language, body in found]


def commands(page: str, script: str) -> list[Command]:
    """The commands of a shell's ``script``, those in loops, lists and functions too."""
    found: list[Command] = []
    own = ['for', 'done', *re.findall(r'^(\w+)\(\) \{', script, re.MULTILINE)]
    script = re.sub(r'<[a-z ]+>', 'PLACEHOLDER', script.replace('\\\n', ' '))
    lines = [*script.splitlines()]
    while lines:
        line = lines.pop(0)
        while line.count('"') % 2 and lines:
            line += '\n' + lines.pop(0)
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ';']:
            if re.fullmatch(r'[;&|(){}]+', word):
                if words and words[0] not in own:
                    found.append(Command(page, tuple(words)))
                words = []
            elif words or not (word in WORDS_OF_SHELL or re.fullmatch(r'[A-Z_]+=\S*', word)):
                words.append(word)
    return found


def page_commands() -> list[Command]:
    """Every command in a shell's block of a page."""
    found = []
    for page in PAGES:
        name = page.relative_to(ROOT).as_posix()
        for language, body in fences(page.read_text(encoding='utf-8')):
            if language == 'sh':
                found += commands(name, body)
    return found


def spoken_commands() -> list[Command]:
    """Commands within a page's sentences, those that are whole: not ``ros2 launch`` by itself."""
    found = []
    for page in PAGES:
        name = page.relative_to(ROOT).as_posix()
        prose = re.sub(r'^( *)```.*?^\1```$', '', page.read_text('utf-8'), flags=re.M | re.S)
        for text in re.findall(
            r'`((?:ros2|python3?|pip|make|pytest|docker|torchrun) [^`]+)`', prose
        ):
            found += [each for each in commands(name, text) if len(each.words) > 2]
            found += [each for each in commands(name, text) if each.words[0] == 'make']
    return list(dict.fromkeys(found))


def fault(command: Command) -> str:
    """What is wrong with a command that is not ``dsn``; '' where all that it names is there."""
    words = list(command.words)
    two = ' '.join(words[:2])
    if two in OTHERS or (command.program in OTHERS and words[0] != 'docker'):
        return ''
    checks = {
        'docker': _docker,
        'make': _make,
        'pip': _pip,
        'pytest': _pytest,
        'python': _python,
        'python3': _python,
        'ros2': _ros2,
    }
    if command.program in checks:
        return checks[command.program](words)
    if command.program in ('ruff', 'mypy', 'lint-imports'):
        made = (ROOT / 'Makefile').read_text(encoding='utf-8')
        return '' if f'.venv/test/bin/{command.program}' in made else 'make lint does not run it'
    return 'nothing holds this command against anything: say in page_commands.py what does'


def _docker(words: list[str]) -> str:
    return '' if words[1] != 'build' else _missing([words[words.index('-f') + 1]])


def _make(words: list[str]) -> str:
    made = (ROOT / 'Makefile').read_text(encoding='utf-8')
    targets = set(re.findall(r'^([\w./-]+):', made, re.MULTILINE))
    wanted = [word for word in words[1:] if '=' not in word]
    return '' if targets.issuperset(wanted) else f'make has no {wanted}'


def _pip(words: list[str]) -> str:
    for word in words[2:]:
        extras = re.fullmatch(r'(?:\.|dsn_ros)\[([\w,]+)\]', word)
        if extras and not set(extras.group(1).split(',')) <= set(_extras()):
            return f'no such extra: {word}'
    return ''


def _extras() -> list[str]:
    given: dict[str, dict[str, list[str]]] = {}
    original = setuptools.setup
    setuptools.setup = lambda **arguments: given.update(arguments)
    try:
        runpy.run_path(str(ROOT / 'setup.py'))
    finally:
        setuptools.setup = original
    return list(given['extras_require'])


def _pytest(words: list[str]) -> str:
    return _missing([word for word in words if word.endswith('.py')])


def _python(words: list[str]) -> str:
    if words[1] == '-m':
        module = words[2]
        if module in ('pip', 'pytest'):
            return {'pip': _pip, 'pytest': _pytest}[module](words[2:])
        there = importlib.util.find_spec(module) is not None
        return '' if there else f'there is no module {module}'
    if words[1] == '-c':
        ast.parse(words[2])
        return ''
    return _script(words[1:])


def _script(words: list[str]) -> str:
    """A script of the repository: it is there, and knows the options and what it is to do."""
    if missing := _missing([words[0]]):
        return missing
    text = (ROOT / words[0]).read_text(encoding='utf-8')
    unknown = [w for w in words[1:] if w.startswith('--') and f"'{w}'" not in text]
    if 'choices=RUNS' in text and not re.search(rf'^def {words[1]}\(', text, re.MULTILINE):
        unknown.append(words[1])
    return f'{words[0]} knows no {unknown}' if unknown else ''


def _ros2(words: list[str]) -> str:
    if words[1:3] == ['launch', 'dsn_ros']:
        arguments = launch_arguments(words[3])
        given = [word.partition(':=')[0] for word in words[4:] if word != '--show-args']
        unknown = [name for name in given if name not in arguments]
        return f'{words[3]} has no argument {unknown}' if unknown else ''
    if words[1:3] == ['service', 'call']:
        name = words[3].removeprefix('/perception')
        if name == words[3]:
            return ''  # Nav2's
        text = (ROOT / 'dsn_ros' / 'perception_node.py').read_text(encoding='utf-8')
        return '' if f"'~{name}'" in text else f'the node has no service {name}'
    if words[1] == 'param':
        known = {row.name for row in PARAMETERS}
        return '' if known.issuperset(words[4:5]) else f'the node has no parameter {words[4]}'
    if words[1] == 'lifecycle':
        return '' if words[2:4] == ['set', '/perception'] else 'of another node'
    return 'nothing holds this command against anything'


def launch_arguments(file: str) -> set[str]:
    """The arguments that a launch file declares, and those of the one that it includes."""
    text = (ROOT / 'launch' / file).read_text(encoding='utf-8')
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            is_one = node.func.id in ('text', 'switch', 'DeclareLaunchArgument')
            if is_one and node.args and isinstance(node.args[0], ast.Constant):
                found.add(str(node.args[0].value))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == 'PARAMETER_ARGUMENTS':
            found |= set(ast.literal_eval(node.value))
    if file != 'perception.launch.py' and 'perception.launch.py' in text:
        found |= launch_arguments('perception.launch.py')
    return found


def _missing(files: list[str]) -> str:
    gone = [file for file in files if not (ROOT / file).is_file()]
    return f'there is no {", ".join(gone)}' if gone else ''
