"""Who imports whom: the contracts in pyproject.toml hold, and can be broken."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# What a robot starts, and what `dsn` loads before it knows which verb is asked for.
ROBOT = (
    *('dsn_ros.cli', 'dsn_ros.replay', 'dsn_ros.infer', 'dsn_ros.calibrate', 'dsn_ros.fleet'),
    *('dsn_ros.simulated_bag', 'dsn_ros.engines', 'dsn_ros.worker', 'dsn_ros.run_node'),
)


def contracts(folder: Path) -> subprocess.CompletedProcess[str]:
    """What import-linter says of the packages in ``folder``."""
    pytest.importorskip('importlinter', reason='import-linter is not installed')
    code = 'import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())'
    return subprocess.run(
        [sys.executable, '-c', f'import sys; sys.path.insert(0, {str(folder)!r}); {code}'],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_contracts_are_kept():
    said = contracts(ROOT)
    assert said.returncode == 0, said.stdout
    assert '5 kept, 0 broken' in said.stdout


AGAINST = {
    'dsn_core/labels.py': 'import dsn_ros.errors',
    'dsn_core/evaluation/depth.py': 'def f():\n    import rosbags',
    'dsn_core/data/lens.py': 'import dsn_core.models',
    'dsn_ros/view.py': 'import torch',
    'dsn_ros/engines/cache.py': 'import rclpy',
    'dsn_ros/scale.py': 'import dsn_ros.pipeline',
}


def test_imports_against_them_are_found(tmp_path):
    for package in ('dsn_core', 'dsn_ros'):
        ignored = shutil.ignore_patterns('weights', '__pycache__')
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    shutil.copy(ROOT / 'pyproject.toml', tmp_path)
    for file, lines in AGAINST.items():
        with (tmp_path / file).open('a') as source:
            source.write(f'\n{lines}\n')
    said = contracts(tmp_path)
    assert said.returncode == 1
    assert '0 kept, 5 broken' in said.stdout
    for file, lines in AGAINST.items():
        importer = file.removesuffix('.py').replace('/', '.')
        imported = lines.rpartition('import ')[2]
        assert f'{importer} -> {imported}' in said.stdout


def test_what_a_robot_starts_loads_no_pytorch():
    modules = ', '.join(each for each in ROBOT if importable(each))
    heavy = "{'torch', 'lightning', 'transformers'}"
    done = subprocess.run(
        [sys.executable, '-c', f'import sys, {modules}; print(*{heavy} & set(sys.modules))'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == []


def importable(module: str) -> bool:
    """The node is imported where there is ROS."""
    return module != 'dsn_ros.run_node' or importlib.util.find_spec('rclpy') is not None
