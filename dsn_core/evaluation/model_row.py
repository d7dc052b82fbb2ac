"""Our own networks as rows: deploy graphs and checkpoints."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dsn_core.digest import digest_of, sha256
from dsn_core.errors import UserError, require
from dsn_core.evaluation.prediction import Prediction, Predictor
from dsn_core.evaluation.rows import SHIPPED, Row
from dsn_core.evaluation.samples import EvaluationSample
from dsn_core.metadata import ModelMetadata, Size
from dsn_core.teachers.classes import train_id_table
from dsn_core.teachers.pictures import resized

__all__ = ['Graph', 'GraphAnswer', 'ModelRow', 'set_graph_loader']


class GraphAnswer(Protocol):
    """What a graph says of N pictures of one of its sizes, by name; see ``deploy graph``."""

    @property
    def depth(self) -> NDArray[np.float32]:
        """(N, H, W) in the network's unit."""

    @property
    def labels(self) -> NDArray[np.uint8]:
        """(N, H, W) class ids."""

    @property
    def confidence(self) -> NDArray[np.uint8]:
        """(N, H, W) probability x 255."""


class Graph(Protocol):
    """A deploy graph, loaded."""

    metadata: ModelMetadata

    def size_for(self, height: int, width: int) -> Size:
        """The size that such pictures are to be shown at."""

    def infer(self, images: NDArray[np.uint8]) -> GraphAnswer:
        """Pictures (N, H, W, 3) RGB of such a size → what it sees."""


class _Loader(NamedTuple):
    load: Callable[[Path, str, str], Graph]
    shipped_model: Callable[[str], Path]


_loader: list[_Loader] = []


def set_graph_loader(
    load: Callable[[Path, str, str], Graph], shipped_model: Callable[[str], Path]
) -> None:
    """Say how a deploy graph is loaded (path, engine, precision), and where the shipped are."""
    _loader[:] = [_Loader(load, shipped_model)]


@dataclass(frozen=True)
class ModelRow(Row, kind='model'):
    """A deploy graph or a checkpoint, shown each picture at the size it has that bends it least.

    Depth is the network's, sky included; a metric network's is for the focal length that it was
    trained for and is scaled by the picture's own.
    """

    path: str = 'default'
    """Deploy graph (.onnx), checkpoint (.safetensors), or weights that ship: default, which are
    lite, or lite2."""
    name: str = ''
    """What the tables call it; nothing: the model's own name."""
    train: str = ''
    """How it was trained, for Table 2: M (monocular), M+v (with velocity), or a word."""
    engine: str = 'auto'
    """What runs a graph: auto, openvino, onnxruntime, torch or tensorrt."""
    precision: str = 'auto'
    """What a graph is computed in: auto, fp32, bf16, fp16 or int8."""

    def __post_init__(self) -> None:
        known = self.path in SHIPPED or self.path.endswith(('.onnx', '.safetensors'))
        require(known, 'path', f'{", ".join(SHIPPED)}, a .onnx or a .safetensors file', self.path)
        if not self.name:
            name = 'default weights' if self.path == 'default' else Path(self.path).stem
            object.__setattr__(self, 'name', name)

    def fingerprint(self) -> str:
        file = self._file()
        how = () if file.suffix == '.safetensors' else (self.engine, self.precision)
        return digest_of(['model', sha256(file), *how])

    def load(self) -> Predictor:
        file = self._file()
        if file.suffix == '.safetensors':
            return _Checkpoint(file)
        return _Graph(_graph_loader().load(file, self.engine, self.precision), file)

    def _file(self) -> Path:
        shipped = self.path in SHIPPED
        file = _graph_loader().shipped_model(self.path) if shipped else Path(self.path)
        if not file.is_file():
            raise UserError(f'{file}: no such model; dsn train and dsn export make one')
        return file


def _graph_loader() -> _Loader:
    if not _loader:
        raise UserError('deploy graphs are run by dsn evaluate; here, give a checkpoint')
    return _loader[0]


class _Graph:
    def __init__(self, graph: Graph, file: Path) -> None:
        self._graph = graph
        self._table = train_id_table(graph.metadata.class_names, f'model {file}')
        self.metric = graph.metadata.scale == 'metric'

    def __call__(self, sample: EvaluationSample) -> Prediction:
        about = self._graph.metadata
        size = self._graph.size_for(*sample.image.shape[:2])
        answer = self._graph.infer(resized(sample.image[None], *size))
        depth = answer.depth[0] * np.float32(_camera_factor(sample, about.focal_length, size))
        if not about.class_names:
            return Prediction(depth)
        confidence = answer.confidence[0].astype(np.float32) / np.float32(255)
        return Prediction(depth, self._table[answer.labels[0]], confidence)


class _Checkpoint:
    def __init__(self, file: Path) -> None:
        try:
            import torch

            from dsn_core.checkpoint import load_checkpoint
        except ModuleNotFoundError as error:
            raise UserError(
                f'{file} is a checkpoint, which needs {error.name}: export it to a deploy graph'
            ) from error
        network, self._info = load_checkpoint(file)
        self._device = 'cuda' if torch.cuda.is_available() else 'cpu'
        self._network = network.eval().requires_grad_(False).to(self._device)
        self._table = train_id_table(self._info.class_names, f'checkpoint {file}')
        self.metric = self._info.scale == 'metric'

    def __call__(self, sample: EvaluationSample) -> Prediction:
        import torch

        shown = resized(sample.image[None], self._info.height, self._info.width)
        with torch.inference_mode():
            pixels = torch.from_numpy(shown).to(self._device).permute(0, 3, 1, 2)  # (1, 3, h, w)
            perceived = self._network(pixels.contiguous().float() / 255, scales=(0,))
            unit = self._network.depth(perceived.disparities[0])[0, 0].cpu().numpy()  # (h, w)
            size = self._info.height, self._info.width
            depth = unit * np.float32(_camera_factor(sample, self._info.focal_length, size))
            if not perceived.logits:
                return Prediction(depth)
            best, winner = perceived.logits[0][0].softmax(dim=0).max(dim=0)  # (h, w)
        return Prediction(depth, self._table[winner.cpu().numpy()], best.cpu().numpy())


def _camera_factor(sample: EvaluationSample, focal_length: float | None, size: Size) -> float:
    """By what the depth of a network shown the sample at ``size`` is multiplied for its lens."""
    if focal_length is None:
        return 1.0
    height, width = sample.image.shape[:2]
    across = sample.intrinsics[0, 0] * size[1] / width
    down = sample.intrinsics[1, 1] * size[0] / height
    return math.sqrt(across * down) / focal_length
