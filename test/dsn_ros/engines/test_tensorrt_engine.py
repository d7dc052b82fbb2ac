"""TensorRT: our use of it, against a fake that computes with ONNX Runtime.

The fake offers nothing that ``REQUIRED_API`` does not name, so what runs on it uses only what
test_tensorrt_bindings.py holds against the real bindings.
"""

import ctypes
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsn_ros.engines import EngineError, load_engine, tensorrt_engine
from dsn_ros.engines.cache import _writable
from dsn_ros.engines.tensorrt_engine import (
    MAX_BATCH,
    REQUIRED_API,
    read_plan,
    with_float_before_uint8,
    write_plan,
)

PLAN = b'FAKE PLAN'


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def __init__(self) -> None:
        pass

    def log(self, severity: int, msg: str) -> None:
        raise NotImplementedError


class TensorIOMode:
    INPUT, OUTPUT = 'in', 'out'


class DataType:
    FLOAT, UINT8 = 'float', 'uint8'


class BuilderFlag:
    TF32 = 'tf32'


class MemoryPoolType:
    WORKSPACE = 'workspace'


class NetworkDefinitionCreationFlag:
    STRONGLY_TYPED = 1


class Network:
    data = b''


class ParserError:
    def desc(self) -> str:
        return 'node 3 is unknown'


class OnnxParser:
    readable = True
    num_errors = 1

    def __init__(self, network: Network, logger: ILogger) -> None:
        assert isinstance(logger, ILogger)
        self._network = network

    def parse(self, model: bytes) -> bool:
        self._network.data = model
        return self.readable

    def get_error(self, index: int) -> ParserError:
        return ParserError()


class IOptimizationProfile:
    def set_shape(self, input: str, min: tuple, opt: tuple, max: tuple) -> None:
        assert (input, min, opt) == ('image', (1, 64, 96, 3), (1, 64, 96, 3))
        assert max == (MAX_BATCH, 64, 96, 3)


class IBuilderConfig:
    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        return 0

    def clear_flag(self, flag: str) -> None:
        assert flag == BuilderFlag.TF32

    def set_memory_pool_limit(self, pool: str, pool_size: int) -> None:
        assert pool == MemoryPoolType.WORKSPACE


class Builder:
    builds = 0

    def __init__(self, logger: ILogger) -> None:
        pass

    def create_network(self, flags: int) -> Network:
        assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED
        return Network()

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig()

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(self, network: Network, config: IBuilderConfig) -> memoryview:
        Builder.builds += 1
        return memoryview(PLAN + network.data)


class IExecutionContext:
    def __init__(self, session: Any) -> None:
        self._session = session
        self._addresses: dict[str, int] = {}
        self._shape = (0, 0, 0, 0)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def set_input_shape(self, name: str, shape: tuple) -> bool:
        self._shape = shape
        return shape[0] <= MAX_BATCH

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert stream_handle
        pixels = ctypes.string_at(self._addresses['image'], int(np.prod(self._shape)))
        images = np.frombuffer(pixels, dtype=np.uint8).reshape(self._shape)
        names = ['depth', 'labels', 'confidence']
        for name, array in zip(names, self._session.run(names, {'image': images}), strict=True):
            ctypes.memmove(self._addresses[name], array.ctypes.data, array.nbytes)
        return True


class ICudaEngine:
    num_io_tensors = 4
    _tensors = (
        ('image', TensorIOMode.INPUT, DataType.UINT8),
        ('depth', TensorIOMode.OUTPUT, DataType.FLOAT),
        ('labels', TensorIOMode.OUTPUT, DataType.UINT8),
        ('confidence', TensorIOMode.OUTPUT, DataType.UINT8),
    )

    def __init__(self, session: Any) -> None:
        self._session = session

    def get_tensor_name(self, index: int) -> str:
        return self._tensors[index][0]

    def get_tensor_mode(self, name: str) -> str:
        return next(t[1] for t in self._tensors if t[0] == name)

    def get_tensor_dtype(self, name: str) -> str:
        return next(t[2] for t in self._tensors if t[0] == name)

    def create_execution_context(self) -> IExecutionContext:
        return IExecutionContext(self._session)


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        pass

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        import onnxruntime

        if not serialized_engine.startswith(PLAN):
            return None
        model = serialized_engine[len(PLAN) :]
        return ICudaEngine(onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider']))


@pytest.fixture
def trt(fake_driver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> types.ModuleType:
    """The fake TensorRT, on the fake GPU, with an empty cache."""
    pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
    module = types.ModuleType('tensorrt')
    module.__version__ = '10.13.0'  # type: ignore[attr-defined]
    for name in {name.partition('.')[0] for name in REQUIRED_API} & set(globals()):
        setattr(module, name, globals()[name])
    monkeypatch.setitem(sys.modules, 'tensorrt', module)
    monkeypatch.setenv('DSN_CACHE_DIR', str(tmp_path / 'cache'))
    monkeypatch.setattr(Builder, 'builds', 0)
    return module


def plans(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / 'cache' / 'tensorrt').glob('*.plan'))


def test_the_fake_offers_only_what_was_checked(trt: types.ModuleType):
    for name, value in vars(trt).items():
        if isinstance(value, type):
            offered = {f'{name}.{member}' for member in vars(value) if not member.startswith('_')}
            assert offered - {'Builder.builds', 'OnnxParser.readable'} <= set(REQUIRED_API)


def test_answers(trt, fake_driver, tiny_model: Path, images):
    with (
        load_engine(tiny_model, 'tensorrt') as engine,
        load_engine(tiny_model, 'onnxruntime:cpu') as other,
    ):
        assert (engine.name, engine.device, engine.precision) == ('tensorrt', 'cuda:0', 'fp32')
        many = np.concatenate([images, images])  # more than MAX_BATCH: goes through in parts
        answer, expected = engine.infer(many), other.infer(many)
        for ours, theirs in zip(answer, expected, strict=True):
            assert ours.dtype == theirs.dtype
            assert np.allclose(ours, theirs, rtol=1e-3)
        kept = [a.copy() for a in answer]
        engine.infer(images[1:])
        assert all(np.array_equal(a, b) for a, b in zip(answer, kept, strict=True))
    assert ctypes.c_int.in_dll(fake_driver, 'live').value == 0


def test_auto_prefers_it(trt, tiny_model: Path):
    with load_engine(tiny_model) as engine:
        assert engine.name == 'tensorrt'


def test_built_once_for_the_same_machine(trt, tiny_model: Path, tmp_path: Path):
    for _ in range(2):
        load_engine(tiny_model, 'tensorrt').close()
    assert Builder.builds == 1
    assert len(plans(tmp_path)) == 1


@pytest.mark.parametrize(
    'damage',
    [
        lambda data: b'',
        lambda data: data[:-3],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data.replace(b'"driver": 12040', b'"driver": 11080'),
        lambda data: b'another file altogether',
    ],
    ids=['empty', 'truncated', 'one bit', 'another driver', 'foreign'],
)
def test_damaged_cache_is_told(damage, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path, facts = tmp_path / 'a.plan', {'driver': 12040, 'gpu': 'Fake GPU'}
    assert read_plan(path, facts) is None
    write_plan(path, facts, b'\n plan \n\n')
    assert read_plan(path, facts) == b'\n plan \n\n'
    path.write_bytes(damage(path.read_bytes()))
    assert read_plan(path, facts) is None
    assert 'building anew' in caplog.text


def test_damaged_cache_is_rebuilt(trt, tiny_model: Path, tmp_path: Path):
    load_engine(tiny_model, 'tensorrt').close()
    (path,) = plans(tmp_path)
    good = path.read_bytes()
    path.write_bytes(good[:-100])
    load_engine(tiny_model, 'tensorrt').close()
    assert Builder.builds == 2
    assert path.read_bytes() == good


def test_another_tensorrt_builds_its_own(trt, tiny_model: Path, tmp_path: Path):
    load_engine(tiny_model, 'tensorrt').close()
    trt.__version__ = '11.4.0'
    load_engine(tiny_model, 'tensorrt').close()
    assert Builder.builds == 2
    assert len(plans(tmp_path)) == 2


def test_plan_that_tensorrt_refuses_is_rebuilt(trt, tiny_model: Path, tmp_path: Path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(tensorrt_engine, 'write_plan', _write_refused)
        load_engine(tiny_model, 'tensorrt').close()
    load_engine(tiny_model, 'tensorrt').close()
    assert Builder.builds == 2


def _write_refused(path: Path, facts: dict, plan: bytes) -> None:
    tensorrt_engine.write_atomically(path, tensorrt_engine._header(facts, b'x') + b'\nx')


def test_wrong_answers_are_not_kept(trt, falsified: Path, tmp_path: Path):
    with pytest.raises(EngineError, match='gives other answers'):
        load_engine(falsified, 'tensorrt')
    assert plans(tmp_path) == []


def test_unwritable_cache(trt, tiny_model: Path, tmp_path: Path, monkeypatch, caplog):
    (tmp_path / 'file').touch()
    monkeypatch.setenv('DSN_CACHE_DIR', str(tmp_path / 'file'))
    _writable.cache_clear()
    load_engine(tiny_model, 'tensorrt').close()
    assert 'set DSN_CACHE_DIR' in caplog.text


def test_full_disk(trt, tiny_model: Path, monkeypatch, caplog):
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(tensorrt_engine, 'write_atomically', full)
    load_engine(tiny_model, 'tensorrt').close()
    assert 'could not be cached' in caplog.text


def test_graph_that_tensorrt_cannot_read(trt, fake_driver, tiny_model: Path, monkeypatch):
    monkeypatch.setattr(OnnxParser, 'readable', False)
    with pytest.raises(EngineError, match='TensorRT cannot read it: node 3 is unknown'):
        load_engine(tiny_model, 'tensorrt')
    assert ctypes.c_int.in_dll(fake_driver, 'live').value == 0


def test_old_tensorrt_is_refused(trt, tiny_model: Path):
    trt.__version__ = '8.6.1'
    with pytest.raises(EngineError, match=r'8\.6\.1 is too old'):
        load_engine(tiny_model, 'tensorrt')


def test_uint8_outputs_come_from_float(tiny_model: Path):
    import onnx
    from onnx import TensorProto

    model = onnx.load_from_string(with_float_before_uint8(tiny_model.read_bytes()))
    onnx.checker.check_model(model)
    makers = {output: node for node in model.graph.node for output in node.output}
    for name in ('labels', 'confidence'):
        before = makers[makers[name].input[0]]
        assert (before.op_type, before.attribute[0].i) == ('Cast', TensorProto.FLOAT)
