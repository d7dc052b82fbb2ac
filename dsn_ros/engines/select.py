"""Which engine answers: the best that this machine can use, proven on the golden frame."""

import importlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

from dsn_core.golden import GoldenComparison, golden_frame
from dsn_core.metadata import Size
from dsn_ros.engines.base import Engine, EngineError, Precision, one_line
from dsn_ros.engines.model_file import ModelFile, read_model, shipped, shipped_model

__all__ = [
    'EngineStatus',
    'default_checkpoint',
    'default_model',
    'engine_class',
    'list_engines',
    'load_engine',
    'self_test',
]

# Best first. Nothing is imported before its turn: a robot that runs on OpenVINO loads no PyTorch.
_CANDIDATES = (
    ('tensorrt', 'cuda:0'),
    ('torch', 'cuda:0'),
    ('onnxruntime', 'cuda:0'),
    ('openvino', 'CPU'),
    ('onnxruntime', 'CPU'),
    ('torch', 'CPU'),
)
_CLASSES = {
    'tensorrt': 'TensorRtEngine',
    'torch': 'TorchEngine',
    'onnxruntime': 'OnnxRuntimeEngine',
    'openvino': 'OpenVinoEngine',
}

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineStatus:
    """Whether this machine can use an engine: ``why`` not, or which version on what."""

    name: str
    device: str
    usable: bool
    why: str


def default_model() -> Path:
    """The weights that ship with the package; raises EngineError if they don't."""
    return shipped_model()


def default_checkpoint() -> Path:
    """The same weights to train on from; raises EngineError if they don't ship."""
    return shipped('depthsegnet.safetensors')


def list_engines() -> list[EngineStatus]:
    """Every engine, best first, with whether this machine can use it and why not."""
    statuses = []
    for name, device in _CANDIDATES:
        try:
            statuses.append(EngineStatus(name, device, True, _check(name, device)))
        except EngineError as error:
            statuses.append(EngineStatus(name, device, False, str(error)))
    return statuses


def self_test(engine: Engine) -> GoldenComparison:
    """Run the golden frame and hold the answer against the exporting network's."""
    answer = engine.infer(golden_frame(engine.height, engine.width)[None])
    return engine.metadata.golden.compare(answer.depth[0], answer.labels[0])


def load_engine(
    model: str | Path | None = None,
    engine: str = 'auto',
    precision: str = 'auto',
    threads: int | None = None,
) -> Engine:
    """Load ``model`` (None: the default weights) and prove it on the golden frame.

    ``engine`` is 'auto' (the best that this machine can use), or 'tensorrt', 'torch',
    'onnxruntime', 'openvino', with ':cuda' or ':cpu' behind it to name the device.
    ``precision`` is 'auto' (the fastest that passes the golden frame), 'fp32', 'bf16', 'fp16' or
    'int8'. ``threads`` is the number of CPU threads (None: the engine's choice).

    Raises EngineError naming what is wrong with the model, the engine or the answers.
    """
    if precision not in ('auto', *get_args(Precision)):
        known = ', '.join(get_args(Precision))
        raise EngineError(f'precision {precision!r} is not known: take auto, {known}')
    if threads is not None and threads < 1:
        raise EngineError(f'threads must be at least 1, got {threads}')
    candidates = _candidates(engine)
    file = read_model(default_model() if model is None else model)
    reasons = []
    for name, device in candidates:
        try:
            _check(name, device)
        except EngineError as error:
            _logger.debug('%s on %s is not used: %s', name, device, error)
            reasons.append(f'{name} on {device}: {error}')
            continue
        try:
            return _load(file, name, device, precision, threads)
        except EngineError as error:
            # Usable here, and yet it failed: that is worth a warning where another one steps in.
            if (name, device) != candidates[-1]:
                _logger.warning('%s; trying the next engine', error)
            reasons.append(str(error))
    raise EngineError('; '.join(reasons))


def _candidates(engine: str) -> list[tuple[str, str]]:
    name, _, device = engine.partition(':')
    found = [
        (candidate, place)
        for candidate, place in _CANDIDATES
        if name in ('auto', candidate) and place.lower().startswith(device)
    ]
    if not found:
        known = ', '.join(('auto', *_CLASSES))
        raise EngineError(f'engine {engine!r} is not known: take {known}')
    return found


def engine_class(name: str) -> type[Engine]:
    """The class of the engine ``name``, 'openvino' for instance; its library is not loaded."""
    module = importlib.import_module(f'dsn_ros.engines.{name}_engine')
    found: type[Engine] = getattr(module, _CLASSES[name])
    return found


def _check(name: str, device: str) -> str:
    try:
        return engine_class(name).check(device)
    except EngineError:
        raise
    except Exception as error:  # whatever a broken installation raises
        raise EngineError(f'{name} does not work here: {one_line(error)}') from error


def _load(file: ModelFile, name: str, device: str, precision: str, threads: int | None) -> Engine:
    """Load in the first precision that passes the golden frame; raises EngineError."""
    failed: _OtherAnswersError | None = None
    for attempt in _precisions(file, name, device, precision):
        if failed is not None:
            _logger.warning('%s; trying %s', failed, attempt)
        make = partial(_proven, file, name, device, attempt, threads)
        try:
            engine = make(file.metadata.size)
        except _OtherAnswersError as error:
            failed = error
            continue
        if engine.fits_quickly:
            engine.fits_with(tuple(file.metadata.other_sizes), make)
        return engine
    assert failed is not None
    raise failed


class _OtherAnswersError(EngineError):
    """An engine answers, but not as the exported network did."""


def _proven(
    file: ModelFile, name: str, device: str, precision: Precision, threads: int | None, size: Size
) -> Engine:
    """An engine for ``size`` that passes its golden frame; raises EngineError."""
    start = time.monotonic()
    engine = None
    try:
        engine = engine_class(name)(file.at(size), device, precision, threads)
        comparison = self_test(engine)
    except Exception as error:  # each library has its own: all mean that it can't be used
        if engine is not None:
            engine.discard()
        if isinstance(error, EngineError):
            raise
        raise EngineError(f'{file.path} on {name} ({device}): {one_line(error)}') from error
    failure = comparison.failure(engine.precision)
    if failure is not None:
        engine.discard()
        raise _OtherAnswersError(
            f'{file.path} on {name} ({device}, {precision}) gives other answers than the exported '
            f'network: {failure}'
        )
    _logger.info(
        '%s on %s (%s, %s) for %dx%d: loaded in %.1f s; golden frame: depth within %.2g, '
        '%.1f%% of labels agree',
        file.path.name,
        name,
        device,
        precision,
        size[1],
        size[0],
        time.monotonic() - start,
        comparison.depth_error,
        100 * comparison.label_agreement,
    )
    return engine


def _precisions(file: ModelFile, name: str, device: str, wanted: str) -> Iterator[Precision]:
    offered = engine_class(name).precisions(file, device)
    if not offered:
        raise EngineError(
            f'{file.path} is an {file.metadata.precision} graph, which {name} cannot run: '
            'take another engine'
        )
    if wanted != 'auto' and wanted not in offered:
        raise EngineError(
            f'{file.path} ({file.metadata.precision}) on {name} ({device}) cannot be computed in '
            f'{wanted}, only in {", ".join(offered)}: take precision auto, or export another graph'
        )
    return (each for each in offered if wanted in ('auto', each))
