"""Q/DQ pairs into a graph: which values become int8, and by what step.

The pairs follow what TensorRT asks of them, which OpenVINO and ONNX Runtime take as well: int8
with zero point 0 throughout, one step for each tensor of activations, one for each output channel
of weights; weights stored as int8; biases in float. A pair stands where values are made, before
they are padded, enlarged or concatenated, so that those move bytes; what is concatenated has one
step.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from onnx import NodeProto, helper

from dsn_core.int8.graph import Graph
from dsn_core.int8.statistics import ChannelStatistics

__all__ = ['LEVELS', 'Read', 'find_reads', 'insert_pairs', 'sources_of']

LEVELS = 127
_ZERO = 'int8.zero'


class Read(NamedTuple):
    """Where int8 is computed with: input number ``index`` of the node that makes ``output``."""

    output: str
    index: int


def find_reads(graph: Graph, kept: Collection[str] = ()) -> list[Read]:
    """What shall be int8: inputs of convolutions, and the shortcuts that are added to them.

    ``kept``: outputs of the convolutions that shall compute in float. A sum of a convolution and a
    shortcut takes the shortcut as int8 and the other addend as the accumulators hold it: engines
    add the two within the convolution.
    """
    quantised = [c.output[0] for c in graph.convolutions if c.output[0] not in kept]
    reads = [Read(output, 0) for output in quantised]
    for node in graph:
        if node.op_type == 'Add' and not any(map(graph.is_weight, node.input)):
            addends = [tensor in quantised for tensor in node.input]
            if any(addends):
                reads.append(Read(node.output[0], 1 if addends[0] else 0))
    return reads


def sources_of(graph: Graph, read: Read) -> list[str]:
    """The tensors whose values come to ``read``, in the order of its channels."""
    node = graph.producer(read.output)
    assert node is not None
    return graph.sources(node.input[read.index])


def insert_pairs(
    graph: Graph, reads: Collection[Read], statistics: Mapping[str, ChannelStatistics]
) -> None:
    """Let ``reads`` be int8, by steps that span the peaks in ``statistics``."""
    behind: dict[str, list[NodeProto]] = {'': []}
    graph.set_weight(_ZERO, np.zeros((), np.int8))
    steps = _steps(graph, reads, statistics)
    for tensor, step in steps.items():
        scale, code, back = f'{tensor}.scale', f'{tensor}.int8', f'{tensor}.back'
        graph.set_weight(scale, np.float32(step))
        behind[tensor] = [
            helper.make_node('QuantizeLinear', [tensor, scale, _ZERO], [code], code),
            helper.make_node('DequantizeLinear', [code, scale, _ZERO], [back], back),
        ]
    for node, index in list(_first_reads(graph, set(reads), steps)):
        node.input[index] = f'{node.input[index]}.back'
    outputs = {read.output for read in reads}
    for convolution in graph.convolutions:
        if convolution.output[0] in outputs:
            behind[''].append(_pack(graph, convolution))
    graph.insert(behind)


def _steps(
    graph: Graph, reads: Collection[Read], statistics: Mapping[str, ChannelStatistics]
) -> dict[str, float]:
    """The step of each tensor that is made int8; tensors that meet in a read have the same."""
    groups: dict[str, set[str]] = {}
    for read in reads:
        group = set(sources_of(graph, read))
        for tensor in tuple(group):
            group |= groups.get(tensor, set())
        groups |= dict.fromkeys(group, group)
    peaks = {t: max(float(statistics[each].peak.max()) for each in g) for t, g in groups.items()}
    return {tensor: peak / LEVELS if peak > 0 else 1.0 for tensor, peak in sorted(peaks.items())}


def _first_reads(
    graph: Graph, reads: Collection[Read], tensors: Collection[str]
) -> Iterator[tuple[NodeProto, int]]:
    """Where ``tensors`` are read on their way to one of ``reads``."""
    for node in graph:
        for index, tensor in enumerate(node.input):
            if tensor in tensors and _leads_to(graph, node, index, reads):
                yield node, index


def _leads_to(graph: Graph, node: NodeProto, index: int, reads: Collection[Read]) -> bool:
    """Whether input number ``index`` of ``node`` is one of ``reads`` or is moved to one."""
    output = node.output[0]
    if Read(output, index) in reads:
        return True
    return graph.moves(node) and any(
        _leads_to(graph, reader, list(reader.input).index(output), reads)
        for reader in graph.direct_readers(output)
    )


def _pack(graph: Graph, convolution: NodeProto) -> NodeProto:
    """Store the weights as int8 with a step for each output channel; returns what unpacks them."""
    name = convolution.input[1]
    axis = 1 if convolution.op_type == 'ConvTranspose' else 0
    weights = np.moveaxis(graph.weight(name), axis, 0)  # (out, in, kh, kw)
    tallest = np.abs(weights).max(axis=(1, 2, 3))
    steps = np.where(tallest > 0, tallest / np.float32(LEVELS), np.float32(1)).astype(np.float32)
    codes = np.rint(weights / steps[:, None, None, None]).clip(-LEVELS, LEVELS).astype(np.int8)
    scale, zero, back = f'{name}.scale', f'{name}.zero', f'{name}.back'
    graph.set_weight(name, np.moveaxis(codes, 0, axis))
    graph.set_weight(scale, steps)
    graph.set_weight(zero, np.zeros(len(steps), np.int8))
    convolution.input[1] = back
    return helper.make_node('DequantizeLinear', [name, scale, zero], [back], back, axis=axis)
