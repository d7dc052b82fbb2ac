"""ONNX graphs as segmentation teachers: those of dsn export, and any other."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dsn_core.errors import UserError, require
from dsn_core.labels import CITYSCAPES, UNLABELLED
from dsn_core.metadata import METADATA_KEY, ModelMetadata, nearest_shape
from dsn_core.onnx_tensors import all_tensors
from dsn_core.teachers.base import Labeller, Labels, LabelTeacher
from dsn_core.teachers.classes import train_id_table
from dsn_core.teachers.fingerprint import files_digest, fingerprint_of
from dsn_core.teachers.optional import import_optional
from dsn_core.teachers.pictures import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    normalised,
    resized,
    resized_ids,
)

__all__ = ['OnnxLabelTeacher', 'set_default_model']

_DEFAULT = 'default'
_ERRORS_ONLY = 3
_MAPS = ['labels', 'confidence']  # of a deploy graph
_TYPES: dict[str, type[np.floating[Any]]] = {
    'tensor(float)': np.float32,
    'tensor(float16)': np.float16,
}
_default_model: list[Callable[[], Path]] = []


def set_default_model(find: Callable[[], Path]) -> None:
    """Say which graph the model 'default' is; whoever ships weights knows."""
    _default_model[:] = [find]


@dataclass(frozen=True)
class OnnxLabelTeacher(LabelTeacher, kind='onnx'):
    """An ONNX graph, run by ONNX Runtime.

    Either a deploy graph of dsn export, which says of itself all that follows; or any graph with
    one input, float32 or float16 (N, 3, H, W), N free or 1, and an output of

    - (N, C, h, w) numbers: probabilities, if they are >= 0 and sum to 1 within a hundredth at
      every pixel; else logits, through a softmax. The classes are chosen at the picture's size;
    - (N, h, w) or (N, 1, h, w) integers: class ids, of which it is sure.
    """

    model: str = _DEFAULT
    """The graph's file; default: the network that dsn ships."""
    classes: tuple[str, ...] = CITYSCAPES.names
    """Names of its classes, in order: some of Cityscapes' nineteen, or unlabelled."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Taken from the picture in [0, 1], red, green, blue."""
    std: tuple[float, float, float] = IMAGENET_STD
    """What the difference is divided by."""
    height: int = 0
    """Height that pictures are shown to it with; 0: the graph's own."""
    width: int = 0
    """Width that pictures are shown to it with; 0: the graph's own."""
    output: str = ''
    """Name of the output to read; nothing: the first."""

    def __post_init__(self) -> None:
        require(bool(self.model), 'model', 'a file, or default', self.model)
        require(1 <= len(self.classes) < UNLABELLED, 'classes', '1 to 254 names', self.classes)
        require(len(self.mean) == 3, 'mean', 'three numbers', self.mean)
        valid = len(self.std) == 3 and min(self.std) > 0
        require(valid, 'std', 'three numbers above zero', self.std)
        for name in ('height', 'width'):
            require(getattr(self, name) >= 0, name, 'zero or more', getattr(self, name))

    def fingerprint(self) -> str:
        path = _path(self.model)
        files = [path, *_external_files(path, _read(path))]
        shown = (self.classes, self.mean, self.std, self.height, self.width, self.output)
        return fingerprint_of(self.kind, files_digest(files, path.parent.resolve()), shown)

    def load(self, device: str) -> Labeller:
        path = _path(self.model)
        graph = _read(path)
        _external_files(path, graph)
        session = _session(path, device)
        text = {p.key: p.value for p in graph.metadata_props}.get(METADATA_KEY)
        if text is None:
            return _AnyGraph(self, path, session)
        try:
            return _DeployGraph(path, session, ModelMetadata.from_json(text))
        except ValueError as error:
            raise UserError(f'{path} has bad {METADATA_KEY!r} metadata: {error}') from error


def _path(model: str) -> Path:
    if model != _DEFAULT:
        path = Path(model).expanduser()
    elif _default_model:
        path = _default_model[0]()
    else:
        raise UserError('model default is not known here: give the path of an ONNX file as model')
    if not path.is_file():
        raise UserError(f'model {path}: no such file')
    return path.resolve()


def _read(path: Path) -> Any:
    """The graph without the weights that lie beside it."""
    onnx = import_optional('onnx', 'onnx')
    try:
        graph = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's DecodeError, which has moved about
        raise UserError(f'model {path} is no ONNX file, or not all of one') from error
    if not graph.graph.node:
        raise UserError(f'model {path} is no ONNX file, or not all of one')
    return graph


def _external_files(path: Path, model: Any) -> list[Path]:
    """Files of weights beside the graph; raises UserError if one lies outside its folder."""
    folder = path.parent.resolve()
    found = set()
    for tensor in all_tensors(model):
        for entry in tensor.external_data:
            if entry.key != 'location':
                continue
            file = (folder / entry.value).resolve()
            if not file.is_relative_to(folder) or not file.is_file():
                raise UserError(
                    f'model {path} keeps weights in {entry.value}, which is no file in its '
                    'folder: save the graph in one piece, or all of it in one folder'
                )
            found.add(file)
    return sorted(found)


def _session(path: Path, device: str) -> Any:
    runtime = import_optional('onnxruntime', 'onnx')
    options = runtime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    # ONNX Runtime does not look at it by itself; 0: all cores.
    options.intra_op_num_threads = int(os.environ.get('OMP_NUM_THREADS') or 0)
    providers: list[Any] = ['CPUExecutionProvider']
    if device.startswith('cuda') and 'CUDAExecutionProvider' in runtime.get_available_providers():
        number = int(device.partition(':')[2] or 0)
        providers.insert(0, ('CUDAExecutionProvider', {'device_id': number}))
    try:
        return runtime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # ONNX Runtime's own, one class for each status
        why = str(error).splitlines()[0]
        raise UserError(f'model {path}: ONNX Runtime does not take it: {why}') from error


class _DeployGraph:
    """A graph of dsn export: pictures in, labels and confidence out."""

    def __init__(self, path: Path, session: Any, metadata: ModelMetadata) -> None:
        self._session = session
        self._sizes = metadata.sizes
        self._table = train_id_table(metadata.class_names, f'model {path}')
        outputs = {o.name for o in session.get_outputs()}
        if [i.name for i in session.get_inputs()] != ['image'] or not outputs.issuperset(_MAPS):
            raise UserError(
                f'model {path} contradicts its {METADATA_KEY!r} metadata: export it anew'
            )

    def __call__(self, images: NDArray[np.uint8], names: Sequence[str]) -> Labels:
        """See ``Labeller``; from the size shown to the picture's by the nearest pixel."""
        shown = resized(images, *nearest_shape(self._sizes, *images.shape[1:3]))
        maps = self._session.run(_MAPS, {'image': np.ascontiguousarray(shown)})
        labels, confidence = (
            np.stack([resized_ids(m, *images.shape[1:3]) for m in each]) for each in maps
        )
        return Labels(self._table[labels], confidence)


class _AnyGraph:
    """Somebody else's graph, picture by picture."""

    def __init__(self, teacher: OnnxLabelTeacher, path: Path, session: Any) -> None:
        self._teacher = teacher
        self._session = session
        self._who = f'model {path}'
        self._table = train_id_table(teacher.classes, f'classes of {self._who}')
        self._output = teacher.output or session.get_outputs()[0].name
        outputs = [o.name for o in session.get_outputs()]
        if self._output not in outputs:
            raise UserError(
                f'{self._who} has no output {self._output}: choose from {", ".join(outputs)}'
            )
        self._input, self._dtype, self._size = self._inspect()

    def _inspect(self) -> tuple[str, type[np.floating[Any]], tuple[int, int]]:
        """Name, type and (height, width) of the input."""
        inputs = self._session.get_inputs()
        only = inputs[0]
        dtype = _TYPES.get(only.type)
        batch, channels, *graphs = [*only.shape, None, None, None, None][:4]
        shaped = len(only.shape) == 4 and not (isinstance(channels, int) and channels != 3)
        if len(inputs) != 1 or dtype is None or not shaped:
            found = ', '.join(f'{i.name} {i.type} {i.shape}' for i in inputs)
            raise UserError(f'{self._who} must have one input, float (N, 3, H, W), got {found}')
        if isinstance(batch, int) and batch != 1:
            raise UserError(
                f'{self._who} takes batches of {batch} only: export it with a free one, or of 1'
            )
        sides = []
        given = (self._teacher.height, self._teacher.width)
        for name, wanted, own in zip(('height', 'width'), given, graphs, strict=True):
            if isinstance(own, int) and wanted not in (0, own):
                raise UserError(f'{self._who} has a {name} of {own}: set {name} to that or to 0')
            if not isinstance(own, int) and not wanted:
                raise UserError(f'{self._who} takes any {name}: set the field {name}')
            sides.append(own if isinstance(own, int) else wanted)
        return only.name, dtype, (sides[0], sides[1])

    def __call__(self, images: NDArray[np.uint8], names: Sequence[str]) -> Labels:
        """See ``Labeller``."""
        shown = normalised(resized(images, *self._size), self._teacher.mean, self._teacher.std)
        both = []
        for one in shown.astype(self._dtype):
            try:
                (out,) = self._session.run([self._output], {self._input: one[None]})
            except Exception as error:  # ONNX Runtime's own; a size that does not fit, mostly
                why = str(error).splitlines()[0]
                raise UserError(f'{self._who} fails at {self._size}: {why}') from error
            both.append(self._read(out, (images.shape[1], images.shape[2])))
        return Labels(np.stack([ids for ids, _ in both]), np.stack([c for _, c in both]))

    def _read(
        self, out: NDArray[Any], size: tuple[int, int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Ids and confidence, each of ``size``, of one picture's output."""
        whole = out.dtype.kind in 'iu'
        if whole and (out.ndim == 3 or (out.ndim == 4 and out.shape[1] == 1)):
            ids = out.reshape(out.shape[-2:])
            known = np.where((ids >= 0) & (ids < UNLABELLED), ids, UNLABELLED).astype(np.uint8)
            full = resized_ids(self._table[known], *size)
            return full, np.full(size, 255, dtype=np.uint8)
        if out.ndim != 4 or out.dtype.kind != 'f' or out.shape[1] != len(self._teacher.classes):
            shape = ' x '.join(map(str, out.shape))
            raise UserError(
                f'{self._who}: output {self._output} is {shape} {out.dtype}, must be integers '
                f'(N, h, w) or numbers (N, {len(self._teacher.classes)}, h, w), one for each of '
                'classes'
            )
        scores = out[0].astype(np.float32)  # (C, h, w)
        sums = scores.sum(axis=0)
        certain = bool((scores >= 0).all() and (abs(sums - 1) <= 0.01).all())
        layers = [cv2.resize(s, size[::-1], interpolation=cv2.INTER_LINEAR) for s in scores]
        full_scores = np.stack(layers)  # (C, H, W)
        best = full_scores.max(axis=0)
        # The winner's softmax is 1 / sum(exp(logit - best)).
        share = best if certain else 1 / np.exp(full_scores - best).sum(axis=0)
        confidence = np.rint(share.clip(0, 1) * 255).astype(np.uint8)
        return self._table[full_scores.argmax(axis=0)], confidence
