"""A training that is told to stop ends its step first, so that nothing that it learnt is lost."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ['Stopping', 'leave_signals_to_parent', 'told_to_stop']

_logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """Whether SIGINT (Ctrl-C) or SIGTERM has come."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Note the first signal; the second raises KeyboardInterrupt, wherever that is."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        _logger.warning('stopping after this step; once more: at once')


@contextmanager
def told_to_stop() -> Iterator[Stopping]:
    """Note SIGINT and SIGTERM until the end of the block, which is to look at ``asked``.

    A signal that is ignored stays so (``nohup``, a shell's background). Other threads than the
    main one cannot take signals: there it never is asked.
    """
    stopping = Stopping()
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, stopping.ask)
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_signals_to_parent(_: int) -> None:
    """Let a process that reads samples live until its parent ends it: Ctrl-C reaches both."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
