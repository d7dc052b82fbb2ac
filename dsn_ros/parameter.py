"""One parameter of the node: what it is, and what it allows. Pure Python."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from dsn_core.errors import UserError

__all__ = ['Parameter']

Value = bool | int | float | str | tuple[str, ...]

_TYPE_WORDS = {
    bool: 'true or false',
    int: 'a whole number',
    float: 'a number',
    str: 'text',
    tuple: 'a list of texts',
}
_TYPE_NAMES = {bool: 'bool', int: 'integer', float: 'double', str: 'string', tuple: 'string array'}


@dataclass(frozen=True)
class Parameter:
    """One parameter; its type is that of ``default``.

    ``live``: a change takes effect with the next frame. The others are read when the node is
    configured and can't change until it is cleaned up. ``pattern``: what each text of a list must
    match.
    """

    name: str
    default: Value
    description: str
    unit: str = ''
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ''
    live: bool = False

    def problem(self, value: Any) -> str | None:
        """Return why ``value`` can't be this parameter's (naming it and the remedy), or None."""
        wanted = type(self.default)
        # bool is an int to Python, not to ROS; a double may be written without its point.
        fits = isinstance(value, wanted) or (wanted is float and isinstance(value, int))
        if wanted is tuple:
            return self._list_problem(value)
        if not fits or (isinstance(value, bool) and wanted is not bool):
            return (
                f'parameter {self.name} is {value!r}: it must be {_TYPE_WORDS[wanted]}'
                f'{self._remedy()}'
            )
        if self.choices and value not in self.choices:
            return f'parameter {self.name} is {value!r}: choose from {", ".join(self.choices)}'
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            low = -math.inf if self.minimum is None else self.minimum
            high = math.inf if self.maximum is None else self.maximum
            if not (math.isfinite(value) and low <= value <= high):
                return f'parameter {self.name} is {value}: set it within {self.range_text}'
        return None

    def read(self, text: str) -> Value:
        """Return the value that ``text``, of a command line, writes.

        Raises UserError with the problem of one that is not allowed.
        """
        value: Any = text
        try:
            if isinstance(self.default, float):
                value = float(text)
            elif not isinstance(self.default, str):
                value = yaml.safe_load(text)
        except (ValueError, yaml.YAMLError):
            pass  # the text stays, and is the problem
        problem = self.problem(value)
        if problem is not None:
            raise UserError(problem)
        return self.coerced(value)

    def coerced(self, value: Any) -> Value:
        """Return ``value``, which has no problem, in the parameter's own type."""
        if isinstance(self.default, tuple):
            return tuple(value) or ('',)  # ROS has no type for an empty list
        return type(self.default)(value)

    @property
    def range_text(self) -> str:
        """The values that are allowed, as a phrase; empty where every value of the type is."""
        if self.choices:
            return ', '.join(f"'{choice}'" for choice in self.choices)
        if self.minimum is None or self.maximum is None:
            return ''
        return f'{self.minimum:g} to {self.maximum:g}{" " + self.unit if self.unit else ""}'

    @property
    def type_name(self) -> str:
        """The type as ROS calls it."""
        return _TYPE_NAMES[type(self.default)]

    def _list_problem(self, value: Any) -> str | None:
        texts = (
            [] if isinstance(value, str) else list(value) if isinstance(value, Iterable) else None
        )
        if texts is None or isinstance(value, str) or not all(isinstance(e, str) for e in texts):
            return f'parameter {self.name} is {value!r}: it must be a list of texts'
        texts = [each for each in texts if each]
        for each in texts:
            if not re.fullmatch(self.pattern, each):
                return f'parameter {self.name} has {each!r}: it must match {self.pattern}'
        if len(set(texts)) < len(texts):
            return f'parameter {self.name} is {texts}: name each one once'
        return None

    def _remedy(self) -> str:
        return f' ({self.range_text})' if self.range_text else ''
