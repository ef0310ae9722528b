"""What a question about the whole collection asks for, as the rules of both languages tell it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["summary", "compare", "count"]
What = Literal["documents", "sections", "mentions", "mentioning"]


@dataclass(frozen=True, slots=True)
class Asked:
    """``topic``: what is summarised, or the term that is counted; "" for all of the scope.

    ``sides`` and ``aspect`` belong to a comparison, ``what`` and ``form`` (a kind of file) to a count. ``named``: the
    topic has to be a document of the store, else this is an ordinary question.
    """

    kind: Kind
    topic: str = ""
    sides: tuple[str, ...] = ()
    aspect: str = ""
    what: What = "documents"
    form: str = ""
    named: bool = False


def first(
    bare: str, opening: re.Pattern[str], chat: re.Pattern[str], readings: Sequence[Callable[[str], Asked | None]]
) -> Asked | None:
    """What the first of ``readings`` that knows the question says, without its polite ``opening``; None where it is
    about the ``chat`` itself."""
    while opened := opening.match(bare):
        bare = bare[opened.end() :]
    if not bare or chat.search(bare):
        return None
    return next((asked for read in readings if (asked := read(bare))), None)
