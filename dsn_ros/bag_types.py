"""Whether a bag means by a message type what we do: it brings definitions of its own."""

from collections.abc import Iterator
from typing import Any

from rosbags.typesys.store import Typestore

__all__ = ['unlike']


def unlike(found: Typestore, known: Typestore, type_name: str) -> str:
    """The first field that ``type_name`` has in ``known`` and not, or not so, in ``found``.

    As 'sensor_msgs/msg/Image.height', nested ones too; '' where all are there. Types that
    ``known`` does not have may be what they like.
    """
    if type_name not in known.fielddefs:
        return ''
    there = dict(found.fielddefs[type_name][1]) if type_name in found.fielddefs else {}
    for name, kind in known.fielddefs[type_name][1]:
        if there.get(name) != kind:
            return f'{type_name}.{name}'
        for nested in _names(kind):
            if inner := unlike(found, known, nested):
                return inner
    return ''


def _names(kind: Any) -> Iterator[str]:
    """Names of the message types in the library's description of a field."""
    if isinstance(kind, str):
        if '/msg/' in kind:
            yield kind
    elif isinstance(kind, tuple):
        for each in kind:
            yield from _names(each)
