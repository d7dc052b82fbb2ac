"""No file that somebody gives is run: the sources call nothing that could."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    path
    for folder in (
        *('dsn_core', 'dsn_ros', 'launch', 'demo', 'docs', 'examples', 'requirements', 'scripts'),
    )
    for path in (ROOT / folder).rglob('*.py')
)
# Modules whose very purpose is to turn bytes into objects, or text into programs.
MODULES = {
    *('pickle', '_pickle', 'cPickle', 'dill', 'cloudpickle', 'joblib', 'shelve', 'marshal'),
    *('imp', 'code', 'codeop', 'runpy'),
}
BUILTINS = {'eval', 'exec', 'compile', '__import__'}
CALLS = {
    *('torch.jit.load', 'torch.package', 'torch.hub.load', 'torch.hub.load_state_dict_from_url'),
    *('yaml.load', 'yaml.load_all', 'yaml.unsafe_load', 'yaml.unsafe_load_all'),
    *('yaml.full_load', 'yaml.full_load_all', 'np.fromregex', 'os.system', 'os.popen'),
}
# What is safe with an argument only: (call, argument) -> the value that it must have.
ONLY_WITH = {
    ('torch.load', 'weights_only'): True,
    ('np.load', 'allow_pickle'): False,
}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def given(call: ast.Call, name: str) -> object:
    """The constant that keyword ``name`` has in a call; None where it is not there."""
    for keyword in call.keywords:
        if keyword.arg == name and isinstance(keyword.value, ast.Constant):
            return keyword.value.value
    return None


def faults(text: str) -> list[str]:
    """What is in a source that could run a file's code."""
    tree, found = ast.parse(text), []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or '']
        found += [f'imports {n}' for n in names if n.split('.')[0] in MODULES]
    for name, call in calls(tree):
        plain = name.replace('numpy.', 'np.')
        if name in BUILTINS or plain in CALLS:
            found.append(f'calls {name}')
        for (guarded, argument), value in ONLY_WITH.items():
            if plain == guarded and given(call, argument) is not value:
                found.append(f'calls {name} without {argument}={value}')
        if any(k.arg == 'ckpt_path' for k in call.keywords) and not given(call, 'weights_only'):
            found.append(f'calls {name} with a checkpoint, without weights_only=True')
        # Configurations and image processors hold no weights; what is chosen by name may.
        weights = name.endswith('.from_pretrained') and 'architecture' in name
        if weights and given(call, 'use_safetensors') is not True:
            found.append(f'calls {name} without use_safetensors=True')
        if given(call, 'shell') is True:
            found.append(f'calls {name} with a shell')
        if any(k.arg == 'allow_pickle' and given(call, 'allow_pickle') for k in call.keywords):
            found.append(f'calls {name} with allow_pickle')
    return found


def test_all_sources_are_looked_at():
    assert len(SOURCES) > 200


@pytest.mark.parametrize('path', SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_nothing_runs_what_is_in_a_file(path):
    assert not faults(path.read_text(encoding='utf-8'))


@pytest.mark.parametrize(
    'text',
    [
        'import pickle',
        'from joblib import load',
        'import numpy as np\nnp.load(file)',
        'np.load(file, allow_pickle=True)',
        'torch.load(path)',
        'torch.load(path, weights_only=False)',
        'torch.load(path, weights_only=flag)',
        'trainer.fit(stage, ckpt_path=path)',
        'yaml.load(text, Loader=yaml.Loader)',
        'yaml.unsafe_load(text)',
        'eval(text)',
        'exec(code)',
        'subprocess.run(line, shell=True)',
        'getattr(transformers, architecture).from_pretrained(source)',
    ],
)
def test_what_could_is_found(text):
    assert faults(text)


@pytest.mark.parametrize(
    'text',
    [
        'network.eval()',
        're.compile(text)',
        'torch.load(path, weights_only=True)',
        'np.load(file, allow_pickle=False)',
        'yaml.safe_load(text)',
        'trainer.fit(stage, ckpt_path=path, weights_only=True)',
    ],
)
def test_what_could_not_is_not(text):
    assert not faults(text)
