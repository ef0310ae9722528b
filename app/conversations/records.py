"""A conversation, its turns, and what may be wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from app.job import Status
from rag.types import Answer

Rating = Literal["", "up", "down"]
RATINGS: tuple[Rating, ...] = ("", "up", "down")


class ConversationError(Exception):
    """What was wrong: ``key`` and ``values`` name the sentence for the page, ``str`` is the English one."""

    def __init__(self, key: str, **values: int | str) -> None:
        super().__init__(key)
        self.key, self.values = key, values

    def __str__(self) -> str:
        from app.i18n import say

        return say("en", self.key, **self.values)


class NotFound(ConversationError):
    """No such conversation or turn, or it is another owner's, which is told in the same words."""

    def __init__(self) -> None:
        super().__init__("conversations.not_found")


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation in the list; times are Unix seconds; ``snippet`` is plain text around what was searched for."""

    id: str
    title: str
    created: float
    updated: float
    turns: int
    snippet: str = ""


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """One question and what became of it.

    Turns form a tree: an edited question and a regenerated answer stand beside the earlier version, under the same
    ``parent`` (None: the first of the conversation); ``versions`` are the ids of all of them, oldest first, this one's
    place among them is ``version`` (from 1). ``number`` is the turn's place in its thread, from 0. ``options`` is what
    the chain was asked with besides question and history. ``reasons`` are codes of the page's feedback form.
    """

    id: int
    conversation: str
    parent: int | None
    question: str
    number: int = 0
    version: int = 1
    versions: Sequence[int] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    status: Status = "waiting"
    job: str = ""
    answer: Answer | None = None
    error: str = ""
    seconds: float = 0.0
    created: float = 0.0
    rating: Rating = ""
    reasons: Sequence[str] = ()
    comment: str = ""

    @property
    def open(self) -> bool:
        return self.status in ("waiting", "running")
