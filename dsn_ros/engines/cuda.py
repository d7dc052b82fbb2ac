"""The little of CUDA that an engine of ours needs, through the driver's own library.

``libcuda.so.1`` comes with every NVIDIA driver (Jetson's too), so that TensorRT needs neither
PyTorch nor cuda-python beside it, and a machine without a GPU is told apart without loading
TensorRT, which crashes there. The device's primary context is shared with TensorRT.
"""

import ctypes
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsn_ros.engines.base import EngineError

__all__ = ['Buffer', 'Cuda', 'Gpu', 'find_gpu']

_LIBRARY = 'libcuda.so.1'
_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR = 75, 76
_NON_BLOCKING = 1  # a stream that does not wait for the default stream

# Argument types of what is called, by the name in the library (_v2: 64-bit sizes).
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    'cuInit': (c_uint,),
    'cuDriverGetVersion': (POINTER(c_int),),
    'cuDeviceGetCount': (POINTER(c_int),),
    'cuDeviceGet': (POINTER(c_int), c_int),
    'cuDeviceGetName': (c_char_p, c_int, c_int),
    'cuDeviceGetAttribute': (POINTER(c_int), c_int, c_int),
    'cuDevicePrimaryCtxRetain': (POINTER(c_void_p), c_int),
    'cuDevicePrimaryCtxRelease_v2': (c_int,),
    'cuCtxSetCurrent': (c_void_p,),
    'cuMemAlloc_v2': (POINTER(c_uint64), c_size_t),
    'cuMemFree_v2': (c_uint64,),
    'cuMemHostAlloc': (POINTER(c_void_p), c_size_t, c_uint),
    'cuMemFreeHost': (c_void_p,),
    'cuMemcpyHtoDAsync_v2': (c_uint64, c_void_p, c_size_t, c_void_p),
    'cuMemcpyDtoHAsync_v2': (c_void_p, c_uint64, c_size_t, c_void_p),
    'cuStreamCreate': (POINTER(c_void_p), c_uint),
    'cuStreamSynchronize': (c_void_p,),
    'cuStreamDestroy_v2': (c_void_p,),
    'cuGetErrorName': (c_int, POINTER(c_char_p)),
}


@dataclass(frozen=True)
class Gpu:
    """The first GPU: ``compute_capability`` as '8.7', ``driver`` the CUDA version it speaks."""

    name: str
    compute_capability: str
    driver: int


@dataclass(frozen=True)
class Buffer:
    """The same bytes on both sides: ``device`` address, ``host`` pinned memory, (size,) uint8."""

    device: int
    host: NDArray[np.uint8]


def find_gpu() -> Gpu:
    """Describe the first GPU; raises EngineError saying why there is none."""
    driver = _load()
    count = c_int()
    _call(driver, 'cuDeviceGetCount', byref(count))
    if count.value < 1:
        raise EngineError('no NVIDIA GPU was found')
    device, version, major, minor = c_int(), c_int(), c_int(), c_int()
    _call(driver, 'cuDeviceGet', byref(device), 0)
    name = ctypes.create_string_buffer(256)
    _call(driver, 'cuDeviceGetName', name, len(name), device)
    _call(driver, 'cuDriverGetVersion', byref(version))
    for value, attribute in (
        (major, _COMPUTE_CAPABILITY_MAJOR),
        (minor, _COMPUTE_CAPABILITY_MINOR),
    ):
        _call(driver, 'cuDeviceGetAttribute', byref(value), attribute, device)
    return Gpu(name.value.decode(), f'{major.value}.{minor.value}', version.value)


class Cuda:
    """The first GPU's primary context with one stream and the buffers made on it."""

    def __init__(self) -> None:
        self.gpu = find_gpu()
        self._driver = _load()
        self._device, self._context, stream = c_int(), c_void_p(), c_void_p()
        self._buffers: list[Buffer] = []
        _call(self._driver, 'cuDeviceGet', byref(self._device), 0)
        _call(self._driver, 'cuDevicePrimaryCtxRetain', byref(self._context), self._device)
        self.use()
        _call(self._driver, 'cuStreamCreate', byref(stream), _NON_BLOCKING)
        self.stream: int = stream.value or 0

    def use(self) -> None:
        """Make the GPU current in the calling thread; first thing in every call."""
        _call(self._driver, 'cuCtxSetCurrent', self._context)

    def buffer(self, size: int) -> Buffer:
        """``size`` bytes on the GPU and pinned in host memory, given back by ``close``."""
        device, host = c_uint64(), c_void_p()
        _call(self._driver, 'cuMemAlloc_v2', byref(device), size)
        try:
            _call(self._driver, 'cuMemHostAlloc', byref(host), size, 0)
        except EngineError:
            _call(self._driver, 'cuMemFree_v2', device)
            raise
        memory = (ctypes.c_uint8 * size).from_address(host.value or 0)
        made = Buffer(device.value, np.ctypeslib.as_array(memory))
        self._buffers.append(made)
        return made

    def upload(self, buffer: Buffer, size: int) -> None:
        """Queue the copy of the first ``size`` bytes to the GPU."""
        source = buffer.host.ctypes.data
        _call(self._driver, 'cuMemcpyHtoDAsync_v2', buffer.device, source, size, self.stream)

    def download(self, buffer: Buffer, size: int) -> None:
        """Queue the copy of the first ``size`` bytes from the GPU."""
        target = buffer.host.ctypes.data
        _call(self._driver, 'cuMemcpyDtoHAsync_v2', target, buffer.device, size, self.stream)

    def wait(self) -> None:
        """Wait until everything queued is done."""
        _call(self._driver, 'cuStreamSynchronize', self.stream)

    def close(self) -> None:
        """Give back the buffers, the stream and the context."""
        self.use()
        for buffer in self._buffers:
            _call(self._driver, 'cuMemFree_v2', buffer.device)
            _call(self._driver, 'cuMemFreeHost', buffer.host.ctypes.data)
        self._buffers.clear()
        _call(self._driver, 'cuStreamDestroy_v2', self.stream)
        _call(self._driver, 'cuDevicePrimaryCtxRelease_v2', self._device)


def _load() -> ctypes.CDLL:
    try:
        driver = ctypes.CDLL(_LIBRARY)
        for name, arguments in _FUNCTIONS.items():
            function = getattr(driver, name)
            function.argtypes, function.restype = arguments, c_int
    except OSError:
        raise EngineError(f'no NVIDIA GPU: its driver ({_LIBRARY}) is not installed') from None
    except AttributeError as error:
        raise EngineError(f'the NVIDIA driver is too old: {error}') from error
    _call(driver, 'cuInit', 0)
    return driver


def _call(driver: ctypes.CDLL, function: str, *arguments: Any) -> None:
    code = getattr(driver, function)(*arguments)
    if code:
        name = c_char_p()
        driver.cuGetErrorName(code, byref(name))
        text = name.value.decode() if name.value else str(code)
        if text == 'CUDA_ERROR_NO_DEVICE':
            raise EngineError('no NVIDIA GPU was found')
        raise EngineError(f'the NVIDIA driver failed: {function} returned {text}')
