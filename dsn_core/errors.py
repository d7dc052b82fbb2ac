"""Errors that are the user's to mend."""

__all__ = ['ConfigError', 'UserError', 'printable', 'quoted', 'require']

_QUOTED = 60  # characters of a foreign text that a message shows


class UserError(Exception):
    """Bad input: one clear line that names the thing (file, topic, field) and the remedy.

    The command line prints it as it is and exits with 2; the node logs it. Names from outside may
    be in it: control characters are written out, so that they end no line and command no terminal.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class ConfigError(UserError):
    """A configuration that cannot be used; the text names the field."""


def require(condition: bool, name: str, what: str, value: object) -> None:
    """Raise ConfigError saying that field ``name`` must be ``what``, unless ``condition``."""
    if not condition:
        raise ConfigError(f'{name} must be {what}, got {value!r}')


def printable(text: str) -> str:
    """``text`` with its control characters written out, as Python does it in a literal."""
    return ''.join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def quoted(text: object) -> str:
    """A text from outside (a field of a message, a name in a file) for an error's one line.

    In quotes, without control characters, and not longer than a line bears.
    """
    shown = str(text)
    return repr(shown if len(shown) <= _QUOTED else f'{shown[:_QUOTED]}...')
