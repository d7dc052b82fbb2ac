"""Writes the lock files beside it: every release that was tested, with the hash of every file.

python3 requirements/lock.py [--upgrade]     (needs uv: pip install uv)

build.txt: what installs the package itself. demo.txt: what a robot or `make demo` installs.
test.txt: that and what the tests need, but for PyTorch. Of it there is a build for the CPU alone,
which not every machine is offered (torch-cpu.txt, written by hand), and that of the registry
(torch.txt), which may want NVIDIA's libraries beside it (torch-cuda.txt). audit.txt: pip-audit.

Releases that are locked already stay, unless --upgrade is given. One file serves every Python from
3.10 on and every system: lines say where they hold.
"""

import ast
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

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
    'torch-cuda': 'What PyTorch as the registry has it for NVIDIA wants beside it.',
}


def main() -> None:
    """Resolve, split and write."""
    options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder) / 'known.txt'
        locked = [HERE / f'{name}.txt' for name in ('build', 'test', 'torch', 'torch-cuda')]
        known.write_text(''.join(f.read_text() for f in locked if f.is_file()))
        package, needs, extras = _package(), Path(folder) / 'needs.in', Path(folder) / 'extras.in'
        needs.write_text('\n'.join(package['install_requires']))
        extras.write_text('\n'.join(n for e in EXTRAS for n in package['extras_require'][e]))
        wanted = [str(needs), str(extras), str(HERE / 'test.in')]
        everything = _resolved(known, wanted + options)
        # The demo's releases are those that were tested.
        runtime = _resolved(Path(folder) / 'demo.txt', [str(needs), '--constraint', str(known)])
        audit = _audit(HERE / 'audit.txt', options)
    torch = [each for each in everything if each.startswith('torch==')]
    cuda = [each for each in everything if CUDA.match(each)]
    rest = [each for each in everything if each not in cuda and not each.startswith('torch==')]
    build = [each for each in rest if each.startswith('setuptools==')]
    rest = [each for each in rest if each not in build]
    runtime = [each for each in runtime if each not in build]
    files = {'build': build, 'demo': runtime, 'test': rest, 'torch': torch, 'torch-cuda': cuda}
    files['audit'] = audit
    for name, entries in files.items():
        head = f'# {HEADS[name]}\n# Written by requirements/lock.py.\n'
        (HERE / f'{name}.txt').write_text(head + ''.join(entries))


def _package() -> dict[str, Any]:
    """What setup.py requires: to know it, uv would have to build the package, and may not."""
    tree = ast.parse((HERE.parent / 'setup.py').read_text(encoding='utf-8'))
    keywords = [node for node in ast.walk(tree) if isinstance(node, ast.keyword)]
    return {
        str(each.arg): ast.literal_eval(each.value)
        for each in keywords
        if each.arg in ('install_requires', 'extras_require')
    }


def _resolved(out: Path, options: list[str]) -> list[str]:
    """The entries of a lock file: a release, where it holds, and its hashes."""
    return _compiled(out, [str(HERE / 'build.in'), *options])


def _audit(out: Path, options: list[str]) -> list[str]:
    return _compiled(out, [str(HERE / 'audit.in'), *options])


def _compiled(out: Path, options: list[str]) -> list[str]:
    command = ['uv', 'pip', 'compile', '--universal']
    command += ['--python-version', '3.10', '--generate-hashes', '--no-header', '--no-annotate']
    command += ['--only-binary', ':all:', *(f'--no-binary={name}' for name in SOURCE_ONLY)]
    subprocess.run(
        [*command, '--quiet', *options, '--output-file', str(out)], cwd=HERE.parent, check=True
    )
    return re.findall(r'^\S+==.*\n(?:    .*\n)+', out.read_text(), re.MULTILINE)


if __name__ == '__main__':
    main()
