"""Frames that cannot be read: named, counted and left out, until there are too many of them."""

import logging
from collections.abc import Callable, Hashable
from typing import Any

from numpy.typing import NDArray

from dsn_core.errors import UserError

__all__ = ['Damaged']

_logger = logging.getLogger(__name__)

_SHARE = 0.05  # of the frames: more is no accident of single files
_FEWEST = 3  # frames that may be damaged however few there are


class Damaged:
    """The damaged ones of the ``total`` frames of ``what`` (a recording's path)."""

    def __init__(self, what: object, total: int) -> None:
        self.what = what
        self.total = total
        self._known: set[Hashable] = set()
        self._size: tuple[int, ...] | None = None

    @property
    def count(self) -> int:
        """How many were left out."""
        return len(self._known)

    def picture(
        self, name: object, read: Callable[[], NDArray[Any]], size: tuple[int, int] | None = None
    ) -> NDArray[Any] | None:
        """What ``read`` gives, (H, W, ...), or None if it is to be left out.

        It must be of ``size`` (H, W), or without one of that of the first. ``name``: of the file.
        Raises UserError where too many are left out.
        """
        try:
            found = read()
            expected = size or self._size
            if expected is not None and found.shape[:2] != expected:
                (height, width), (rows, columns) = found.shape[:2], expected
                raise UserError(
                    f'{name} is {width}x{height}, the other pictures are {columns}x{rows}'
                )
        except UserError as error:
            self.leave_out(error)
            return None
        self._size = found.shape[:2]
        return found

    def leave_out(self, error: UserError, frame: Hashable = None) -> None:
        """Count a frame that cannot be read, and log why; a ``frame`` counts once.

        Raises UserError where that makes too many.
        """
        frame = self.count if frame is None else frame
        if frame in self._known:
            return
        self._known.add(frame)
        if self.count > max(_FEWEST, _SHARE * self.total) or self.count == self.total:
            raise UserError(
                f'{self.what}: {self.count} of {self.total} frames cannot be read, too many to '
                f'leave out; the last one: {error}'
            ) from error
        _logger.warning('left out: %s', error)

    def tell(self) -> None:
        """Log how many frames were left out, if any."""
        if self.count:
            _logger.warning(
                '%s: %d of %d frames cannot be read and are left out',
                self.what,
                self.count,
                self.total,
            )
