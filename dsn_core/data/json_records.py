"""Reads JSON files that hold a list of objects and are larger than memory."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dsn_core.errors import UserError

__all__ = ['json_records']

CHUNK = 1 << 22  # characters
LONGEST = 1 << 24  # characters of one object; what goes on longer is damaged


def json_records(path: Path, chunk: int = CHUNK) -> Iterator[dict[str, Any]]:
    """The objects in the list that ``path`` holds, one by one, ``chunk`` characters a time.

    Raises UserError naming the file that is missing or no list of objects.
    """
    try:
        with path.open(encoding='utf-8') as stream:
            yield from _records(stream.read, chunk)
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror or error}') from error
    except ValueError as error:  # JSON's and Unicode's errors are such
        raise UserError(
            f'{path} is damaged ({" ".join(str(error).split())}): extract it again'
        ) from error


def _records(read: Callable[[int], str], chunk: int) -> Iterator[dict[str, Any]]:
    decode = json.JSONDecoder().raw_decode
    text, at = '', 1
    while not text and (more := read(chunk)):
        text = more.lstrip()
    if text[:1] != '[':
        raise ValueError('no list')
    while True:
        while at < len(text) and text[at] in ' \t\r\n,':
            at += 1
        if text[at : at + 1] == ']':
            return
        try:
            record, at = decode(text, at)
        except json.JSONDecodeError:
            more = read(chunk)
            if not more or len(text) - at > LONGEST:
                raise
            text, at = text[at:] + more, 0
            continue
        if not isinstance(record, dict):
            raise ValueError('no list of objects')
        yield record
