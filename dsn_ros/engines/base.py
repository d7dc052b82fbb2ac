"""What every engine is: uint8 pictures in, depth, labels and confidence out."""

import importlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsn_core.metadata import ModelMetadata, Size, nearest_shape
from dsn_ros.errors import UserError

if TYPE_CHECKING:
    from dsn_ros.engines.model_file import ModelFile

__all__ = ['Engine', 'EngineError', 'Precision', 'Prediction', 'import_library', 'one_line']

Precision = Literal['fp32', 'bf16', 'fp16', 'int8']


class EngineError(UserError):
    """A model or an engine that this machine can't use; the text names it and the remedy."""


class Prediction(NamedTuple):
    """What the network saw in N pictures of H x W, a size that the model has.

    ``depth`` (N, H, W) float32 along the optical axis, in the network's units (metres where the
    metadata's ``scale`` is 'metric'); ``labels`` (N, H, W) uint8 class ids; ``confidence``
    (N, H, W) uint8, the winning class's probability x 255. The arrays are the caller's own.
    """

    depth: NDArray[np.float32]
    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]


class Engine(ABC):
    """A model loaded on a device, ready to answer.

    ``name`` is 'tensorrt', 'torch', 'onnxruntime' or 'openvino'; ``device`` 'CPU' or 'cuda:0';
    ``precision`` what it computes in; ``metadata`` what the model says of itself. ``infer`` may be
    called from any thread; calls wait for each other.

    It answers at the model's own size, and at the others that the model has once ``fits_with``
    has said how an engine for one of them is made; each is made when it is first asked for.
    """

    name: ClassVar[str]
    fits_quickly: ClassVar[bool] = True
    """Whether an engine for another size is made within a second or so."""

    def __init__(
        self,
        model: 'ModelFile',
        device: str,
        precision: Precision,
        threads: int | None = None,
    ) -> None:
        self.device = device
        self.precision = precision
        self.metadata: ModelMetadata = model.metadata
        self._lock = threading.Lock()
        self._closed = False
        self._make: Callable[[Size], Engine] | None = None
        self._sizes: tuple[Size, ...] = ()
        self._others: dict[Size, Engine] = {}

    @classmethod
    @abstractmethod
    def check(cls, device: str) -> str:
        """Describe this engine on ``device`` in a few words.

        Raises EngineError with the reason and the remedy where this machine can't use it.
        """

    @classmethod
    @abstractmethod
    def precisions(cls, model: 'ModelFile', device: str) -> tuple[Precision, ...]:
        """What ``model`` can be computed in on ``device``, best first; empty: not at all."""

    @abstractmethod
    def _infer(self, images: NDArray[np.uint8]) -> Prediction:
        """Answer to checked, C-contiguous ``images``; the lock is held."""

    @abstractmethod
    def _release(self) -> None:
        """Give back what the engine holds; called once."""

    @property
    def height(self) -> int:
        """Height of the pictures it takes, in pixels."""
        return self.metadata.height

    @property
    def width(self) -> int:
        """Width of the pictures it takes, in pixels."""
        return self.metadata.width

    def fits_with(self, sizes: tuple[Size, ...], make: Callable[[Size], 'Engine']) -> None:
        """Answer at each of ``sizes`` besides, with what ``make`` makes of it."""
        self._sizes, self._make = sizes, make

    def size_for(self, height: int, width: int) -> Size:
        """Height and width, of those it answers at, that bend such pictures least."""
        return nearest_shape((self.metadata.size, *self._sizes), height, width)

    def infer(self, images: NDArray[np.uint8]) -> Prediction:
        """Answer to ``images`` (N, H, W, 3) uint8 RGB, any N >= 1, at one of its sizes.

        Raises ValueError for another type or shape, RuntimeError after ``close``, EngineError if
        there can be no engine for that size.
        """
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
            got = getattr(images, 'dtype', type(images).__name__)
            raise ValueError(f'images must be a uint8 array, got {got}')
        size = tuple(images.shape[1:3])
        known = size == self.metadata.size or size in self._sizes
        if images.ndim != 4 or images.shape[0] < 1 or images.shape[3] != 3 or not known:
            wanted = f'(N >= 1, {self.height}, {self.width}, 3)'
            raise ValueError(f'images must have the shape {wanted}, got {images.shape}')
        with self._lock:
            if self._closed:
                raise RuntimeError(f'{self.name} engine: infer after close')
            answers = self if size == self.metadata.size else self._other(size)
            return answers._infer(np.ascontiguousarray(images))

    def _other(self, size: Size) -> 'Engine':
        if size not in self._others:
            assert self._make is not None
            try:
                self._others[size] = self._make(size)
            except EngineError:
                # What was prepared for it is lost; the next pictures will be for another size.
                self._sizes = tuple(each for each in self._sizes if each != size)
                raise
        return self._others[size]

    def close(self) -> None:
        """Give back memory and threads; a second call does nothing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                for other in self._others.values():
                    other.close()
                self._release()

    def discard(self) -> None:
        """Close, and forget what was cached for this engine: its answers were wrong."""
        self.close()

    def __enter__(self) -> 'Engine':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f'<{self.name} engine on {self.device} in {self.precision}>'


def import_library(module: str, remedy: str) -> Any:
    """Import an engine's library, only now; raises EngineError naming the ``remedy``."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == module:
            raise EngineError(f'{module} is not installed: {remedy}') from error
        raise EngineError(f'{module} does not load ({error}): {remedy}') from error
    except (ImportError, OSError) as error:  # a shared library that is missing or does not fit
        raise EngineError(f'{module} does not load ({one_line(error)}): {remedy}') from error


def one_line(error: BaseException) -> str:
    """The text of another library's error as one line of bearable length."""
    text = ' '.join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f'{text[:300]}...'
