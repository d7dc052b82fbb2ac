"""A deploy graph of any size → the same graph for one size."""

from typing import Any

from dsn_core.metadata import METADATA_KEY, ModelMetadata, Size

__all__ = ['fix_size']


def fix_size(model: Any, size: Size) -> ModelMetadata:
    """Let the ONNX ``model`` take pictures of ``size`` alone, one of its metadata's ``sizes``.

    Returns what its metadata say then. The model is changed in place. Raises KeyError for another
    size.
    """
    (prop,) = (p for p in model.metadata_props if p.key == METADATA_KEY)
    metadata = ModelMetadata.from_json(prop.value).at(size)
    for value in (*model.graph.input, *model.graph.output):
        for dim, side in zip(value.type.tensor_type.shape.dim[1:3], size, strict=True):
            dim.dim_value = side
    prop.value = metadata.to_json()
    return metadata
