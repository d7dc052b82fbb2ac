"""A deploy graph to walk along and to change."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

__all__ = ['Graph']

_CONVOLUTIONS = ('Conv', 'ConvTranspose')
_MOVERS = ('Concat', 'MaxPool', 'Pad', 'Resize')


class Graph:
    """A model with its producers, readers and weights at hand; changes go into the model.

    Weights that are stored as half and cast when they are loaded are float32 from the beginning.
    """

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self._weights: dict[str, TensorProto] = {t.name: t for t in model.graph.initializer}
        self._widen()

    def __iter__(self) -> Iterator[NodeProto]:
        return iter(self.model.graph.node)

    @property
    def convolutions(self) -> list[NodeProto]:
        """All convolutions, transposed ones too, in the order of the graph."""
        return [node for node in self if self.convolves(node)]

    def convolves(self, node: NodeProto) -> bool:
        """Whether ``node`` is a convolution or a transposed one."""
        return node.op_type in _CONVOLUTIONS

    def producer(self, tensor: str) -> NodeProto | None:
        """The node that makes ``tensor``; None for inputs of the graph and weights."""
        return self._producers.get(tensor)

    def moves(self, node: NodeProto) -> bool:
        """Whether ``node`` brings values elsewhere and changes none."""
        return node.op_type in _MOVERS

    def sources(self, tensor: str) -> list[str]:
        """The tensors whose values ``tensor`` holds, in the order of its channels."""
        node = self.producer(tensor)
        if node is None or not self.moves(node):
            return [tensor]
        moved = node.input if node.op_type == 'Concat' else node.input[:1]
        return [source for each in moved for source in self.sources(each)]

    def readers(self, tensor: str) -> list[NodeProto]:
        """The nodes that compute with the values of ``tensor``, wherever they were moved."""
        found = []
        for node in self.direct_readers(tensor):
            found += self.readers(node.output[0]) if self.moves(node) else [node]
        return found

    def direct_readers(self, tensor: str) -> Sequence[NodeProto]:
        """The nodes that have ``tensor`` as an input."""
        return self._readers.get(tensor, ())

    def is_weight(self, name: str) -> bool:
        """Whether ``name`` is a constant that is stored in the graph."""
        return name in self._weights

    def weight(self, name: str) -> NDArray[Any]:
        """A copy of the constant ``name``."""
        return numpy_helper.to_array(self._weights[name]).copy()

    def set_weight(self, name: str, value: NDArray[Any]) -> None:
        """Store the constant ``name``, new or in its old one's place."""
        tensor = numpy_helper.from_array(np.ascontiguousarray(value), name)
        if name in self._weights:
            self._weights[name].CopyFrom(tensor)
        else:
            self.model.graph.initializer.append(tensor)
            self._weights[name] = self.model.graph.initializer[-1]

    def insert(self, behind: dict[str, list[NodeProto]]) -> None:
        """Put nodes behind the makers of tensors; behind '': before everything."""
        nodes = list(behind.get('', ()))
        for node in self:
            nodes.append(node)
            for output in node.output:
                nodes += behind.get(output, ())
        self._set_nodes(nodes)

    def _widen(self) -> None:
        wide: dict[str, str] = {}
        nodes = []
        for node in self:
            if node.op_type == 'Cast' and node.input[0] in self._weights:
                name = node.input[0]
                self.set_weight(name, self.weight(name).astype(np.float32))
                wide[node.output[0]] = name
                continue
            for index, tensor in enumerate(node.input):
                node.input[index] = wide.get(tensor, tensor)
            nodes.append(node)
        self._set_nodes(nodes)

    def _set_nodes(self, nodes: Iterable[NodeProto]) -> None:
        copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del self.model.graph.node[:]
        self.model.graph.node.extend(copies)
        self._producers = {output: node for node in self for output in node.output}
        self._readers: dict[str, list[NodeProto]] = {}
        for node in self:
            for tensor in dict.fromkeys(node.input):
                self._readers.setdefault(tensor, []).append(node)
