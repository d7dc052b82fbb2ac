"""Which engine is taken, and what is said when one can't be."""

import logging
from pathlib import Path

import pytest

from dsn_core.golden import GoldenComparison
from dsn_ros.engines import (
    EngineError,
    default_model,
    list_engines,
    load_engine,
    model_file,
    select,
)
from dsn_ros.engines.onnxruntime_engine import OnnxRuntimeEngine
from dsn_ros.engines.openvino_engine import OpenVinoEngine

pytest.importorskip('openvino', reason='openvino is not installed')
pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')


@pytest.fixture(autouse=True)
def cpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The choice among CPU engines, on a machine with a GPU too."""
    monkeypatch.setattr('dsn_ros.engines.cuda._LIBRARY', 'libnothing.so')


def test_auto_takes_openvino_without_a_gpu(tiny_model: Path):
    with load_engine(tiny_model) as engine:
        assert (engine.name, engine.device) == ('openvino', 'CPU')


def test_auto_falls_through_with_a_warning(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def broken(self, *args):
        raise RuntimeError('no such\nkernel')

    monkeypatch.setattr(OpenVinoEngine, '__init__', broken)
    with caplog.at_level(logging.WARNING), load_engine(tiny_model) as engine:
        assert engine.name == 'onnxruntime'
    assert 'openvino (CPU): no such kernel; trying the next engine' in caplog.text


def test_auto_falls_through_a_missing_library(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__('sys').modules, 'openvino', None)
    with load_engine(tiny_model) as engine:
        assert engine.name == 'onnxruntime'
    with pytest.raises(EngineError, match='pip install openvino'):
        load_engine(tiny_model, 'openvino')


def test_bf16_that_fails_the_golden_frame_gives_way_to_fp32(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(OpenVinoEngine, 'precisions', lambda model, device: ('bf16', 'fp32'))
    real = select.self_test

    def strict(engine):
        return GoldenComparison(0.5, 1.0) if engine.precision == 'bf16' else real(engine)

    monkeypatch.setattr(select, 'self_test', strict)
    with caplog.at_level(logging.WARNING), load_engine(tiny_model, 'openvino') as engine:
        assert engine.precision == 'fp32'
    assert 'gives other answers than the exported network' in caplog.text
    assert 'trying fp32' in caplog.text
    with pytest.raises(EngineError, match=r'bf16.*gives other answers'):
        load_engine(tiny_model, 'openvino', 'bf16')


@pytest.mark.parametrize('engine', ['openvino', 'auto'])
@pytest.mark.slow
def test_falsified_golden_frame_is_refused(engine: str, falsified: Path):
    with pytest.raises(EngineError, match='gives other answers than the exported') as caught:
        load_engine(falsified, engine)
    assert '\n' not in str(caught.value)
    assert str(falsified) in str(caught.value)


def test_named_engine_that_fails_is_an_error(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(self, images):
        raise RuntimeError('out of memory')

    monkeypatch.setattr(OnnxRuntimeEngine, '_infer', broken)
    with pytest.raises(EngineError, match=r'onnxruntime \(CPU\): out of memory'):
        load_engine(tiny_model, 'onnxruntime')


def test_named_gpu_engine_without_a_gpu(tiny_model: Path):
    for engine in ('tensorrt', 'torch:cuda', 'onnxruntime:cuda'):
        with pytest.raises(EngineError, match='no NVIDIA GPU'):
            load_engine(tiny_model, engine)


def test_int8_graph_is_refused_by_torch(with_metadata):
    path = with_metadata(precision='int8')
    with pytest.raises(EngineError, match='int8 graph, which torch cannot run'):
        load_engine(path, 'torch')
    with load_engine(path) as engine:
        assert engine.precision == 'int8'
    with pytest.raises(EngineError, match='cannot be computed in fp32, only in int8'):
        load_engine(path, 'openvino', 'fp32')


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ({'engine': 'caffe'}, "'caffe' is not known: take auto, tensorrt"),
        ({'engine': 'openvino:cuda'}, "'openvino:cuda' is not known"),
        ({'precision': 'fp8'}, "'fp8' is not known: take auto, fp32"),
        ({'threads': 0}, 'threads must be at least 1'),
        ({'engine': 'onnxruntime', 'precision': 'bf16'}, 'only in fp32'),
    ],
)
def test_wrong_arguments(arguments: dict, words: str, tiny_model: Path):
    with pytest.raises(EngineError, match=words):
        load_engine(tiny_model, **arguments)


def test_every_engine_has_a_reason():
    statuses = list_engines()
    assert {s.name for s in statuses} == {'tensorrt', 'torch', 'onnxruntime', 'openvino'}
    for status in statuses:
        assert status.why
        assert '\n' not in status.why
        assert status.usable or 'cuda' not in status.device or 'GPU' in status.why
    assert [s for s in statuses if s.usable and s.name == 'openvino']


def test_a_broken_installation_is_a_reason(monkeypatch: pytest.MonkeyPatch):
    def broken(cls, device):
        raise RuntimeError('symbol\nlookup error')

    monkeypatch.setattr(OpenVinoEngine, 'check', classmethod(broken))
    (status,) = (s for s in list_engines() if s.name == 'openvino')
    assert not status.usable
    assert 'symbol lookup error' in status.why


def test_default_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(model_file, '_WEIGHTS', tmp_path)
    with pytest.raises(EngineError, match='default weights are not in this installation'):
        load_engine()
    weights = tmp_path / 'depthsegnet.onnx'
    weights.touch()
    assert default_model() == weights
