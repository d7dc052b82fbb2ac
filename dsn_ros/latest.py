"""Hand the newest item from one thread to another; older ones that nobody took are replaced."""

import threading
from typing import Generic, TypeVar

__all__ = ['Latest']

Item = TypeVar('Item')


class Latest(Generic[Item]):
    """A slot for one item.

    A queue in front of a slow engine only ever makes its answers older; this keeps none.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: Item | None = None
        self._closed = False

    def put(self, item: Item) -> bool:
        """Store ``item``; return whether that replaced one that was not taken."""
        with self._changed:
            replaced = self._item is not None
            self._item = item
            self._changed.notify()
            return replaced

    def take(self) -> Item | None:
        """Wait for an item and take it out; None once the slot is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._item is not None)
            item, self._item = self._item, None
            return None if self._closed else item

    def clear(self) -> None:
        """Forget the item that is waiting, if there is one."""
        with self._changed:
            self._item = None

    def close(self) -> None:
        """Let every ``take`` return None, now and from now on."""
        with self._changed:
            self._closed = True
            self._item = None
            self._changed.notify_all()
