"""PyTorch, for machines that train: the deploy graph's weights in the network they came from."""

import contextlib
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dsn_ros.engines.base import Engine, EngineError, Precision, Prediction, import_library
from dsn_ros.engines.cuda import find_gpu
from dsn_ros.engines.model_file import ModelFile

__all__ = ['TorchEngine']


class TorchEngine(Engine):
    """The network in eager PyTorch, channels last; not for int8 graphs.

    ``threads`` sets PyTorch's threads for the whole process: PyTorch has no others.
    """

    name: ClassVar[str] = 'torch'

    def __init__(
        self, model: ModelFile, device: str, precision: Precision, threads: int | None = None
    ) -> None:
        super().__init__(model, device, precision, threads)
        self._torch = torch = _torch()
        from dsn_core.models.deploy import DeployNet

        if threads is not None:
            torch.set_num_threads(threads)
        dtype = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}[precision]
        try:
            network: Any = DeployNet.from_onnx(model.path, model.data)
        except ValueError as error:
            raise EngineError(f'{error}; use another engine') from error
        self._network = network.eval().to(
            device=device.lower(), dtype=dtype, memory_format=torch.channels_last
        )

    @classmethod
    def check(cls, device: str) -> str:
        gpu = '' if device == 'CPU' else f' on {find_gpu().name}'  # before a heavy import
        torch = _torch()
        if gpu and not torch.cuda.is_available():
            raise EngineError(
                'PyTorch is installed without CUDA, or with one that the driver is too old for: '
                'install the build for this machine from pytorch.org'
            )
        return f'PyTorch {torch.__version__}{gpu}'

    @classmethod
    def precisions(cls, model: ModelFile, device: str) -> tuple[Precision, ...]:
        if model.metadata.precision == 'int8':
            return ()  # its scales live in the ONNX graph, which PyTorch does not run
        return ('fp32', 'bf16') if device == 'CPU' else ('fp16', 'bf16', 'fp32')

    def _infer(self, images: NDArray[np.uint8]) -> Prediction:
        torch = self._torch
        with torch.inference_mode(), self._true_fp32():
            # A copy: PyTorch warns of read-only arrays, which frames from messages are.
            outputs = self._network(torch.tensor(images, device=self.device.lower()))
        return Prediction(*(output.cpu().numpy() for output in outputs))

    def _true_fp32(self) -> contextlib.AbstractContextManager[None]:
        """fp32 means fp32: cuDNN's default is TF32, which rounds to 11 bits."""
        if self.device == 'CPU':
            return contextlib.nullcontext()
        cudnn = self._torch.backends.cudnn
        flags: contextlib.AbstractContextManager[None] = cudnn.flags(
            enabled=cudnn.enabled,
            benchmark=cudnn.benchmark,
            deterministic=cudnn.deterministic,
            allow_tf32=False,
        )
        return flags

    def _release(self) -> None:
        del self._network


def _torch() -> Any:
    return import_library('torch', "pip install 'dsn_ros[train]'")
