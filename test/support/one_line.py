"""What every error of a user's must be."""

__all__ = ['one_line']


def one_line(error: Exception) -> str:
    """The text of ``error``; AssertionError unless it is one line and commands no terminal."""
    text = str(error)
    assert text.isprintable(), repr(text)
    assert 10 < len(text) < 2000, text
    return text
