"""ONNX Runtime: on the CPU everywhere, on an NVIDIA GPU with onnxruntime-gpu."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dsn_ros.engines.base import Engine, EngineError, Precision, Prediction, import_library
from dsn_ros.engines.cuda import find_gpu
from dsn_ros.engines.model_file import ModelFile

__all__ = ['OnnxRuntimeEngine']

_CUDA = 'CUDAExecutionProvider'
_ERRORS_ONLY = 3


class OnnxRuntimeEngine(Engine):
    """The deploy graph as ONNX Runtime runs it; the precision is the graph's own."""

    name: ClassVar[str] = 'onnxruntime'

    def __init__(
        self, model: ModelFile, device: str, precision: Precision, threads: int | None = None
    ) -> None:
        super().__init__(model, device, precision, threads)
        runtime = _onnxruntime()
        options = runtime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        if threads is not None:
            options.intra_op_num_threads = threads
        providers: list[Any] = ['CPUExecutionProvider']
        if device != 'CPU':
            # TF32 rounds to 11 bits: fp32 means fp32 on every engine, and fp16 graphs are faster.
            providers.insert(0, (_CUDA, {'device_id': 0, 'use_tf32': '0'}))
        self._session = runtime.InferenceSession(model.data, options, providers=providers)
        # ONNX Runtime falls back to the CPU with a warning when CUDA or cuDNN do not load.
        if device != 'CPU' and _CUDA not in self._session.get_providers():
            raise EngineError(
                'onnxruntime does not load CUDA: install the CUDA and cuDNN that '
                f'onnxruntime-gpu {runtime.__version__} wants'
            )

    @classmethod
    def check(cls, device: str) -> str:
        gpu = '' if device == 'CPU' else f' on {find_gpu().name}'  # before a heavy import
        runtime = _onnxruntime()
        if gpu and _CUDA not in runtime.get_available_providers():
            raise EngineError(
                'onnxruntime is installed without CUDA: pip install onnxruntime-gpu in its place'
            )
        return f'ONNX Runtime {runtime.__version__}{gpu}'

    @classmethod
    def precisions(cls, model: ModelFile, device: str) -> tuple[Precision, ...]:
        return (model.metadata.precision,)

    def _infer(self, images: NDArray[np.uint8]) -> Prediction:
        return Prediction(*self._session.run(['depth', 'labels', 'confidence'], {'image': images}))

    def _release(self) -> None:
        del self._session


def _onnxruntime() -> Any:
    return import_library('onnxruntime', 'pip install onnxruntime')
