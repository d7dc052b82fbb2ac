"""All tensors of an ONNX graph, wherever they hide."""

from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ['all_tensors']


def all_tensors(message: Any) -> Iterator[Any]:
    """All TensorProto in an ONNX message, however deep: subgraphs, attributes, functions."""
    if message.DESCRIPTOR.name == 'TensorProto':
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for item in value if isinstance(value, Sequence) else [value]:
                yield from all_tensors(item)
