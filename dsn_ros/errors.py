"""Errors that the user can mend: one clear line naming the thing and the remedy.

The command prints the text of a :class:`UserError` and exits with 2; anything else is a fault
of ours and keeps its traceback.
"""

from dsn_core.errors import UserError

__all__ = ['BagError', 'MessageError', 'UserError']


class MessageError(UserError):
    """One message can't be used; the ones before and after it can."""


class BagError(UserError):
    """A bag, or a topic of it, can't be used."""
