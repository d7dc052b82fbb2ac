"""Small parts of the report's HTML."""

import base64
import html
import math
import numbers
from typing import Any

__all__ = ['DASH', 'TIMES', 'data_uri', 'number', 'section', 'text']

DASH = '\u2013'
TIMES = '\u00d7'


def text(value: object) -> str:
    """``value`` as HTML text or as an attribute's value in double quotes.

    A file's name may hold bytes that are no UTF-8 (lone surrogates in Python): shown as '?'.
    """
    clean = str(value).encode('utf-8', 'replace').decode('utf-8')
    return html.escape(clean, quote=True)


def number(value: Any, digits: int = 3) -> str:
    """A number for people: integers whole, others to ``digits`` significant ones, else a dash."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        return DASH
    if isinstance(value, numbers.Integral) or value == 0:
        return f'{float(value):,.0f}'
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(float(value)))))
    return f'{float(value):,.{min(decimals, 4)}f}'


def section(heading: str, body: str, kind: str = '') -> str:
    """A card of the page; ``body`` is HTML."""
    return f'<section class="card {kind}"><h2>{text(heading)}</h2>{body}</section>'


def data_uri(data: bytes, kind: str) -> str:
    """An encoded picture ('jpeg' or 'png') as an address that holds it."""
    return f'data:image/{kind};base64,{base64.b64encode(data).decode("ascii")}'
