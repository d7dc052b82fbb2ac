"""Fixtures that many tests share, and what lets several processes of pytest-xdist run them."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / 'shared'

# Read when PyTorch is imported, by this process and by those that tests start.
_workers = int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', '1'))
if _workers > 1:
    os.environ.setdefault('OMP_NUM_THREADS', str(max(1, (os.cpu_count() or 1) // _workers)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: a core that begins one last leaves the others idle."""
    slow = {item.path for item in items if item.get_closest_marker('slow')}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope='session', autouse=True)
def _what_is_our_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Caches, ROS's logs and a ROS domain that no other process of pytest uses."""
    from support.own_domains import own_domains

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('DSN_CACHE_DIR', str(tmp_path_factory.mktemp('cache')))
        patch.setenv('ROS_LOG_DIR', str(tmp_path_factory.mktemp('ros')))
        patch.setenv('ROS_DOMAIN_ID', str(own_domains()[0]))
        yield


@pytest.fixture(scope='session')
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes the folder of a name once for all processes of this run of pytest.

    ``made_once(name, make)`` calls ``make(folder)``, unless that is done; the folder is not to be
    changed by a test.
    """
    from dsn_ros.engines.cache import locked

    base = tmp_path_factory.getbasetemp()
    if 'PYTEST_XDIST_WORKER' in os.environ:
        base = base.parent

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = base / f'once-{name}', base / f'once-{name}.done'
        with locked(folder):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a process that failed at it
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(autouse=True)
def _our_loggers_propagate() -> None:
    """Let caplog see our loggers: those made after an import of ROS's launch do not pass on."""
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith(('dsn_ros', 'dsn_core')) and isinstance(logger, logging.Logger):
            logger.propagate = True


@pytest.fixture(scope='module')
def one_thread() -> Iterator[None]:
    """Let PyTorch take one thread."""
    torch = pytest.importorskip('torch', reason='torch is not installed')
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope='module')
def workers_find_support() -> Iterator[None]:
    """Let Ray's workers import what tasks in test/support are made of, as pytest lets us."""
    # The packages first: folders of tests bear their names.
    folders = [str(REPOSITORY), str(REPOSITORY / 'test'), os.environ.get('PYTHONPATH', '')]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('PYTHONPATH', os.pathsep.join(filter(None, folders)))
        yield


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """The folder of real driving frames, which is not part of the project."""
    data = SHARED / 'data'
    if not data.is_dir():
        pytest.skip(f'real driving frames are not here: {data} is missing')
    return data


@pytest.fixture(scope='session')
def tiny_checkpoint(made_once: Callable[..., Path]) -> Path:
    """A checkpoint of random weights for 64 x 96 pictures whose labels are confident."""
    torch = pytest.importorskip('torch', reason='torch is not installed')
    from dsn_core.checkpoint import CheckpointInfo, save_checkpoint

    def make(folder: Path) -> None:
        info = CheckpointInfo(
            name='tiny',
            height=64,
            width=96,
            training_data='nothing: random weights for tests',
            scale='metric',
            focal_length=80.0,
        )
        torch.manual_seed(7)
        network = info.build().eval()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.normal_(module.running_mean, std=0.2)
                torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
        with torch.no_grad():
            network.seg_decoder.heads[0].weight *= 400
            network.depth_decoder.heads[0].weight *= 100
        save_checkpoint(folder / 'tiny.safetensors', network, info)

    return made_once('checkpoint', make) / 'tiny.safetensors'


@pytest.fixture(scope='session')
def tiny_model(tiny_checkpoint: Path, made_once: Callable[..., Path]) -> Path:
    """The deploy graph of ``tiny_checkpoint``."""
    from dsn_core.export import export

    folder = made_once('model', lambda folder: export(tiny_checkpoint, folder / 'tiny.onnx'))
    return folder / 'tiny.onnx'


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Starts perception nodes of the test's own; each comes with a robot beside it."""
    from support.perception_process import FAST, PerceptionProcess, Robot

    made: list[Any] = []

    def start(*arguments: str, **parameters: Any) -> Any:
        process = PerceptionProcess(tmp_path, *arguments, **{**FAST, **parameters})
        made.append(process)
        made.append(Robot(process.domain))
        return made[-2:]

    yield start
    for each in reversed(made):
        each.close()
