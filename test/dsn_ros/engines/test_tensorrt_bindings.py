"""Every name and argument that our TensorRT code uses, held against the real bindings.

Nothing here needs a GPU. ``tensorrt_bindings`` alone will do, with stub libraries that offer
the ten C symbols that it wants.
"""

import importlib
import inspect
import logging
from typing import Any

import pytest

from dsn_ros.engines import tensorrt_engine
from dsn_ros.engines.tensorrt_engine import REQUIRED_API


def real_bindings() -> Any:
    for name in ('tensorrt', 'tensorrt_bindings'):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    pytest.skip('neither tensorrt nor tensorrt_bindings is installed')


def find(module: Any, name: str) -> Any:
    found = module
    for part in name.split('.'):
        found = getattr(found, part)
    return found


def test_real_bindings_have_all_that_is_used():
    trt = real_bindings()
    for name, words in REQUIRED_API.items():
        found = find(trt, name)  # AttributeError names what is missing
        text = found if isinstance(found, str) else inspect.getdoc(found) or ''
        for word in words:
            assert word in text, f'{name} takes no {word}'


def test_real_bindings_take_our_logger(caplog: pytest.LogCaptureFixture):
    trt = real_bindings()
    logger = tensorrt_engine._logger_for(trt)
    assert int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) >= 0
    with caplog.at_level(logging.DEBUG):
        logger.log(trt.ILogger.ERROR, 'bad')
        logger.log(trt.ILogger.VERBOSE, 'chatter')
    assert [r.getMessage() for r in caplog.records] == ['TensorRT: bad']
