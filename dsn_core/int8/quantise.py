"""fp32 deploy graph → int8 deploy graph, held against the first on frames of the robot's world.

ONNX Runtime's quantiser does it. Ours beside it: which parts of the network cost too much and stay
in float, and what the graph says of itself.
"""

import dataclasses
import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto

from dsn_core.deploy_size import fix_size
from dsn_core.errors import UserError
from dsn_core.golden import GoldenFigures, golden_frame
from dsn_core.int8.answers import Loss, answers, loss_of, mean_loss
from dsn_core.int8.quantiser import Images, Quantiser, is_quantised
from dsn_core.metadata import METADATA_KEY, ModelMetadata

__all__ = ['MAX_LOSS', 'Int8Graph', 'quantise']

_CHECKED = 8  # frames that the two graphs are compared on
_TRIED = 4  # of those, to find out which part it is that loses too much

MAX_LOSS = Loss(depth=0.02, labels=1.0, sure_labels=0.01)
"""Above it, in the mean over the frames compared, parts of the network stay in float."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Int8Graph:
    """The graph, what stays in float, and its loss on some of the frames by their number."""

    model: ModelProto
    kept: tuple[str, ...]
    losses: dict[int, Loss]


def quantise(
    model: ModelProto,
    frames: Images,
    progress: Callable[[int, int], None] | None = None,
    limit: Loss = MAX_LOSS,
) -> Int8Graph:
    """Let the convolutions of the fp32 deploy graph ``model`` compute in int8.

    ``frames``: what the robot sees, by day and by night, (H, W, 3) uint8 RGB each, of the model's
    own size, which is the only one of the int8 graph: the ranges of its numbers are those of such
    pictures. The heads and all behind them stay in float. If int8 loses more than ``limit``, the
    parts of the network that cost most stay so as well, as few as will do; so too where the golden
    frame does not bear it. Raises UserError where all would have to, or where the graph is int8
    already.
    """
    if is_quantised(model):
        raise UserError('the graph is quantised already: int8 is made of fp32 ones')
    model = _at_its_own_size(model)
    chosen = list(dict.fromkeys(np.linspace(0, len(frames) - 1, _CHECKED).astype(int).tolist()))
    with tempfile.TemporaryDirectory() as folder:
        quantiser = Quantiser(model, frames, Path(folder), progress)
        trial = _Trial(quantiser, model, [frames[i] for i in chosen], limit)
        kept, made, losses = trial.run()
    onnx.checker.check_model(made)
    return Int8Graph(made, kept, dict(zip(chosen, losses, strict=True)))


def _at_its_own_size(model: ModelProto) -> ModelProto:
    fixed = ModelProto()
    fixed.CopyFrom(model)
    props = {p.key: p.value for p in model.metadata_props}
    if METADATA_KEY in props:
        fix_size(fixed, ModelMetadata.from_json(props[METADATA_KEY]).size)
    return fixed


class _Trial:
    """Which parts of a network bear int8."""

    def __init__(
        self, quantiser: Quantiser, model: ModelProto, frames: Images, limit: Loss
    ) -> None:
        self._quantiser = quantiser
        self._frames = frames
        self._limit = limit
        self._expected = answers(model, frames)

    def run(self) -> tuple[tuple[str, ...], ModelProto, list[Loss]]:
        """Parts that stay in float, the graph, and its loss on each frame; raises UserError."""
        kept: list[str] = []
        waiting: list[str] | None = None
        while True:
            made = self._quantiser.made(kept)
            losses = self._losses(made, len(self._frames))
            loss = mean_loss(losses)
            if loss.excess(self._limit) <= 1 and _described(made):
                return tuple(kept), made, losses
            if waiting is None:
                waiting = self._worst_first(loss)
            if len(waiting) == 1:
                raise UserError(
                    'int8 is too coarse for this network on these frames: give frames that look '
                    'like its training data, or keep fp32'
                )
            kept.append(waiting.pop(0))
            _logger.info('int8 in %s costs too much: it stays in float', kept[-1])

    def _losses(self, made: ModelProto, count: int) -> list[Loss]:
        got = answers(made, self._frames[:count])
        return [loss_of(*pair) for pair in zip(got, self._expected, strict=False)]

    def _worst_first(self, loss: Loss) -> list[str]:
        """The parts, those first without which least is lost."""
        _logger.info(
            'int8 changes depth by %.1f %% and %.1f %% of the sure labels: looking for the parts '
            'to keep in float',
            100 * loss.depth,
            100 * loss.sure_labels,
        )
        without = {
            part: mean_loss(self._losses(self._quantiser.made([part]), _TRIED))
            for part in self._quantiser.parts
        }
        return sorted(without, key=lambda part: without[part].excess(self._limit))


def _described(model: ModelProto) -> bool:
    """Let the metadata say int8, with the golden figures of this graph.

    False, and nothing done, where they are too far from those of fp32.
    """
    (prop,) = (p for p in model.metadata_props if p.key == METADATA_KEY)
    metadata = ModelMetadata.from_json(prop.value)
    (answer,) = answers(model, [golden_frame(metadata.height, metadata.width)])
    failure = metadata.golden.compare(answer.depth, answer.labels).failure('int8')
    if failure:
        _logger.info('int8 does not bear the golden frame: %s', failure)
        return False
    prop.value = dataclasses.replace(
        metadata, precision='int8', golden=GoldenFigures.of(*answer)
    ).to_json()
    return True
