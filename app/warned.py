"""An answer's warnings in the reader's language: the chain says them in English, to every door alike."""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from string import Formatter

from app.i18n import TEXT, both

KEYS = (
    "warning.context",
    "warning.crossed",
    "warning.dropped",
    "warning.no_answer",
    "warning.no_weights",
    "warning.nothing_quoted",
    "warning.only_quotes",
    "warning.strategy",
    "warning.unsupported",
)


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Each key with what its English sentence matches, values as named groups."""
    found = []
    for key in KEYS:
        parts = [
            re.escape(text) + (f"(?P<{name}>.+?)" if name else "")
            for text, name, _, _ in Formatter().parse(TEXT["en"][key])
        ]
        found.append((key, re.compile("".join(parts), re.DOTALL)))
    return found


def warned(sentence: str) -> str:
    """The warning as HTML in both languages; one that is not known as it is, escaped."""
    for key, pattern in _patterns():
        match = pattern.fullmatch(sentence)
        if match is not None:
            return both(key, **match.groupdict())
    return escape(sentence)
