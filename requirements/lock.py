"""Writes the lock files beside it: every release that was tested, with the hash of every file.

python3 requirements/lock.py [--upgrade]     (needs uv: pip install uv)

build.txt: what installs the package itself. demo.txt: what a robot or `make demo` installs.
test.txt: that and what the tests need, but for PyTorch. Of it there is a build for the CPU alone,
which not every machine is offered (torch-cpu.txt, written by hand), and that of the registry
(torch.txt), which may want NVIDIA's libraries beside it (torch-cuda.txt). audit.txt: pip-audit.
docs.txt: what builds the site (make docs), for Python 3.11 and newer. mutation.txt: mutmut (make
mutants), beside what the tests need.

Releases that are locked already stay, unless --upgrade is given. One file serves every Python from
3.10 on and every system: lines say where they hold.
"""

import ast
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXTRAS = ('train', 'teachers', 'sim', 'cluster', 'test', 'dev')
SOURCE_ONLY = ('empy',)  # there is no wheel of it: it runs its setup.py when it is installed
CUDA = re.compile(r'nvidia-|cuda-|triton==')
HEADS = {
    'build': 'What installs the package itself, and must be there before the rest.',
    'demo': 'What a robot needs, and `make demo` installs.',
    'test': 'What `make test` and CI install, but for PyTorch (torch.txt).',
    'torch': 'PyTorch as the registry has it.',
    'audit': 'What `make audit` runs.',
    'docs': 'What `make docs` builds the site with.',
    'mutation': 'What `make mutants` adds to the environment of the tests.',
    'torch-cuda': 'What PyTorch as the registry has it for NVIDIA wants beside it.',
}


def main() -> None:
    """Resolve, split and write."""
    options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder) / 'known.txt'
        locked = [HERE / f'{name}.txt' for name in ('build', 'test', 'torch', 'torch-cuda')]
        known.write_text(''.join(f.read_text() for f in locked if f.is_file()))
        everything = _resolved(known, EXTRAS, [str(HERE / 'test.in'), *options])
        # The demo's releases are those that were tested.
        runtime = _resolved(Path(folder) / 'demo.txt', (), ['--constraint', str(known)])
        audit = _audit(HERE / 'audit.txt', options)
        docs = _docs(HERE / 'docs.txt', ['--constraint', str(known), *options])
        tested = Path(folder) / 'tested.txt'
        tested.write_text(''.join(everything))
        mutation = _mutation(HERE / 'mutation.txt', ['--constraint', str(tested), *options])
    torch = [each for each in everything if each.startswith('torch==')]
    cuda = [each for each in everything if CUDA.match(each)]
    rest = [each for each in everything if each not in cuda and not each.startswith('torch==')]
    build = [each for each in rest if each.startswith('setuptools==')]
    rest = [each for each in rest if each not in build]
    runtime = [each for each in runtime if each not in build]
    files = {'build': build, 'demo': runtime, 'test': rest, 'torch': torch, 'torch-cuda': cuda}
    files |= {'audit': audit, 'docs': docs, 'mutation': mutation}
    for name, entries in files.items():
        head = f'# {HEADS[name]}\n# Written by requirements/lock.py.\n'
        (HERE / f'{name}.txt').write_text(head + ''.join(entries))


def _resolved(out: Path, extras: tuple[str, ...], options: list[str]) -> list[str]:
    """The entries of a lock file: a release, where it holds, and its hashes."""
    # Read here: to ask setup.py, uv would have to build a source, which it is told not to.
    tree = ast.parse((HERE.parent / 'setup.py').read_text(encoding='utf-8'))
    given = {
        node.arg: ast.literal_eval(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg in ('install_requires', 'extras_require')
    }
    wanted = [*given['install_requires']]
    wanted += [each for extra in extras for each in given['extras_require'][extra]]
    listed = out.with_suffix('.in')
    listed.write_text(''.join(f'{each}\n' for each in wanted))
    return _compiled(out, [str(listed), str(HERE / 'build.in'), *options])


def _audit(out: Path, options: list[str]) -> list[str]:
    return _compiled(out, [str(HERE / 'audit.in'), *options])


def _docs(out: Path, options: list[str]) -> list[str]:
    return _compiled(out, [str(HERE / 'docs.in'), *options], python='3.11')


def _mutation(out: Path, options: list[str]) -> list[str]:
    return _compiled(out, [str(HERE / 'mutation.in'), *options])


def _compiled(out: Path, options: list[str], python: str = '3.10') -> list[str]:
    command = ['uv', 'pip', 'compile', '--universal']
    command += ['--python-version', python, '--generate-hashes', '--no-header', '--no-annotate']
    command += ['--only-binary', ':all:', *(f'--no-binary={name}' for name in SOURCE_ONLY)]
    subprocess.run(
        [*command, '--quiet', *options, '--output-file', str(out)], cwd=HERE.parent, check=True
    )
    return re.findall(r'^\S+==.*\n(?:    .*\n)+', out.read_text(), re.MULTILINE)


if __name__ == '__main__':
    main()
