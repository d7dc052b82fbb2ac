"""What a deploy graph answers, and how far one graph's answers are from another's."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from dsn_core.golden import CONFIDENT

__all__ = ['Answer', 'Loss', 'answers', 'loss_of', 'mean_loss']

_ERRORS_ONLY = 3


class Answer(NamedTuple):
    """What a graph says of one frame: (H, W) each, float32 in the network's units and uint8."""

    depth: NDArray[np.float32]
    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]


class Loss(NamedTuple):
    """How far the int8 answers to a frame are from the fp32 ones; 0: the same."""

    depth: float
    """Median of |depth - fp32's| / fp32's."""
    labels: float
    """Share of other labels."""
    sure_labels: float
    """The same where fp32 is sure (confidence above one half); 0 where it is nowhere."""

    def excess(self, limit: 'Loss') -> float:
        """The figure that is worst against ``limit``, as a multiple of it; NaN counts as worst."""
        shares = [mine / most for mine, most in zip(self, limit, strict=True)]
        return float('inf') if np.isnan(shares).any() else max(shares)


def answers(model: ModelProto, frames: Iterable[NDArray[np.uint8]]) -> list[Answer]:
    """What ``model`` says of ``frames``, each (H, W, 3) uint8 RGB of its size."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=['CPUExecutionProvider']
    )
    runs = (session.run(list(Answer._fields), {'image': frame[None]}) for frame in frames)
    return [Answer(*(each[0] for each in values)) for values in runs]


def loss_of(got: Answer, expected: Answer) -> Loss:
    """How far ``got`` is from ``expected``, of the same frame."""
    depth = np.median(np.abs(got.depth - expected.depth) / expected.depth)
    other = got.labels != expected.labels
    sure = expected.confidence >= CONFIDENT
    return Loss(
        float(depth), float(other.mean()), float(other[sure].mean()) if sure.any() else 0.0
    )


def mean_loss(losses: Sequence[Loss]) -> Loss:
    """The mean of each figure."""
    return Loss(*np.mean(losses, axis=0).tolist())
