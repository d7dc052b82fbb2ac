"""Part limits: how fast this machine can multiply and move memory, whatever runs on it."""

import itertools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from dsn_core.evaluation.tables import Block, Line, Table
from dsn_ros.bench.gemm import Gemm, cpu_gemms, gpu_gemms
from dsn_ros.bench.machine import available_mb, cores
from dsn_ros.bench.options import BenchOptions
from dsn_ros.bench.part import Show, figure, rounded
from dsn_ros.bench.race import Contender, Race

__all__ = ['Limits']

_COPIED = 256 * 2**20  # bytes: more than any cache
_NEEDED_MB = 1500
_COPY = 'copy'


class Limits:
    """The best of all rounds and libraries is the limit: nothing was seen to be faster."""

    name = 'limits'

    def __init__(self, options: BenchOptions) -> None:
        self.skipped: dict[str, str] = {}
        self._options = options
        # By device and precision: the best GFLOP/s of each library. By device: the best GB/s.
        self._gflops: dict[str, dict[str, dict[str, float]]] = {}
        self._bandwidth: dict[str, float] = {}

    def measure(self, show: Show) -> None:
        if available_mb() < _NEEDED_MB:
            self.skipped['limits'] = f'less than {_NEEDED_MB} MB of memory are free'
            return
        side, layers = self._options.gemm
        threads = self._options.threads
        self._race('CPU', cpu_gemms(side, layers, threads), _CpuCopy(threads or cores()), show)
        gemms = list(gpu_gemms())
        if gemms:
            self._race('cuda:0', gemms, _gpu_copy(), show)

    def gflops(self, device: str, precision: str) -> float | None:
        """Largest GFLOP/s (for int8, GOP/s) seen; None where it was not measured."""
        found = self._gflops.get(device, {}).get(precision)
        return max(found.values()) if found else None

    def as_json(self) -> dict[str, Any]:
        return {
            device: {
                'gemm_gflops': {
                    precision: {
                        'best': rounded(max(found.values())),
                        'by': _fastest(found),
                        'libraries': {name: rounded(value) for name, value in found.items()},
                    }
                    for precision, found in by_precision.items()
                },
                'bandwidth_gb_s': rounded(self._bandwidth.get(device)),
            }
            for device, by_precision in self._gflops.items()
        }

    def tables(self) -> list[Table]:
        lines = []
        for device, by_precision in self._gflops.items():
            for precision, found in by_precision.items():
                unit = 'GOP/s' if precision == 'int8' else 'GFLOP/s'
                cells = (f'{max(found.values()):.0f} {unit}', _fastest(found))
                lines.append(Line(f'matrix product, {precision}, {device}', 'ours', cells))
            cells = (f'{figure(self._bandwidth.get(device))} GB/s', 'read and written together')
            lines.append(Line(f'copy of memory, {device}', 'ours', cells))
        if not lines:
            return []
        note = 'The best of all rounds and of the libraries that are here.'
        columns = ('limit', 'reached', 'by')
        return [Table("The machine's own limits", note, columns, (Block('', tuple(lines)),))]

    def _race(
        self, device: str, gemms: Iterable[Gemm], copy: Callable[[], object], show: Show
    ) -> None:
        by_name = {f'{gemm.library} {gemm.precision}': gemm for gemm in gemms}
        contenders = [Contender(name, gemm.run) for name, gemm in by_name.items()]
        race = Race([*contenders, Contender(_COPY, copy)], self._options.turn)
        try:
            with show(f'limits of {device}') as progress:
                race.run(self._options.rounds, progress)
        finally:
            self._keep(device, by_name, race)
            self.skipped |= {f'{name} ({device})': why for name, why in race.failed.items()}

    def _keep(self, device: str, gemms: dict[str, Gemm], race: Race) -> None:
        best = {name: min(race.walls(name)) for name in race.measured()}
        copied = best.pop(_COPY, None)
        if copied is not None:
            self._bandwidth[device] = 2 * _COPIED / copied / 1e9
        for name, seconds in best.items():
            by_precision = self._gflops.setdefault(device, {})
            found = by_precision.setdefault(gemms[name].precision, {})
            found[gemms[name].library] = gemms[name].flops / seconds / 1e9


class _CpuCopy:
    """Copies more than any cache holds, with every thread a share of it."""

    def __init__(self, threads: int) -> None:
        self._from = np.ones(_COPIED, dtype=np.uint8)
        self._to = np.zeros_like(self._from)
        edges = np.linspace(0, _COPIED, threads + 1).astype(int)
        self._shares = [slice(a, b) for a, b in itertools.pairwise(edges)]
        self._pool = ThreadPoolExecutor(threads)

    def __call__(self) -> None:
        list(self._pool.map(self._copy, self._shares))

    def _copy(self, share: slice) -> None:
        np.copyto(self._to[share], self._from[share])


def _gpu_copy() -> Callable[[], object]:
    import torch

    source = torch.ones(_COPIED, dtype=torch.uint8, device='cuda:0')
    target = torch.empty_like(source)

    def run() -> None:
        target.copy_(source)
        torch.cuda.synchronize()

    return run


def _fastest(found: dict[str, float]) -> str:
    return max(found, key=found.__getitem__)
