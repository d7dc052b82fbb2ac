"""What a figure was measured on, and how much memory is in use."""

import os
import platform
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dsn_core import __version__
from dsn_ros.engines import EngineError
from dsn_ros.engines.cuda import find_gpu

__all__ = ['available_mb', 'cores', 'machine', 'machine_line', 'peak_mb']

_LIBRARIES = ('openvino', 'onnxruntime', 'onnxruntime-gpu', 'tensorrt', 'torch', 'lightning')
# What makes networks fast or slow, where the processor says so (Linux on x86 and Arm).
_INSTRUCTIONS = (
    *('avx2', 'avx512f', 'avx512_vnni', 'avx_vnni', 'avx512_bf16', 'avx512_fp16'),
    *('amx_bf16', 'amx_int8', 'asimd', 'asimddp', 'asimdhp', 'bf16', 'i8mm', 'sve'),
)
_BUSY = 0.3  # load average per core from which on others are at work


def machine() -> dict[str, Any]:
    """Processor, GPU, memory, libraries, the date, and how busy the machine was beforehand."""
    load = os.getloadavg()[0]
    about: dict[str, Any] = {
        'processor': _cpu_field('model name') or platform.processor() or platform.machine(),
        'cores': cores(),
        'instructions': [i for i in _INSTRUCTIONS if i in _cpu_flags()],
        'gpu': _gpu(),
        'memory_gb': round(_memory_field('MemTotal', 0.0) / 1e3, 1),
        'system': f'{platform.system()} {platform.release()}',
        'python': platform.python_version(),
        'dsn_ros': __version__,
        'libraries': {'numpy': np.__version__, 'opencv': cv2.__version__, **_libraries()},
        'date': datetime.now(timezone.utc).strftime('%Y-%m-%d'),
        'load_average': round(load, 2),
        'busy': load > _BUSY * cores(),
    }
    return about


def machine_line(about: dict[str, Any]) -> str:
    """``about`` in one line for below a table."""
    parts = [
        f'{about["cores"]} cores of {about["processor"]}',
        *([about['gpu']] if about['gpu'] else []),
        ', '.join(f'{name} {version}' for name, version in about['libraries'].items()),
        about['date'],
    ]
    if about['busy']:
        parts.append(f'BUSY with other work (load average {about["load_average"]})')
    return '; '.join(parts)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def available_mb() -> float:
    """MB that a process could still take; infinite where the system does not tell."""
    return _memory_field('MemAvailable', float('inf'))


def peak_mb() -> float | None:
    """MB that this process had in memory at most; None where the system does not tell.

    Of this program alone: getrusage would tell the peak of whoever started it, if that was more.
    """
    for line in _lines('/proc/self/status'):
        if line.startswith('VmHWM:'):
            return int(line.split()[1]) * 1024 / 1e6
    return None


def _memory_field(name: str, otherwise: float) -> float:
    for line in _lines('/proc/meminfo'):
        if line.startswith(f'{name}:'):
            return int(line.split()[1]) * 1024 / 1e6
    return otherwise


def _cpu_field(name: str) -> str:
    for line in _lines('/proc/cpuinfo'):
        key, _, value = line.partition(':')
        if key.strip() == name:
            return value.strip()
    return ''


def _cpu_flags() -> set[str]:
    return set((_cpu_field('flags') or _cpu_field('Features')).split())


def _gpu() -> str:
    try:
        return find_gpu().name
    except EngineError:
        return ''


def _libraries() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
