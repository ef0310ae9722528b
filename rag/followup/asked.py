"""What was asked and answered before, as the rules for follow-ups see it."""

from __future__ import annotations

import re
from dataclasses import dataclass

MARKS = re.compile(r"\[\d+\]|[“”\"「」『』]")


@dataclass(frozen=True, slots=True)
class Asked:
    """The earlier question, made to stand alone; its answer; the titles of the documents that gave it, best first."""

    question: str
    answer: str
    titles: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """The beginning of the answer without marks of quotation and citation."""
        return MARKS.sub("", self.answer.strip())[:300]
