"""Work of several stages, each in a thread: one thing is written while the next is looked at."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

__all__ = ['Stages']


class Stages:
    """Hands things through functions, in their order, each function in a thread of its own.

    The first function takes what is ``put``, every other one what the one before it returned.
    ``ahead``: so many things are under way at once; ``put`` waits where there are more. What a
    function raises comes out of ``put`` or ``drain``, once all things before it are through. To be
    used as a context: at its end nothing runs any more, and what had not begun never does.
    """

    def __init__(self, *functions: Callable[[Any], Any], ahead: int = 4) -> None:
        if not functions or ahead < 1:
            raise ValueError(f'stages need functions and room ahead, got {functions}, {ahead}')
        self._functions = functions
        self._ahead = ahead
        self._threads = [ThreadPoolExecutor(1, 'stage') for _ in functions]
        self._under_way: deque[Future[Any]] = deque()

    def __enter__(self) -> 'Stages':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The first stage first: the others wait for nothing but those before them.
        for thread in self._threads:
            thread.shutdown(wait=True, cancel_futures=True)
        self._under_way.clear()

    def put(self, thing: Any) -> None:
        """Begin with ``thing``."""
        while self._under_way and (
            len(self._under_way) >= self._ahead or self._under_way[0].done()
        ):
            self._under_way.popleft().result()
        future = self._threads[0].submit(self._functions[0], thing)
        for thread, function in zip(self._threads[1:], self._functions[1:], strict=True):
            future = thread.submit(_then, function, future)
        self._under_way.append(future)

    def drain(self) -> None:
        """Wait until everything is through."""
        while self._under_way:
            self._under_way.popleft().result()


def _then(function: Callable[[Any], Any], before: Future[Any]) -> Any:
    return function(before.result())
