"""What can be a row of the tables: a network, or a folder of anybody's predictions."""

import abc
from pathlib import Path
from typing import ClassVar

from dsn_core.choice import Choice
from dsn_core.errors import ConfigError
from dsn_core.evaluation.prediction import Predictor

__all__ = ['SHIPPED', 'Row']

SHIPPED = ('default', 'lite', 'lite2')
"""Names of the weights that come with the package."""


class Row(Choice):
    """A row that has to be scored; the members are frozen dataclasses."""

    name: str
    train: str
    """How it was trained, as Table 2 notes it: M, M+v, or a word."""
    baseline: ClassVar[bool] = False
    """Whether it answers without looking at the picture."""

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """The same for the same answers; raises UserError naming a file that is missing."""

    @abc.abstractmethod
    def load(self) -> Predictor:
        """Make it ready to answer; raises UserError naming what cannot be used."""

    @classmethod
    def parse(cls, text: str) -> dict[str, object]:
        """A path alone: a deploy graph, a checkpoint, a folder; or shipped weights by name."""
        if text in SHIPPED or text.endswith(('.onnx', '.safetensors')):
            return {'kind': 'model', 'path': text}
        if Path(text).is_dir():
            return {'kind': 'folder', 'path': text}
        raise ConfigError(
            f'is {text!r}: a row must be one of {", ".join(SHIPPED)}, a deploy graph (.onnx), a '
            'checkpoint (.safetensors) or a folder of predictions'
        )
