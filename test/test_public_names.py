"""What is public is said: `__all__` in every module, whose names are there and documented."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(
    file.relative_to(ROOT).as_posix()
    for package in ('dsn_core', 'dsn_ros')
    for file in (ROOT / package).rglob('*.py')
)


def tree(module):
    return ast.parse((ROOT / module).read_text(encoding='utf-8'))


def bound(body):
    """Names that the module's top level binds."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((each.asname or each.name).split('.')[0] for each in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (
                n.id for each in targets for n in ast.walk(each) if isinstance(n, ast.Name)
            )
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from bound(node.body)


def public(module):
    """The module's `__all__`; None where it has none."""
    for node in tree(module).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(node, ast.AnnAssign):
            target = node.target
        if isinstance(target, ast.Name) and target.id == '__all__':
            return ast.literal_eval(node.value)
    return None


@pytest.mark.parametrize('module', MODULES)
def test_public_names_are_said_and_there(module):
    names = public(module)
    assert names is not None, 'no __all__'
    assert len(set(names)) == len(names)
    assert set(names) <= set(bound(tree(module).body))


@pytest.mark.parametrize('module', MODULES)
def test_public_names_are_documented(module):
    body = tree(module)
    assert ast.get_docstring(body), 'no docstring'
    for node in body.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in (
            public(module) or ()
        ):
            assert ast.get_docstring(node), node.name
