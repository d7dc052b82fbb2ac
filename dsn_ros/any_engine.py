"""What answers to pictures, an engine or one that is watched, as those who ask it see it."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dsn_core.metadata import ModelMetadata, Size
from dsn_ros.engines import Prediction

__all__ = ['AnyEngine']


class AnyEngine(Protocol):
    """The part of ``engines.Engine`` that the pipeline and those who tell of it need."""

    @property
    def name(self) -> str:
        """What computes: 'openvino', 'onnxruntime', ..."""

    @property
    def device(self) -> str:
        """Where: 'CPU' or 'cuda:0'."""

    @property
    def precision(self) -> str:
        """In what: 'fp32', 'bf16', 'fp16' or 'int8'."""

    @property
    def metadata(self) -> ModelMetadata:
        """What the model says of itself."""

    def size_for(self, height: int, width: int) -> Size:
        """Height and width, of those it answers at, that bend such pictures least."""

    def infer(self, images: NDArray[np.uint8]) -> Prediction:
        """Answer to ``images`` (N, H, W, 3) uint8 RGB of such a size."""
