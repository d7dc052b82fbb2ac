"""Configuration fields that can be one of several things, told apart by ``kind``.

A family is a class that derives from ``Choice`` directly; its members are frozen dataclasses that
derive from the family and name their kind. A member registers itself by being defined, so that a
package which knows more (of bags, say) can add to a family of this one by being imported.
"""

import abc
from typing import ClassVar

from dsn_core.errors import ConfigError

__all__ = ['Choice']


class Choice(abc.ABC):
    """Base of the families.

    In a configuration a member is written as a mapping: its ``kind`` and the fields of its
    dataclass. A text alone stands for ``parse(text)``, where the family has such a shorthand.
    """

    kinds: ClassVar[dict[str, type['Choice']]]
    """Members of this family by their kind."""
    kind: ClassVar[str]
    """The member's own kind."""

    def __init_subclass__(cls, kind: str = '', **others: object) -> None:
        super().__init_subclass__(**others)
        if Choice in cls.__bases__:
            cls.kinds = {}
        elif kind:
            cls.kind = kind
            cls.kinds[kind] = cls

    @classmethod
    def parse(cls, text: str) -> dict[str, object]:
        """Fields (``kind`` among them) that ``text`` is short for: a kind without fields, here.

        Raises ConfigError if the text is short for nothing.
        """
        if text not in cls.kinds:
            raise ConfigError(f'must be one of {", ".join(cls.kinds)}, got {text!r}')
        return {'kind': text}
