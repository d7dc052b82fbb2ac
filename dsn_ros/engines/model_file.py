"""Opening a deploy graph: read once, checked against the contract before any engine sees it."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dsn_core.deploy_size import fix_size
from dsn_core.errors import quoted
from dsn_core.metadata import METADATA_KEY, ModelMetadata, Size
from dsn_core.onnx_tensors import all_tensors
from dsn_ros.engines.base import EngineError, import_library

__all__ = ['SHIPPED', 'ModelFile', 'read_model', 'shipped', 'shipped_model']

SHIPPED = {
    'default': 'depthsegnet.onnx',
    'lite': 'depthsegnet.onnx',
    'lite2': 'depthsegnet-lite2.onnx',
}
"""Deploy graphs that come with the package, by name: their variant's."""
_WEIGHTS = Path(__file__).parents[1] / 'weights'

_OPSETS = range(13, 26)
_LARGEST = 2**31  # bytes; what protobuf can hold
_REMEDY = 'export it anew with dsn export'


@dataclass(frozen=True)
class ModelFile:
    """A deploy graph that keeps the contract.

    ``sha256`` is the hex digest of the file, ``data`` its bytes: engines load what was checked,
    not what may lie there a moment later.
    """

    path: Path
    sha256: str
    metadata: ModelMetadata
    data: bytes = field(repr=False)

    def at(self, size: Size) -> 'ModelFile':
        """The graph for pictures of ``size`` alone, one of ``metadata.sizes``.

        Engines make more of a graph whose size they know. Its ``sha256`` is its own, so that
        what is cached for one size is not taken for another.
        """
        if not self.metadata.other_sizes:
            return self
        model = _parse(self.path, self.data)
        metadata = fix_size(model, size)
        data = model.SerializeToString()
        return ModelFile(self.path, hashlib.sha256(data).hexdigest(), metadata, data)


def shipped(name: str) -> Path:
    """A file of the weights that ship with the package; raises EngineError if it doesn't."""
    path = _WEIGHTS / name
    if not path.is_file():
        raise EngineError(
            f'{path}: the default weights are not in this installation; '
            'name a model of your own (dsn export makes one)'
        )
    return path


def shipped_model(name: str = 'default') -> Path:
    """A deploy graph of SHIPPED; raises EngineError if it isn't in this installation."""
    return shipped(SHIPPED[name])


def read_model(path: str | Path) -> ModelFile:
    """Read the deploy graph ``path``, a file or one of SHIPPED; raises EngineError, one line."""
    if str(path) in SHIPPED and not Path(path).exists():
        path = shipped_model(str(path))
    path = Path(path).expanduser()
    try:
        with path.open('rb') as file:
            data = file.read(_LARGEST)
    except FileNotFoundError:
        raise EngineError(f'{path}: no such model; make one with dsn export') from None
    except OSError as error:
        raise EngineError(f'{path} cannot be read: {error.strerror}') from error
    if len(data) == _LARGEST:
        raise EngineError(f'{path} is larger than an ONNX file can be; {_REMEDY}')
    model = _parse(path, data)
    fault = _fault(model)
    if fault:
        raise EngineError(f'{path} is not a deploy graph: {fault}; {_REMEDY}')
    metadata = _metadata(path, model)
    fault = _size_fault(model, metadata)
    if fault:
        raise EngineError(f'{path} contradicts its own metadata: {fault}; {_REMEDY}')
    return ModelFile(path, hashlib.sha256(data).hexdigest(), metadata, data)


def _parse(path: Path, data: bytes) -> Any:
    onnx = import_library('onnx', 'pip install onnx')
    protobuf = import_library('google.protobuf.message', 'pip install protobuf')

    try:
        return onnx.load_from_string(data)  # from bytes: nothing outside the file is opened
    except protobuf.DecodeError:
        raise EngineError(f'{path} is not an ONNX file, or not all of one; {_REMEDY}') from None


def _fault(model: Any) -> str | None:
    """What keeps ``model`` from being a deploy graph of any size, or None."""
    from onnx import TensorProto

    graph = model.graph
    if not graph.node:
        return 'it is no ONNX graph'
    opsets = {entry.domain or 'ai.onnx': entry.version for entry in model.opset_import}
    if set(opsets) != {'ai.onnx'}:
        return f'it uses operators beyond standard ONNX ({", ".join(sorted(opsets))})'
    if opsets['ai.onnx'] not in _OPSETS:
        return f'opset {opsets["ai.onnx"]} is not within {_OPSETS.start} to {_OPSETS.stop - 1}'
    if model.functions:
        return 'it defines operators of its own'
    if any(t.data_location == TensorProto.EXTERNAL or t.external_data for t in all_tensors(model)):
        return 'it keeps weights in other files (ONNX external data)'
    if name := _not_finite(graph):
        return f'its weights {name} have values that are not finite'
    initialisers = {t.name for t in graph.initializer}
    inputs = [_describe(v) for v in graph.input if v.name not in initialisers]
    if inputs != [('image', TensorProto.UINT8, 4)]:
        return 'its input must be image uint8 (N, H, W, 3)'
    outputs = {_describe(v) for v in graph.output}
    wanted = {
        ('depth', TensorProto.FLOAT, 3),
        ('labels', TensorProto.UINT8, 3),
        ('confidence', TensorProto.UINT8, 3),
    }
    if outputs != wanted or len(graph.output) != len(wanted):
        return 'its outputs must be depth float32, labels uint8 and confidence uint8 (N, H, W)'
    return None


def _not_finite(graph: Any) -> str:
    """The first initialiser with NaN or infinities, which some engines hide: max(0, NaN) is 0."""
    from onnx import TensorProto, numpy_helper

    floating = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
    for tensor in (t for t in graph.initializer if t.data_type in floating):
        if not np.isfinite(numpy_helper.to_array(tensor)).all():
            return quoted(tensor.name)
    return ''


def _describe(value: Any) -> tuple[str, int, int]:
    tensor = value.type.tensor_type
    return value.name, tensor.elem_type, len(tensor.shape.dim)


def _metadata(path: Path, model: Any) -> ModelMetadata:
    texts = [prop.value for prop in model.metadata_props if prop.key == METADATA_KEY]
    if not texts:
        raise EngineError(f'{path} has no {METADATA_KEY!r} metadata; {_REMEDY}')
    try:
        return ModelMetadata.from_json(texts[0])
    except ValueError as error:
        raise EngineError(
            f'{path} has bad {METADATA_KEY!r} metadata: {error}; {_REMEDY}'
        ) from error


def _size_fault(model: Any, metadata: ModelMetadata) -> str | None:
    size = metadata.size
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        batch, *sides = [d.dim_value if d.HasField('dim_value') else None for d in dims]
        if batch is not None:
            return f'{value.name} has a fixed batch of {batch}'
        of_any_size = [None, None] if metadata.other_sizes else list(size)
        if sides != [*of_any_size, 3][: len(sides)]:
            shape = ' x '.join('?' if d is None else str(d) for d in sides)
            says = ' or '.join(f'{height} x {width}' for height, width in metadata.sizes)
            return f'{value.name} is {shape}, the metadata says {says}'
    return None
