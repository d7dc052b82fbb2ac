"""ONNX Runtime's quantiser, told what engines and the network need.

TensorRT wants int8 with zero point 0 throughout, one step for each tensor of activations and one
for each output channel of weights, and biases in float; OpenVINO and ONNX Runtime take that as
well. What a convolution makes is not rounded before its activation: only what the next one reads
is. Layers that move values (padding, doubling, concatenation) stand between pairs of Q/DQ as well,
so that engines move bytes. The step of a tensor spans its largest magnitude in a frame, averaged
over the frames: one glint in one of them does not make it coarse for all.

Dividing single channels by powers of two before (their weights multiplied by the same) was tried:
it halved what the ResNet-18 network loses, gained nothing on EfficientNet-Lite0, and moved
neither's Abs Rel or mIoU nearer to those of fp32. Keeping the worst parts in float does.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto

from dsn_core.errors import UserError

__all__ = ['Quantiser', 'is_quantised']

_CONVOLUTIONS = ('Conv', 'ConvTranspose')
_MOVERS = ('Concat', 'MaxPool', 'Pad', 'Resize')
_LARGE = 0.5  # of the convolutions: a part that holds more is split

Images = Sequence[NDArray[np.uint8]]


def is_quantised(model: ModelProto) -> bool:
    """Whether ``model`` has values in int8 already."""
    return any(node.op_type == 'DequantizeLinear' for node in model.graph.node)


class Quantiser:
    """Makes int8 graphs of one fp32 deploy graph; the frames are run through once.

    ``parts``: the parts of the network that can be int8, by the beginning of their weights' names,
    in the order of the graph. The last convolutions, the heads, are none of them: what they say
    is the answer, and stays in float.
    """

    parts: tuple[str, ...]

    def __init__(
        self,
        model: ModelProto,
        frames: Images,
        folder: Path,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Look at ``model`` in ``folder``, which must be there as long as graphs are made.

        ``frames``: (H, W, 3) uint8 RGB each, of the model's size. Raises UserError where nothing
        can be int8, or where ONNX Runtime is too old.
        """
        self._model = model
        self._frames = frames
        self._progress = progress
        self._plain, self._ranges = folder / 'fp32.onnx', folder / 'ranges.json'
        self._out = folder / 'int8.onnx'
        self._nodes = self._prepare()
        self._producers = {output: node for node in self._nodes for output in node.output}
        every = [node for node in self._nodes if node.op_type in _CONVOLUTIONS]
        behind = {name for node in every for name in self._upstream(node)}
        self._convolutions = _in_parts([node for node in every if node.name in behind])
        self.parts = tuple(self._convolutions)
        if not self.parts:
            raise UserError('this network has no convolutions that could compute in int8')

    def made(self, kept: Collection[str] = ()) -> ModelProto:
        """The graph in which all ``parts`` but ``kept`` compute in int8."""
        from onnxruntime.quantization import (
            CalibrationMethod,
            QuantFormat,
            QuantType,
            quantize_static,
        )

        named = self._convolutions.items()
        computing = [node for part, nodes in named if part not in kept for node in nodes]
        moving = {name for node in computing for name in self._movers(node.input[0])}
        quantize_static(
            self._plain,
            self._out,
            _Reader(self._frames, self._progress),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*_CONVOLUTIONS, *_MOVERS],
            nodes_to_quantize=[*(node.name for node in computing), *sorted(moving)],
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            calibration_cache_path=self._ranges,
            extra_options={
                'ActivationSymmetric': True,
                'WeightSymmetric': True,
                'ForceQuantizeNoInputCheck': True,  # doubling first of all
                'QuantizeBias': False,
                'QDQDisableWeightAdjustForInt32Bias': True,  # it rounds small weights to nothing
                'CalibMovingAverage': True,
                'OpTypesToExcludeOutputQuantization': list(_CONVOLUTIONS),
            },
        )
        return self._deployed(onnx.load(self._out))

    def _prepare(self) -> list[NodeProto]:
        """Write the graph as the quantiser wants it, each node with a name of its own."""
        import onnxruntime
        from onnxruntime.quantization import quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        if 'calibration_cache_path' not in inspect.signature(quantize_static).parameters:
            raise UserError(
                f'int8 needs a newer onnxruntime than {onnxruntime.__version__}: '
                'pip install --upgrade onnxruntime'
            )
        onnx.save(self._model, self._plain)
        # Half-stored weights become float32 here: their casts are folded away.
        quant_pre_process(self._plain, self._plain, skip_symbolic_shape=True)
        plain = onnx.load(self._plain)
        for index, node in enumerate(plain.graph.node):
            node.name = f'{node.op_type}_{index}'
        onnx.save(plain, self._plain)
        return list(plain.graph.node)

    def _upstream(self, convolution: NodeProto) -> Iterator[str]:
        """Names of the nodes whose values come to ``convolution``."""
        seen: set[str] = set()
        waiting = [self._producers.get(convolution.input[0])]
        while waiting:
            node = waiting.pop()
            if node is not None and node.name not in seen:
                seen.add(node.name)
                yield node.name
                waiting += [self._producers.get(tensor) for tensor in node.input]

    def _movers(self, tensor: str) -> Iterator[str]:
        """Names of the nodes that move values, and change none, on their way to ``tensor``."""
        node = self._producers.get(tensor)
        if node is not None and _moves(node):
            yield node.name
            for each in node.input if node.op_type == 'Concat' else node.input[:1]:
                yield from self._movers(each)

    def _deployed(self, made: ModelProto) -> ModelProto:
        """``made`` with what the deploy graph says of itself, and nothing of the quantiser's."""
        deployed = ModelProto()
        deployed.CopyFrom(self._model)
        deployed.ir_version = made.ir_version
        deployed.graph.CopyFrom(made.graph)
        del deployed.graph.value_info[:]  # types of values that are int8 now
        del deployed.opset_import[:]
        deployed.opset_import.extend(o for o in made.opset_import if o.domain in ('', 'ai.onnx'))
        return deployed


class _Reader:
    """The frames as ONNX Runtime's quantiser asks for them."""

    def __init__(self, frames: Images, progress: Callable[[int, int], None] | None) -> None:
        self._frames = frames
        self._progress = progress
        self._next = 0

    def get_next(self) -> dict[str, Any] | None:
        """The next frame, None behind the last."""
        if self._progress is not None and self._next:
            self._progress(self._next, len(self._frames))
        if self._next == len(self._frames):
            return None
        self._next += 1
        return {'image': self._frames[self._next - 1][None]}


def _moves(node: NodeProto) -> bool:
    """Whether ``node`` brings values elsewhere and changes none."""
    if node.op_type == 'Resize':
        return any(a.name == 'mode' and a.s == b'nearest' for a in node.attribute)
    return node.op_type in _MOVERS


def _in_parts(convolutions: Sequence[NodeProto]) -> dict[str, list[NodeProto]]:
    """By part: encoder.layer1, or encoder.blocks.3 where encoder.blocks is most of the network."""
    names = [_pieces(node) for node in convolutions]
    sizes = Counter(name[:2] for name in names)
    parts: dict[str, list[NodeProto]] = {}
    for name, node in zip(names, convolutions, strict=True):
        large = sizes[name[:2]] > _LARGE * len(names)
        parts.setdefault('.'.join(name[: 3 if large else 2]), []).append(node)
    return parts


def _pieces(convolution: NodeProto) -> tuple[str, ...]:
    """(encoder, layer1, 0, conv1) of network.encoder.layer1.0.conv1.weight."""
    weight = convolution.input[1].removesuffix('.float').removesuffix('.weight')
    return tuple(weight.removeprefix('network.').split('.'))
