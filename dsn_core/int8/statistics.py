"""What a deploy graph answers, and what passes through it, on the calibration frames."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

__all__ = ['Answer', 'ChannelStatistics', 'answers', 'measure']

_AXES = 'statistics.axes'
_REDUCTIONS = ('ReduceMax', 'ReduceMin', 'ReduceSumSquare')
_ERRORS_ONLY = 3

_Frames = Iterable[NDArray[np.uint8]]


class Answer(NamedTuple):
    """What a graph says of one frame: (H, W) each, float32 in the network's units and uint8."""

    depth: NDArray[np.float32]
    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]


@dataclass(frozen=True)
class ChannelStatistics:
    """Of a tensor (N, C, H, W), by channel: (C,) float64 each.

    ``peak``: the largest magnitude in a frame, averaged over the frames, so that one glint in one
    of them does not make the steps coarse for all. ``power``: the mean square.
    """

    peak: NDArray[np.float64]
    power: NDArray[np.float64]

    def divided(self, scale: NDArray[np.float64]) -> 'ChannelStatistics':
        """Of the tensor divided by ``scale`` (C,)."""
        return ChannelStatistics(self.peak / scale, self.power / scale**2)


def answers(model: ModelProto, frames: _Frames) -> list[Answer]:
    """What ``model`` says of ``frames``, each (H, W, 3) uint8 RGB of its size."""
    return [
        Answer(*(each[0] for each in values)) for values in _run(model, Answer._fields, frames)
    ]


def measure(
    model: ModelProto, tensors: Sequence[str], frames: _Frames
) -> dict[str, ChannelStatistics]:
    """Statistics of ``tensors`` (N, C, H, W) while ``model`` runs over ``frames``."""
    observed, names = _observed(model, tensors)
    peaks: dict[str, list[NDArray[np.float64]]] = {t: [] for t in tensors}
    powers: dict[str, list[NDArray[np.float64]]] = {t: [] for t in tensors}
    for values in _run(observed, names, frames):
        wide = [np.asarray(value, np.float64) for value in values]
        for i, tensor in enumerate(tensors):
            highest, lowest, squares, shape = wide[4 * i : 4 * i + 4]
            peaks[tensor].append(np.maximum(np.abs(highest), np.abs(lowest)))
            powers[tensor].append(squares / (shape[2] * shape[3]))
    return {
        t: ChannelStatistics(np.mean(peaks[t], axis=0), np.mean(powers[t], axis=0))
        for t in tensors
    }


def _run(
    model: ModelProto, outputs: Sequence[str], frames: _Frames
) -> Iterator[list[NDArray[np.generic]]]:
    """The ``outputs`` for each frame."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=['CPUExecutionProvider']
    )
    for frame in frames:
        yield session.run(list(outputs), {'image': frame[None]})


def _observed(model: ModelProto, tensors: Sequence[str]) -> tuple[ModelProto, list[str]]:
    """The model with four more outputs for each tensor, and the names of those."""
    copy, names = ModelProto.FromString(model.SerializeToString()), []
    graph = copy.graph
    graph.initializer.append(numpy_helper.from_array(np.array([0, 2, 3], np.int64), _AXES))
    for tensor in tensors:
        made = [(f'{tensor}/{each}', each, TensorProto.FLOAT) for each in _REDUCTIONS]
        for name, operator, kind in (*made, (f'{tensor}/Shape', 'Shape', TensorProto.INT64)):
            reduces = operator in _REDUCTIONS
            inputs, options = ([tensor, _AXES], {'keepdims': 0}) if reduces else ([tensor], {})
            graph.node.append(helper.make_node(operator, inputs, [name], **options))
            graph.output.append(helper.make_tensor_value_info(name, kind, None))
            names.append(name)
    return copy, names
