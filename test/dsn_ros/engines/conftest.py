"""Fixtures of the engines' tests."""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from dsn_core.golden import GoldenFigures, golden_frame
from dsn_core.metadata import METADATA_KEY, ModelMetadata


@pytest.fixture(scope='session')
def images() -> NDArray[np.uint8]:
    """Three pictures of the tiny model's size: the golden frame, noise, and its own mirror."""
    golden = golden_frame(64, 96)
    noise = np.random.default_rng(5).integers(0, 256, golden.shape, dtype=np.uint8)
    return np.stack([golden, noise, golden[:, ::-1]])


@pytest.fixture
def edited(tiny_model: Path, tmp_path: Path) -> Callable[[Callable[[Any], None]], Path]:
    """Write the tiny model after a change to its ONNX protobuf."""

    def write(change: Callable[[Any], None]) -> Path:
        model = onnx.load(tiny_model)
        change(model)
        path = tmp_path / 'edited.onnx'
        path.write_bytes(model.SerializeToString())
        return path

    return write


@pytest.fixture
def with_metadata(edited: Callable[[Callable[[Any], None]], Path]) -> Callable[..., Path]:
    """Write the tiny model with other metadata: each field by value or as a function of it."""

    def write(**fields: Any) -> Path:
        def change(model: Any) -> None:
            (prop,) = (p for p in model.metadata_props if p.key == METADATA_KEY)
            old = ModelMetadata.from_json(prop.value)
            new = {n: v(getattr(old, n)) if callable(v) else v for n, v in fields.items()}
            prop.value = replace(old, **new).to_json()

        return edited(change)

    return write


@pytest.fixture
def falsified(with_metadata: Callable[..., Path]) -> Path:
    """The tiny model with golden figures that its network does not give: depth twice as far."""
    return with_metadata(golden=lambda g: GoldenFigures(2 * g.depth, g.labels, g.confidence))


@pytest.fixture(scope='session')
def python_environment() -> dict[str, str]:
    """The environment for a Python of its own that finds what this one finds."""
    return {**os.environ, 'PYTHONPATH': os.pathsep.join(p for p in sys.path if p)}


@pytest.fixture(scope='session')
def fake_driver_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fake CUDA driver, compiled."""
    compiler = shutil.which('cc') or shutil.which('gcc')
    if compiler is None:
        pytest.skip('no C compiler to build the fake CUDA driver with')
    path = tmp_path_factory.mktemp('driver') / 'libfakecuda.so'
    source = Path(__file__).with_name('fake_cuda.c')
    subprocess.run([compiler, '-shared', '-fPIC', '-o', path, source], check=True)
    return path


@pytest.fixture
def fake_driver(
    fake_driver_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ctypes.CDLL:
    """A fresh fake driver in the real one's place."""
    path = tmp_path / 'libcuda.so'  # another path is another library, with counters at zero
    shutil.copy(fake_driver_library, path)
    monkeypatch.setattr('dsn_ros.engines.cuda._LIBRARY', str(path))
    return ctypes.CDLL(str(path))
