"""fp32 deploy graph → int8 deploy graph, held against the first on frames of the robot's world."""

import dataclasses
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto

from dsn_core.errors import UserError
from dsn_core.golden import CONFIDENT, golden_frame
from dsn_core.int8.equalise import equalise
from dsn_core.int8.graph import Graph
from dsn_core.int8.qdq import find_reads, insert_pairs, sources_of
from dsn_core.int8.statistics import Answer, ChannelStatistics, answers, measure
from dsn_core.metadata import METADATA_KEY, ModelMetadata

__all__ = ['MAX_LOSS', 'Int8Graph', 'Loss', 'mean_loss', 'quantise']

_CHECKED = 8  # frames that the two graphs are compared on
_TRIED = 4  # of those, to find out which part it is that loses too much

_logger = logging.getLogger(__name__)

_Images = Sequence[NDArray[np.uint8]]


class Loss(NamedTuple):
    """How far the int8 answers to a frame are from the fp32 ones; 0: the same."""

    depth: float
    """Median of |depth - fp32's| / fp32's."""
    labels: float
    """Share of other labels."""
    sure_labels: float
    """The same where fp32 is sure (confidence above one half); 0 where it is nowhere."""

    def within(self, limit: 'Loss') -> bool:
        """Whether none of the figures is above that of ``limit``."""
        return all(mine <= most for mine, most in zip(self, limit, strict=True))


MAX_LOSS = Loss(depth=0.02, labels=1.0, sure_labels=0.01)
"""Above it, in the mean over the frames compared, parts of the network stay in float."""


@dataclass(frozen=True)
class Int8Graph:
    """The graph, what stays in float, and its loss on some of the frames by their number."""

    model: ModelProto
    kept: tuple[str, ...]
    losses: dict[int, Loss]


def quantise(
    model: ModelProto,
    frames: _Images,
    progress: Callable[[int, int], None] | None = None,
    limit: Loss = MAX_LOSS,
) -> Int8Graph:
    """Let the convolutions of the fp32 deploy graph ``model`` compute in int8.

    ``frames``: what the robot sees, by day and by night, (H, W, 3) uint8 RGB each, of the model's
    size. All before the first and behind the last convolutions stays as it is. If int8 loses more
    than ``limit``, the parts of the network that cost most are kept in float, as few as will do.
    Raises UserError where all would have to be, or where the golden frame does not bear it.
    """
    graph = Graph(ModelProto.FromString(model.SerializeToString()))
    tensors = {t for read in find_reads(graph) for t in sources_of(graph, read)}
    statistics = measure(graph.model, sorted(tensors), _counted(frames, progress))
    equalise(graph, statistics)
    chosen = list(dict.fromkeys(np.linspace(0, len(frames) - 1, _CHECKED).astype(int).tolist()))
    trial = _Trial(graph, statistics, [frames[i] for i in chosen], limit)
    kept, made, losses = trial.run()
    _set_precision(made)
    onnx.checker.check_model(made)
    return Int8Graph(made, kept, dict(zip(chosen, losses, strict=True)))


class _Trial:
    """Which parts of an equalised graph bear int8."""

    def __init__(
        self,
        graph: Graph,
        statistics: dict[str, ChannelStatistics],
        frames: _Images,
        limit: Loss,
    ) -> None:
        self._graph = graph
        self._statistics = statistics
        self._frames = frames
        self._limit = limit
        self._expected = answers(graph.model, frames)
        self._parts: dict[str, set[str]] = {}
        for convolution in graph.convolutions:
            part = '.'.join(convolution.input[1].split('.')[1:3])  # encoder.layer1
            self._parts.setdefault(part, set()).add(convolution.output[0])

    def run(self) -> tuple[tuple[str, ...], ModelProto, list[Loss]]:
        """Parts that stay in float, the graph, and its loss on each frame; raises UserError."""
        kept: list[str] = []
        waiting: list[str] | None = None
        while True:
            made = self._made(kept)
            losses = self._losses(made, len(self._frames))
            if mean_loss(losses).within(self._limit):
                return tuple(kept), made, losses
            if waiting is None:
                waiting = self._worst_first(mean_loss(losses))
            if len(kept) + 1 >= len(self._parts):
                raise UserError(
                    'int8 is too coarse for this network on these frames: give frames that look '
                    'like its training data, or keep fp32'
                )
            kept.append(waiting.pop(0))
            _logger.info('int8 in %s costs too much: it stays in float', kept[-1])

    def _made(self, kept: Sequence[str]) -> ModelProto:
        graph = Graph(ModelProto.FromString(self._graph.model.SerializeToString()))
        outputs: Collection[str] = {o for part in kept for o in self._parts[part]}
        insert_pairs(graph, find_reads(graph, outputs), self._statistics)
        del graph.model.graph.value_info[:]  # types of values that are int8 now
        return graph.model

    def _losses(self, made: ModelProto, count: int) -> list[Loss]:
        pairs = zip(answers(made, self._frames[:count]), self._expected, strict=False)
        return [_loss(got, expected) for got, expected in pairs]

    def _worst_first(self, loss: Loss) -> list[str]:
        """The parts, those first without which least is lost."""
        _logger.info(
            'int8 changes depth by %.1f %% and %.1f %% of the sure labels: looking for the parts '
            'to keep in float',
            100 * loss.depth,
            100 * loss.sure_labels,
        )
        rest = {part: mean_loss(self._losses(self._made([part]), _TRIED)) for part in self._parts}
        return sorted(self._parts, key=lambda part: self._excess(rest[part]))

    def _excess(self, loss: Loss) -> float:
        return max(mine / most for mine, most in zip(loss, self._limit, strict=True))


def _loss(got: Answer, expected: Answer) -> Loss:
    depth = np.median(np.abs(got.depth - expected.depth) / expected.depth)
    other = got.labels != expected.labels
    sure = expected.confidence >= CONFIDENT
    return Loss(
        float(depth), float(other.mean()), float(other[sure].mean()) if sure.any() else 0.0
    )


def mean_loss(losses: Sequence[Loss]) -> Loss:
    """The mean of each figure."""
    return Loss(*np.mean(losses, axis=0).tolist())


def _counted(
    frames: _Images, progress: Callable[[int, int], None] | None
) -> Iterator[NDArray[np.uint8]]:
    for done, frame in enumerate(frames, 1):
        yield frame
        if progress is not None:
            progress(done, len(frames))


def _set_precision(model: ModelProto) -> None:
    """Let the metadata say int8; raises UserError where the golden frame does not bear it."""
    (prop,) = (p for p in model.metadata_props if p.key == METADATA_KEY)
    metadata = dataclasses.replace(ModelMetadata.from_json(prop.value), precision='int8')
    (answer,) = answers(model, [golden_frame(metadata.height, metadata.width)])
    failure = metadata.golden.compare(answer.depth, answer.labels).failure('int8')
    if failure:
        raise UserError(f'int8 does not bear the golden frame: {failure}; keep fp32')
    prop.value = metadata.to_json()
