"""Fixtures that many tests share."""

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / 'shared'


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
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of random weights for 64 x 96 pictures whose labels are confident."""
    torch = pytest.importorskip('torch', reason='torch is not installed')
    from dsn_core.checkpoint import CheckpointInfo, save_checkpoint

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
    path = tmp_path_factory.mktemp('checkpoint') / 'tiny.safetensors'
    save_checkpoint(path, network, info)
    return path


@pytest.fixture(scope='session')
def tiny_model(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The deploy graph of ``tiny_checkpoint``."""
    from dsn_core.export import export

    path = tmp_path_factory.mktemp('model') / 'tiny.onnx'
    export(tiny_checkpoint, path)
    return path


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
