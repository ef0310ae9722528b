"""A conversation as the page holds it: one `Turn` per question."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from rag.types import Answer, Source

Status = Literal["waiting", "running", "done", "stopped", "failed"]


@dataclass(slots=True)
class Turn:
    """One question in the version on view, and what became of it.

    ``text`` is what has streamed in so far; ``reason`` is HTML (already escaped) that says why a turn failed.
    ``versions`` are the ids of all versions, the oldest first; ``id`` is this one's. ``position``: how many answers
    come before it in the queue.
    """

    question: str
    status: Status = "waiting"
    stage: str = "waiting"
    sources: list[Source] = field(default_factory=list)
    text: str = ""
    answer: Answer | None = None
    reason: str = ""
    seconds: float = 0.0
    id: int = 0
    versions: list[int] = field(default_factory=list)
    rating: str = ""
    reasons: list[str] = field(default_factory=list)
    comment: str = ""
    position: int = 0
    rewritten: str = ""
    plan: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        return self.status in ("waiting", "running")


# The chain rewrites a follow-up from what came before; more than this only pushes passages out of the budget.
HISTORY_TURNS = 6


def history(turns: list[Turn]) -> list[dict[str, str]]:
    """The answered turns as the messages the chain takes, oldest first."""
    messages: list[dict[str, str]] = []
    for turn in turns[-HISTORY_TURNS:]:
        if turn.answer is not None:
            messages.append({"role": "user", "content": turn.question})
            messages.append({"role": "assistant", "content": turn.answer.answer})
    return messages
