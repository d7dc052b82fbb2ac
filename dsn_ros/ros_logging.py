"""The library's Python logger, spoken through a node's logger."""

import logging
from collections.abc import Callable
from typing import Any

__all__ = ['RosLogHandler']


class RosLogHandler(logging.Handler):
    """Passes records of ``logging`` on to ``ros_logger``, the logger of a node, while ``alive``.

    Once ROS is shut down every line would bring another one, that /rosout is gone.
    """

    def __init__(self, ros_logger: Any, alive: Callable[[], bool]) -> None:
        super().__init__()
        self._ros_logger = ros_logger
        self._alive = alive

    def emit(self, record: logging.LogRecord) -> None:
        """Log ``record`` with ROS."""
        if not self._alive():
            return
        try:
            text = self.format(record)
            # One call per severity: rclpy ties a severity to the line that it is called from.
            if record.levelno >= logging.ERROR:
                self._ros_logger.error(text)
            elif record.levelno >= logging.WARNING:
                self._ros_logger.warning(text)
            elif record.levelno >= logging.INFO:
                self._ros_logger.info(text)
            else:
                self._ros_logger.debug(text)
        except Exception:
            self.handleError(record)
