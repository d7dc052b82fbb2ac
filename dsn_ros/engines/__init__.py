"""Engines: a deploy graph on whatever this machine has, all giving the same answers.

>>> engine = load_engine('model.onnx')  # doctest: +SKIP
>>> depth, labels, confidence = engine.infer(images)  # doctest: +SKIP

Importing this package loads no engine's library; ``load_engine`` loads the one it takes.
"""

from dsn_ros.engines.base import Engine, EngineError, Prediction
from dsn_ros.engines.model_file import SHIPPED, ModelFile, read_model, shipped_model
from dsn_ros.engines.select import (
    EngineStatus,
    default_checkpoint,
    default_model,
    list_engines,
    load_engine,
    self_test,
)

__all__ = [
    'SHIPPED',
    'Engine',
    'EngineError',
    'EngineStatus',
    'ModelFile',
    'Prediction',
    'default_checkpoint',
    'default_model',
    'list_engines',
    'load_engine',
    'read_model',
    'self_test',
    'shipped_model',
]
