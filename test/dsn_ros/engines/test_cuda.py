"""The CUDA driver calls, against a driver that needs no GPU."""

import ctypes

import numpy as np
import pytest

from dsn_ros.engines import EngineError, cuda


def test_gpu_is_described(fake_driver):
    assert cuda.find_gpu() == cuda.Gpu('Fake GPU', '8.7', 12040)


def test_no_driver(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cuda, '_LIBRARY', 'libnothing.so')
    with pytest.raises(EngineError, match='no NVIDIA GPU: its driver'):
        cuda.find_gpu()


def test_driver_without_a_gpu(fake_driver):
    ctypes.c_int.in_dll(fake_driver, 'devices').value = 0
    with pytest.raises(EngineError, match='no NVIDIA GPU was found'):
        cuda.find_gpu()


def test_a_driver_without_what_is_needed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cuda, '_LIBRARY', 'libc.so.6')
    with pytest.raises(EngineError, match='driver is too old'):
        cuda.find_gpu()


def test_bytes_go_there_and_back_and_all_is_given_back(fake_driver):
    gpu = cuda.Cuda()
    one, other = gpu.buffer(100), gpu.buffer(200)
    sent = np.arange(100, dtype=np.uint8)
    one.host[:] = sent
    gpu.upload(one, 100)
    one.host[:] = 0
    gpu.download(one, 60)
    gpu.wait()
    assert np.array_equal(one.host[:60], sent[:60])
    assert not one.host[60:].any()
    assert other.host.shape == (200,)
    gpu.close()
    assert ctypes.c_int.in_dll(fake_driver, 'live').value == 0


def test_out_of_memory_is_named(fake_driver):
    gpu = cuda.Cuda()
    with pytest.raises(EngineError, match='CUDA_ERROR_OUT_OF_MEMORY'):
        gpu.buffer(1 << 31)
    gpu.close()
    assert ctypes.c_int.in_dll(fake_driver, 'live').value == 0
