"""OpenVINO on the CPU (x86 and Arm): the fastest engine where there is no GPU."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dsn_ros.engines.base import Engine, Precision, Prediction, import_library
from dsn_ros.engines.model_file import ModelFile

__all__ = ['OpenVinoEngine']

_HINTS = {'fp32': 'f32', 'bf16': 'bf16', 'fp16': 'f16'}


class OpenVinoEngine(Engine):
    """The deploy graph on the CPU; one request, tuned for latency.

    One compiled model serves every batch size: a model reshaped to a batch of 1 took the same
    time (317 and 320 ms of CPU time at 320 x 576 in bf16). OpenVINO's own model cache isn't used:
    it saves 0.1 s of a load of 1 s and costs a file twice the size of the weights.
    """

    name: ClassVar[str] = 'openvino'

    def __init__(
        self, model: ModelFile, device: str, precision: Precision, threads: int | None = None
    ) -> None:
        super().__init__(model, device, precision, threads)
        core = _openvino().Core()
        if precision == 'int8':  # the layers outside the graph's Q/DQ pairs
            hint = 'bf16' if 'BF16' in _capabilities(core) else 'f32'
        else:
            hint = _HINTS[precision]
        config: dict[str, Any] = {'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': hint}
        if threads is not None:
            config['INFERENCE_NUM_THREADS'] = threads
        compiled = core.compile_model(core.read_model(model.data), 'CPU', config)
        self._request = compiled.create_infer_request()

    @classmethod
    def check(cls, device: str) -> str:
        openvino = _openvino()
        processor = openvino.Core().get_property('CPU', 'FULL_DEVICE_NAME')
        return f'OpenVINO {openvino.__version__.split("-")[0]} on {processor.strip()}'

    @classmethod
    def precisions(cls, model: ModelFile, device: str) -> tuple[Precision, ...]:
        if model.metadata.precision == 'int8':
            return ('int8',)
        # Only what the processor has instructions for: emulated, it would be slower than fp32.
        capabilities = _capabilities(_openvino().Core())
        native: dict[Precision, str] = {'bf16': 'BF16', 'fp16': 'FP16', 'fp32': 'FP32'}
        return tuple(name for name, capability in native.items() if capability in capabilities)

    def _infer(self, images: NDArray[np.uint8]) -> Prediction:
        # The request's own memory is used anew by the next call: results are copies of it.
        result = self._request.infer({'image': images}, share_inputs=True, share_outputs=False)
        return Prediction(result['depth'], result['labels'], result['confidence'])

    def _release(self) -> None:
        del self._request


def _openvino() -> Any:
    return import_library('openvino', 'pip install openvino')


def _capabilities(core: Any) -> list[str]:
    return list(core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES'))
