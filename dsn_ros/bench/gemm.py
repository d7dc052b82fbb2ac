"""Matrix products on every library that is here: the fastest of them is the machine's limit."""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ['Gemm', 'cpu_gemms', 'gpu_gemms', 'installed']

_HINTS = {'fp32': ('FP32', 'f32'), 'bf16': ('BF16', 'bf16'), 'fp16': ('FP16', 'f16')}
_ONE_STEP = 1 / 64  # of int8: inputs and weights of +-1 keep their values
_GPU_SIDE = 8192


@dataclass(frozen=True)
class Gemm:
    """A way to multiply matrices: each ``run`` computes ``flops`` (two for a multiply-add)."""

    library: str
    precision: str
    flops: float
    run: Callable[[], object]


def installed(module: str) -> bool:
    """Whether a Python module can be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def cpu_gemms(side: int, layers: int, threads: int | None) -> Iterator[Gemm]:
    """All there are on the CPU: ``layers`` products of ``side`` x ``side`` in a row."""
    flops = 2.0 * layers * side**3
    x = np.full((side, side), 1.0, dtype=np.float32)
    yield Gemm('NumPy', 'fp32', flops / layers, lambda: x @ x)
    if installed('openvino'):
        yield from _openvino(x, layers, flops, threads)
    if installed('onnxruntime'):
        yield from _onnxruntime(x, layers, flops, threads)
    if installed('torch'):
        yield from _torch_cpu(side, flops / layers, threads)


def _openvino(
    x: NDArray[np.float32], layers: int, flops: float, threads: int | None
) -> Iterator[Gemm]:
    import openvino

    core = openvino.Core()
    can = core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES')

    def gemm(precision: str, hint: str, graph: bytes) -> Gemm:
        config: dict[str, Any] = {'INFERENCE_PRECISION_HINT': hint, 'PERFORMANCE_HINT': 'LATENCY'}
        if threads is not None:
            config['INFERENCE_NUM_THREADS'] = threads
        request = core.compile_model(core.read_model(graph), 'CPU', config).create_infer_request()
        return Gemm('OpenVINO', precision, flops, lambda: request.infer({'x': x}))

    for precision, (capability, hint) in _HINTS.items():
        if capability in can:
            yield gemm(precision, hint, _graph(len(x), layers))
    if 'INT8' in can:
        yield gemm('int8', 'f32', _graph(len(x), layers, quantised=True))


def _onnxruntime(
    x: NDArray[np.float32], layers: int, flops: float, threads: int | None
) -> Iterator[Gemm]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads

    def gemm(precision: str, graph: bytes) -> Gemm:
        session = onnxruntime.InferenceSession(graph, options, ['CPUExecutionProvider'])
        return Gemm('ONNX Runtime', precision, flops, lambda: session.run(None, {'x': x}))

    yield gemm('fp32', _graph(len(x), layers))
    yield gemm('int8', _graph(len(x), layers, quantised=True))


def _torch_cpu(side: int, flops: float, threads: int | None) -> Iterator[Gemm]:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    for precision, dtype in (('fp32', torch.float32), ('bf16', torch.bfloat16)):
        x = torch.ones((side, side), dtype=dtype)
        yield Gemm('PyTorch', precision, flops, partial(torch.mm, x, x))


def gpu_gemms(side: int = _GPU_SIDE) -> Iterator[Gemm]:
    """Those of PyTorch on the first GPU; none where there is no PyTorch or no GPU for it."""
    if not installed('torch'):
        return
    import torch

    if not torch.cuda.is_available():
        return
    for precision, dtype in (
        ('fp32', torch.float32),
        ('bf16', torch.bfloat16),
        ('fp16', torch.float16),
    ):
        # fp32 is true fp32, as the engines': PyTorch's default for products is not TF32.
        x = torch.ones((side, side), dtype=dtype, device='cuda:0')

        def run(x: Any = x) -> None:
            torch.mm(x, x)
            torch.cuda.synchronize()

        yield Gemm('PyTorch', precision, 2.0 * side**3, run)


def _graph(side: int, layers: int, quantised: bool = False) -> bytes:
    """``layers`` products of ``x`` with constant weights; ``quantised``: in Q/DQ pairs, as int8.

    In a row, so that turning the input into the precision and the output back costs little.
    """
    weights = np.full((side, side), 1 / side, dtype=np.float32)  # what goes in comes out
    nodes, constants, last = [], [], 'x'
    if quantised:
        weights = np.ones((side, side), dtype=np.int8)
        constants += [
            _constant('step', np.float32(_ONE_STEP)),
            _constant('weight_step', np.float32(1 / side)),
            _constant('zero', np.int8(0)),
        ]
    for layer in range(layers):
        name = f'weights{layer}'
        constants.append(_constant(name, weights))
        if quantised:
            nodes += [
                _node('QuantizeLinear', [last, 'step', 'zero'], f'q{layer}'),
                _node('DequantizeLinear', [f'q{layer}', 'step', 'zero'], f'dq{layer}'),
                _node('DequantizeLinear', [name, 'weight_step', 'zero'], f'w{layer}'),
            ]
            last, name = f'dq{layer}', f'w{layer}'
        nodes.append(_node('MatMul', [last, name], f'y{layer}'))
        last = f'y{layer}'
    graph = helper.make_graph(
        nodes,
        'gemm',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, [side, side])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [side, side])],
        constants,
    )
    opset = helper.make_opsetid('', 18)
    data: bytes = helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()
    return data


def _node(kind: str, inputs: list[str], output: str) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [output])


def _constant(name: str, value: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value), name)
