"""What package.xml, setup.py and the folders say of the package agrees."""

import importlib.util
import os
import re
import runpy
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from xml.etree import ElementTree

import pytest

import dsn_core

ROOT = Path(__file__).resolve().parents[1]

# Import name: the requirement of setup.py, where it is called differently.
PIP_NAMES = {'cv2': 'opencv-python-headless', 'yaml': 'PyYAML', 'rosbags.image': 'rosbags-image'}


@pytest.fixture(scope='module')
def setup_arguments():
    """What setup.py hands to setuptools."""
    setuptools = pytest.importorskip('setuptools', reason='setuptools is not installed')
    given = {}
    before, original = Path.cwd(), setuptools.setup
    os.chdir(ROOT)
    setuptools.setup = lambda **arguments: given.update(arguments)
    try:
        runpy.run_path('setup.py')
    finally:
        setuptools.setup = original
        os.chdir(before)
    return given


def manifest(path='package.xml'):
    return ElementTree.parse(ROOT / path).getroot()


def test_one_version_everywhere(setup_arguments):
    versions = {
        manifest().findtext('version'),
        manifest('msg/package.xml').findtext('version'),
        setup_arguments['version'],
        dsn_core.__version__,
    }
    assert len(versions) == 1, versions


def test_one_name_and_licence_everywhere(setup_arguments):
    assert manifest().findtext('name') == setup_arguments['name'] == 'dsn_ros'
    assert manifest().findtext('license') == setup_arguments['license'] == 'Apache-2.0'
    assert manifest('msg/package.xml').findtext('name') == 'dsn_msgs'
    assert (ROOT / 'resource' / 'dsn_ros').is_file()


def test_every_launch_and_config_file_is_installed(setup_arguments):
    installed = {f for _, files in setup_arguments['data_files'] for f in files}
    there = {
        path.relative_to(ROOT).as_posix()
        for folder in ('launch', 'config')
        for path in (ROOT / folder).rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }
    assert there <= installed
    assert all((ROOT / file).is_file() for file in installed)


def test_every_file_of_the_package_that_is_no_python_is_installed(setup_arguments):
    patterns = setup_arguments['package_data']['dsn_ros']
    package = ROOT / 'dsn_ros'
    others = [
        path.relative_to(package).as_posix()
        for path in package.rglob('*')
        if path.is_file() and path.suffix not in ('.py', '.pyc')
    ]
    missed = [name for name in others if not any(fnmatch(name, p) for p in patterns)]
    assert not missed


def test_programs_name_functions_that_exist(setup_arguments):
    for line in setup_arguments['entry_points']['console_scripts']:
        module, function = re.fullmatch(r'\w+ = ([\w.]+):(\w+)', line).groups()
        source = ROOT.joinpath(*module.split('.')).with_suffix('.py').read_text()
        assert re.search(rf'^(def {function}\(|{function} = )', source, re.MULTILINE), line


def test_what_a_robot_imports_is_required(setup_arguments):
    required = {re.split(r'[<>=; ]', r)[0] for r in setup_arguments['install_requires']}
    imported = set()
    for path in (ROOT / 'dsn_ros').rglob('*.py'):
        for match in re.finditer(r'^(?:import|from) ([\w.]+)', path.read_text(), re.MULTILINE):
            imported.add(match.group(1))
    for name in ('cv2', 'mcap', 'numpy', 'onnx', 'rich', 'rosbags', 'typer', 'yaml'):
        if any(each.split('.')[0] == name for each in imported):
            assert PIP_NAMES.get(name, name) in required, name


def test_what_the_node_imports_of_ros_is_in_package_xml():
    listed = {each.text for each in manifest().findall('exec_depend')}
    sources = [*(ROOT / 'launch').glob('*.py'), *(ROOT / 'dsn_ros').glob('*.py')]
    pattern = re.compile(
        r'^ *(?:import|from) ((?:rclpy|launch|launch_ros|tf2_ros|\w+_(?:msgs|srvs|interfaces)))\b'
    )
    imported = {
        match.group(1)
        for path in sources
        for line in path.read_text().splitlines()
        if (match := pattern.match(line))
    }
    imported = {{'tf2_ros': 'tf2_ros_py'}.get(name, name) for name in imported}
    assert {'rclpy', 'launch', 'sensor_msgs'} <= imported
    assert imported <= listed


def colcon():
    """The command that runs colcon, of this Python or from PATH."""
    if importlib.util.find_spec('colcon_ros') is not None:
        return [sys.executable, '-m', 'colcon']
    found = shutil.which('colcon')
    if found is None:
        pytest.skip('colcon is not installed: pip install colcon-common-extensions colcon-ros')
    return [found]


@pytest.mark.parametrize(('version', 'messages'), [('2', 'ament_cmake'), ('', 'needs_ros')])
def test_colcon_finds_both_packages(version, messages, tmp_path):
    answer = subprocess.run(
        [*colcon(), '--log-base', str(tmp_path), 'list'],
        cwd=ROOT,
        env={**os.environ, 'ROS_VERSION': version},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    rows = sorted(line.split('\t') for line in answer.stdout.splitlines())
    assert rows == [
        ['dsn_msgs', 'msg', f'(ros.{messages})'],
        ['dsn_ros', '.', '(ros.ament_python)'],
    ]


def test_colcon_has_tests_to_run(setup_arguments):
    assert any(each.startswith('pytest') for each in setup_arguments['extras_require']['test'])


def test_no_two_test_files_share_a_name():
    # Where ROS is sourced, its launch_testing imports every one by its bare name.
    names = [p.name for p in Path(__file__).parent.rglob('test_*.py')]
    assert sorted(names) == sorted(set(names))
