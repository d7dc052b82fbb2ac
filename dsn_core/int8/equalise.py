"""Exact rewrite: the channels of a tensor made alike, so that one step size suits them all.

In the decoders a few channels reach 200 where most stay below 5, and they are concatenated with
what the encoder hands over, which stays below 20. With one step for the whole tensor (all that the
engines' int8 convolutions know) the small ones drown in rounding. So each channel behind an ELU is
divided by a number, and the weights that read it are multiplied by the same. The numbers are
powers of two: the network computes bit for bit what it did before.
"""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from dsn_core.int8.graph import Graph
from dsn_core.int8.qdq import LEVELS
from dsn_core.int8.statistics import ChannelStatistics

__all__ = ['equalise']

_SHARES = (0.0, 0.25, 0.5, 0.625, 0.75, 0.875, 1.0)
_SHIFTS = sorted(range(-8, 9), key=abs)  # of what is equally good, the first is taken
_SMALLEST = 1e-3  # of the largest: a channel that hardly ever fires is not blown up

_Array = NDArray[np.float64]


def equalise(graph: Graph, statistics: dict[str, ChannelStatistics]) -> None:
    """Rescale the channels behind each ELU that one convolution reads; ``statistics`` follow."""
    behind: dict[str, list[NodeProto]] = {}
    for convolution in graph.convolutions:
        tensors = graph.sources(convolution.input[0])
        ours = [_is_elu(graph, t) and len(graph.readers(t)) == 1 for t in tensors]
        if not any(ours):
            continue
        counts = [len(statistics[t].peak) for t in tensors]
        name = convolution.input[1]
        axis = 0 if convolution.op_type == 'ConvTranspose' else 1
        weights = np.moveaxis(graph.weight(name), axis, 0)  # (in, out, kh, kw)
        scale = _best_scale(
            weights.astype(np.float64),
            np.repeat(ours, counts),
            np.concatenate([statistics[t].peak for t in tensors]),
            np.concatenate([statistics[t].power for t in tensors]),
        )
        graph.set_weight(
            name, np.moveaxis(weights * scale[:, None, None, None].astype(np.float32), 0, axis)
        )
        for tensor, part in zip(tensors, np.split(scale, np.cumsum(counts)[:-1]), strict=True):
            if (part != 1).any():
                behind |= _divide(graph, tensor, part)
                statistics[tensor] = statistics[tensor].divided(part)
    graph.insert(behind)


def _is_elu(graph: Graph, tensor: str) -> bool:
    node = graph.producer(tensor)
    return node is not None and node.op_type == 'Elu'


def _divide(graph: Graph, tensor: str, scale: _Array) -> dict[str, list[NodeProto]]:
    """Let ``tensor`` be what it was, divided by ``scale``; returns the node to insert."""
    node = graph.producer(tensor)
    assert node is not None
    factor, raw = f'{tensor}.factor', f'{tensor}.raw'
    graph.set_weight(factor, (1 / scale).astype(np.float32).reshape(1, -1, 1, 1))
    node.output[0] = raw
    return {raw: [helper.make_node('Mul', [raw, factor], [tensor], f'{node.name}.equalised')]}


def _best_scale(weights: _Array, ours: NDArray[np.bool_], peak: _Array, power: _Array) -> _Array:
    """What to divide each input channel by: (C,), powers of two, 1 where it is not ``ours``.

    A channel's share of the trouble is moved from the activations to the weights: none of it
    (0) to all of it (1), and all of ours made larger or smaller against the others. The least
    noise wins. ``weights``: (C, out, kh, kw); ``peak``, ``power``: (C,).
    """
    noise = _Noise.of(weights, peak, power)
    tallest = noise.tallest.max(axis=1)
    a = np.log2(np.maximum(peak, _SMALLEST * peak[ours].max()))
    w = np.log2(np.maximum(tallest, _SMALLEST * tallest.max()))
    best, least = np.ones_like(peak), noise.at(np.ones_like(peak))
    for share, shift in itertools.product(_SHARES, _SHIFTS):
        exponent = share * a - (1 - share) * w if share else np.zeros_like(a)
        exponent = np.rint(exponent - exponent[ours].mean()) + shift
        scale = np.where(ours, 2.0**exponent, 1.0)
        found = noise.at(scale)
        if found < least:
            best, least = scale, found
    return best


class _Noise(NamedTuple):
    """What rounding to int8 adds to a convolution's output, summed over its channels.

    Rounding to steps of d adds noise of power d² / 12. Inputs have one step for all channels,
    weights one for each output channel.
    """

    energy: _Array
    """(C,): sum of the squared weights that read each input channel."""
    tallest: _Array
    """(C, out): the largest weight of each pair."""
    taps: int
    peak: _Array
    power: _Array

    @classmethod
    def of(cls, weights: _Array, peak: _Array, power: _Array) -> '_Noise':
        taps = weights.shape[2] * weights.shape[3]
        energy = (weights**2).sum(axis=(1, 2, 3))
        return cls(energy, np.abs(weights).max(axis=(2, 3)), taps, peak, power)

    def at(self, scale: _Array) -> float:
        """Power of the noise once the channels are divided by ``scale`` (C,)."""
        step = (self.peak / scale).max() / LEVELS
        steps = (self.tallest * scale[:, None]).max(axis=0) / LEVELS
        of_inputs = step**2 * (self.energy * scale**2).sum()
        of_weights = self.taps * (self.power / scale**2).sum() * (steps**2).sum()
        return float(of_inputs + of_weights) / 12
