"""TensorRT 10 and 11 on an NVIDIA GPU (desktop or Jetson).

The network is strongly typed: it computes in the precision of the graph (``dsn export
--precision fp16`` for speed). Building takes minutes, so the result is cached, for this model,
GPU, driver and TensorRT alone. Nothing of TensorRT is touched before a GPU was found: it crashes
without one. TensorRT 11 dropped much of what 10 had; ``REQUIRED_API`` is what both offer.
"""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dsn_ros.engines.base import Engine, EngineError, Precision, Prediction, import_library
from dsn_ros.engines.cache import cache_folder, locked, write_atomically
from dsn_ros.engines.cuda import Buffer, Cuda, find_gpu
from dsn_ros.engines.model_file import ModelFile

__all__ = ['REQUIRED_API', 'TensorRtEngine']

MAX_BATCH = 4  # larger batches go through in parts
_WORKSPACE = 1 << 30  # bytes of scratch memory a layer may use; a Jetson shares it with the host
_CACHE_FORMAT = 1

# Everything used below: name → words of its signature (pybind writes them into the docstring).
REQUIRED_API: dict[str, tuple[str, ...]] = {
    '__version__': (),
    'Builder.__init__': ('logger:',),
    'Builder.create_network': ('flags:',),
    'Builder.create_builder_config': (),
    'Builder.create_optimization_profile': (),
    'Builder.build_serialized_network': ('network:', 'config:'),
    'BuilderFlag.TF32': (),
    'DataType.FLOAT': (),
    'DataType.UINT8': (),
    'IBuilderConfig.add_optimization_profile': ('profile:',),
    'IBuilderConfig.clear_flag': ('flag:',),
    'IBuilderConfig.set_memory_pool_limit': ('pool:', 'pool_size:'),
    'ICudaEngine.create_execution_context': (),
    'ICudaEngine.get_tensor_dtype': ('name:',),
    'ICudaEngine.get_tensor_mode': ('name:',),
    'ICudaEngine.get_tensor_name': ('index:',),
    'ICudaEngine.num_io_tensors': (),
    'IExecutionContext.execute_async_v3': ('stream_handle:',),
    'IExecutionContext.set_input_shape': ('name:', 'shape:'),
    'IExecutionContext.set_tensor_address': ('name:', 'memory:'),
    'IHostMemory': ('buffer',),
    'ILogger.ERROR': (),
    'ILogger.INFO': (),
    'ILogger.INTERNAL_ERROR': (),
    'ILogger.VERBOSE': (),
    'ILogger.WARNING': (),
    'ILogger.__init__': (),
    'ILogger.log': ('severity:', 'msg:'),
    'IOptimizationProfile.set_shape': ('input:', 'min:', 'opt:', 'max:'),
    'MemoryPoolType.WORKSPACE': (),
    'NetworkDefinitionCreationFlag.STRONGLY_TYPED': (),
    'OnnxParser.__init__': ('network:', 'logger:'),
    'OnnxParser.get_error': ('index:',),
    'OnnxParser.num_errors': (),
    'OnnxParser.parse': ('model:',),
    'ParserError.desc': (),
    'Runtime.__init__': ('logger:',),
    'Runtime.deserialize_cuda_engine': ('serialized_engine:',),
    'TensorIOMode.INPUT': (),
    'TensorIOMode.OUTPUT': (),
}

_logger = logging.getLogger(__name__)


class TensorRtEngine(Engine):
    """The deploy graph built by TensorRT for this GPU; its own stream, pinned host memory."""

    name: ClassVar[str] = 'tensorrt'
    fits_quickly: ClassVar[bool] = False  # minutes, where a frame may wait for milliseconds

    def __init__(
        self, model: ModelFile, device: str, precision: Precision, threads: int | None = None
    ) -> None:
        super().__init__(model, device, precision, threads)
        self._cuda = Cuda()
        try:
            self._trt = _tensorrt()
            self._trt_logger = _logger_for(self._trt)
            self._runtime = self._trt.Runtime(self._trt_logger)
            self._plan_path, engine = self._load_or_build(model)
            self._check_tensors(engine)
            self._engine = engine  # the context needs it alive
            self._context = engine.create_execution_context()
            if self._context is None:
                raise EngineError(f'{model.path}: TensorRT has no memory for a context on the GPU')
            pixels = MAX_BATCH * self.height * self.width
            self._image = self._bind('image', 3 * pixels)
            self._depth = self._bind('depth', 4 * pixels)
            self._labels = self._bind('labels', pixels)
            self._confidence = self._bind('confidence', pixels)
        except BaseException:
            self._release()
            raise

    @classmethod
    def check(cls, device: str) -> str:
        gpu = find_gpu()  # before TensorRT, which crashes without one
        version = _tensorrt().__version__
        if int(version.split('.')[0]) < 10:
            raise EngineError(f'TensorRT {version} is too old: install 10 or newer')
        return f'TensorRT {version} on {gpu.name}'

    @classmethod
    def precisions(cls, model: ModelFile, device: str) -> tuple[Precision, ...]:
        return (model.metadata.precision,)

    def _load_or_build(self, model: ModelFile) -> tuple[Path | None, Any]:
        gpu = self._cuda.gpu
        facts = {
            'format': _CACHE_FORMAT,
            'model': model.sha256,
            'gpu': gpu.name,
            'compute_capability': gpu.compute_capability,
            'driver': gpu.driver,
            'tensorrt': self._trt.__version__,
            'precision': self.precision,
            'shape': [MAX_BATCH, self.height, self.width, 3],
        }
        folder = cache_folder('tensorrt')
        if folder is None:
            return None, self._deserialise(model, self._build(model))
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]
        path = folder / f'{key}.plan'
        with locked(path):  # a second node waits here for the first one's engine
            plan = read_plan(path, facts)
            engine = None if plan is None else self._runtime.deserialize_cuda_engine(plan)
            if engine is not None:
                return path, engine
            plan = self._build(model)
            engine = self._deserialise(model, plan)
            try:
                write_plan(path, facts, plan)
            except OSError as error:
                _logger.warning('the TensorRT engine could not be cached in %s: %s', path, error)
            return path, engine

    def _deserialise(self, model: ModelFile, plan: bytes) -> Any:
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise EngineError(f'{model.path}: TensorRT cannot load the engine that it just built')
        return engine

    def _build(self, model: ModelFile) -> bytes:
        trt = self._trt
        _logger.info(
            'building the TensorRT engine of %s for %s; this takes minutes, once',
            model.path,
            self._cuda.gpu.name,
        )
        builder = trt.Builder(self._trt_logger)
        flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network = builder.create_network(flags)
        parser = trt.OnnxParser(network, self._trt_logger)
        if not parser.parse(with_float_before_uint8(model.data)):
            reasons = [parser.get_error(i).desc() for i in range(parser.num_errors)]
            raise EngineError(f'{model.path}: TensorRT cannot read it: {"; ".join(reasons)}')
        config = builder.create_builder_config()
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE)
        # TF32 rounds to 11 bits: fp32 means fp32 on every engine, and fp16 graphs are faster.
        config.clear_flag(trt.BuilderFlag.TF32)
        profile = builder.create_optimization_profile()
        one, most = ((n, self.height, self.width, 3) for n in (1, MAX_BATCH))
        profile.set_shape('image', one, one, most)
        config.add_optimization_profile(profile)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise EngineError(f'{model.path}: TensorRT cannot build it; see its messages above')
        return bytes(plan)

    def _check_tensors(self, engine: Any) -> None:
        trt = self._trt
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        found = {n: (engine.get_tensor_mode(n), engine.get_tensor_dtype(n)) for n in names}
        out = trt.TensorIOMode.OUTPUT
        wanted = {
            'image': (trt.TensorIOMode.INPUT, trt.DataType.UINT8),
            'depth': (out, trt.DataType.FLOAT),
            'labels': (out, trt.DataType.UINT8),
            'confidence': (out, trt.DataType.UINT8),
        }
        if found != wanted:
            raise EngineError(
                f'TensorRT built other inputs or outputs than the graph has: {found}'
            )

    def _bind(self, name: str, size: int) -> Buffer:
        buffer = self._cuda.buffer(size)
        if not self._context.set_tensor_address(name, buffer.device):
            raise EngineError(f'TensorRT refuses the memory for {name}')
        return buffer

    def _infer(self, images: NDArray[np.uint8]) -> Prediction:
        parts = [
            self._infer_part(images[i : i + MAX_BATCH]) for i in range(0, len(images), MAX_BATCH)
        ]
        if len(parts) == 1:
            return parts[0]
        return Prediction(*(np.concatenate(maps) for maps in zip(*parts, strict=True)))

    def _infer_part(self, images: NDArray[np.uint8]) -> Prediction:
        cuda, shape = self._cuda, images.shape[:3]
        cuda.use()
        self._image.host[: images.size] = images.reshape(-1)
        cuda.upload(self._image, images.size)
        if not self._context.set_input_shape('image', images.shape):
            raise RuntimeError(f'TensorRT refuses pictures of the shape {images.shape}')
        if not self._context.execute_async_v3(cuda.stream):
            raise RuntimeError('TensorRT failed to run; see its messages above')
        pixels = int(np.prod(shape))
        cuda.download(self._depth, 4 * pixels)
        cuda.download(self._labels, pixels)
        cuda.download(self._confidence, pixels)
        cuda.wait()
        # Copies: the pinned memory is used anew by the next call.
        depth = self._depth.host[: 4 * pixels].view(np.float32).reshape(shape).copy()
        labels = self._labels.host[:pixels].reshape(shape).copy()
        return Prediction(depth, labels, self._confidence.host[:pixels].reshape(shape).copy())

    def discard(self) -> None:
        self.close()
        if self._plan_path is not None:
            self._plan_path.unlink(missing_ok=True)

    def _release(self) -> None:
        # In this order: a context outlives neither its engine nor the runtime.
        for name in ('_context', '_engine', '_runtime'):
            self.__dict__.pop(name, None)
        self._cuda.close()


def read_plan(path: Path, facts: dict[str, Any]) -> bytes | None:
    """The cached engine in ``path``, or None if there is none, or not this one, or not whole."""
    try:
        header, _, plan = path.read_bytes().partition(b'\n')
    except FileNotFoundError:
        return None
    except OSError as error:
        _logger.warning('the cached TensorRT engine cannot be read: %s', error)
        return None
    if header != _header(facts, plan):
        _logger.warning('%s is damaged or another engine: building anew', path)
        return None
    return plan


def write_plan(path: Path, facts: dict[str, Any], plan: bytes) -> None:
    """Cache the engine ``plan`` with what it was built for; raises OSError."""
    write_atomically(path, _header(facts, plan) + b'\n' + plan)


def _header(facts: dict[str, Any], plan: bytes) -> bytes:
    digest = hashlib.sha256(plan).hexdigest()
    return json.dumps({**facts, 'sha256': digest}, sort_keys=True).encode()


def with_float_before_uint8(data: bytes) -> bytes:
    """The same ONNX graph with a cast to float before each cast to uint8.

    TensorRT's DataType makes uint8 from float32 and float16 only; labels come as int64.
    """
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load_from_string(data)
    nodes = []
    for node in model.graph.node:
        if node.op_type == 'Cast' and node.attribute[0].i == TensorProto.UINT8:
            wide = f'{node.output[0]}.float'
            nodes.append(helper.make_node('Cast', [node.input[0]], [wide], to=TensorProto.FLOAT))
            node.input[0] = wide
        nodes.append(node)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    return bytes(model.SerializeToString())


def _tensorrt() -> Any:
    return import_library('tensorrt', "pip install 'dsn_ros[tensorrt]', or JetPack's TensorRT")


def _logger_for(trt: Any) -> Any:
    """TensorRT's messages in our log, its chatter as debug."""
    levels = {
        trt.ILogger.INTERNAL_ERROR: logging.ERROR,
        trt.ILogger.ERROR: logging.ERROR,
        trt.ILogger.WARNING: logging.WARNING,
        trt.ILogger.INFO: logging.DEBUG,
        trt.ILogger.VERBOSE: logging.NOTSET,
    }

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            level = levels.get(severity, logging.NOTSET)
            if level:
                _logger.log(level, 'TensorRT: %s', msg)

    return Logger()
