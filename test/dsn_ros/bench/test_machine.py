"""Memory as the system tells it."""

import subprocess
import sys

import pytest

from dsn_ros.bench.gemm import cpu_gemms
from dsn_ros.bench.machine import available_mb, cores, peak_mb

GROW = """
import numpy as np
from dsn_ros.bench.machine import peak_mb
before = peak_mb()
np.ones(100_000_000, dtype=np.uint8)
print(peak_mb() - before)
"""


@pytest.mark.skipif(peak_mb() is None, reason='this system does not tell the peak of memory')
def test_the_peak_is_of_the_process_itself():
    ballast = bytearray(b'x') * 300_000_000  # which the child is not to be blamed for
    done = subprocess.run([sys.executable, '-c', GROW], capture_output=True, text=True, check=True)
    assert len(ballast) == 300_000_000
    # What the child grew by: the array, but for what its imports had freed before.
    assert 50 < float(done.stdout) < 150


def test_there_is_memory_and_a_core():
    assert available_mb() > 0
    assert cores() >= 1


def test_products_are_computed_in_every_way_there_is():
    gemms = list(cpu_gemms(64, 2, threads=1))
    assert ('NumPy', 'fp32') in {(gemm.library, gemm.precision) for gemm in gemms}
    for gemm in gemms:
        assert gemm.flops in (2 * 64**3, 4 * 64**3)
        gemm.run()


@pytest.mark.parametrize('precision', ['fp32', 'int8'])
def test_a_row_of_products_gives_back_what_goes_in(precision):
    pytest.importorskip('onnxruntime', reason='onnxruntime is not installed')
    (gemm,) = (
        gemm
        for gemm in cpu_gemms(64, 3, threads=1)
        if (gemm.library, gemm.precision) == ('ONNX Runtime', precision)
    )
    (found,) = gemm.run()
    assert found == pytest.approx(1.0, abs=0.02)
