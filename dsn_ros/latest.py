"""Hand the newest items from one thread to another; older ones that nobody took are replaced."""

import threading
from typing import Generic, TypeVar

__all__ = ['Latest']

Item = TypeVar('Item')


class Latest(Generic[Item]):
    """A slot for one item of each source.

    A queue in front of a slow engine only ever makes its answers older; this keeps none.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: dict[str, Item] = {}
        self._closed = False

    def put(self, source: str, item: Item) -> bool:
        """Store the ``item`` of ``source``; return whether that replaced one not taken."""
        with self._changed:
            replaced = source in self._items
            self._items[source] = item
            self._changed.notify()
            return replaced

    def take(self) -> dict[str, Item] | None:
        """Wait for an item and take out all that are there; None once the slots are closed.

        In the order in which their sources began to wait: who is fast never overtakes who is slow.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or bool(self._items))
            items, self._items = self._items, {}
            return None if self._closed else items

    def clear(self) -> None:
        """Forget the items that are waiting."""
        with self._changed:
            self._items = {}

    def close(self) -> None:
        """Let every ``take`` return None, now and from now on."""
        with self._changed:
            self._closed = True
            self._items = {}
            self._changed.notify_all()
