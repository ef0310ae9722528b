"""The account of a parser that takes a document apart: whatever it does not write it has to leave out by name.

White space is not counted, since parsers tidy it; everything else is, so that a piece of text that a parser walks past
stops the file instead of going missing.
"""

from __future__ import annotations

from ingest.types import IngestError, Omission


def weight(text: str) -> int:
    """Characters that are not white space."""
    return len("".join(text.split()))


class Ledger:
    """``given`` is counted apart from the reading, ``kept`` and ``leave`` by it, ``mark`` what it adds of its own."""

    def __init__(self) -> None:
        self._given = 0
        self._kept = 0
        self._marks = 0
        self._weight = 0
        self._left: dict[str, int] = {}

    def give(self, text: str) -> None:
        self._given += weight(text)

    def keep(self, text: str) -> None:
        self._kept += weight(text)

    def mark(self, text: str) -> str:
        """Count a bullet, a separator or a repeated column name that the parser writes; returns it."""
        self._marks += weight(text)
        return text

    def leave(self, reason: str, text: str) -> None:
        """Leave out ``text``; its white space is part of the number that the report shows."""
        self._left[reason] = self._left.get(reason, 0) + len(text)
        self._weight += weight(text)

    def settle(self, text: str) -> list[Omission]:
        """What was left out; IngestError when given != kept + left out, or ``text`` != kept + marks."""
        written = weight(text)
        if self._given != self._kept + self._weight or written != self._kept + self._marks:
            raise IngestError(
                f"does not add up: of {self._given} characters {self._kept} were kept and {self._weight} left out, and "
                f"{written - self._marks} were written; this is a fault in Openbook, please report it with the file."
            )
        return [Omission(reason, count) for reason, count in self._left.items() if count]
