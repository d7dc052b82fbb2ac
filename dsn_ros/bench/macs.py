"""Multiply-adds of a deploy graph, counted in the graph itself: true of every variant of it."""

from math import prod
from typing import Any

import onnx

__all__ = ['graph_macs']


def graph_macs(data: bytes) -> int:
    """Multiply-adds of all convolutions for one picture, of the ONNX graph ``data``.

    A transposed convolution at its input's size, as ``dsn_core.profile`` counts truly. Everything
    else in these graphs is small beside them. Of the graph as it stands: where a rewrite trades
    multiply-adds for speed, those that are computed.
    """
    model = onnx.load_from_string(data)
    # Left over from before weights were stored as half, and contradicting them.
    del model.graph.value_info[:]
    model = onnx.shape_inference.infer_shapes(model)
    shapes = _shapes(model.graph)
    return sum(_macs(node, shapes) for node in model.graph.node)


def _macs(node: Any, shapes: dict[str, tuple[int, ...]]) -> int:
    if node.op_type not in ('Conv', 'ConvTranspose'):
        return 0
    # Weights: (out, in / groups, k, k), transposed (in, out / groups, k, k).
    each = prod(shapes[node.input[1]][1:])
    at = node.input[0] if node.op_type == 'ConvTranspose' else node.output[0]
    return prod(shapes[at][1:]) * each


def _shapes(graph: Any) -> dict[str, tuple[int, ...]]:
    """Of every tensor whose shape is known; the batch, which is free, counts as 0."""
    shapes = {each.name: tuple(each.dims) for each in graph.initializer}
    for value in (*graph.value_info, *graph.input, *graph.output):
        dims = value.type.tensor_type.shape.dim
        shapes[value.name] = tuple(d.dim_value for d in dims)
    return shapes
