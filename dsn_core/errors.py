"""Errors that are the user's to mend."""

__all__ = ['UserError']


class UserError(Exception):
    """Bad input: one clear line that names the thing (file, topic, field) and the remedy.

    The command line prints it as it is and exits with 2; the node logs it.
    """
