"""Follow-up questions: made to stand alone before anything is searched.

By rules, for a model that only reads; one that writes rewrites through a prompt. The subject of a conversation is what
the earlier question shares with the title of the document that answered it; without such a title it is the name in the
question, and without a name its content words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage, BaseMessage

from ingest.fold import language
from rag.followup import chinese, english
from rag.followup.asked import Asked

__all__ = ["FollowUp", "leans", "resolve"]

TURNS = 6  # earlier messages that are looked at


@dataclass(frozen=True, slots=True)
class FollowUp:
    """``question`` stands alone; ``same``: it may be about what the earlier question was about."""

    question: str
    same: bool


def leans(question: str) -> bool:
    """Whether a question says itself that it needs what came before: a pronoun, "what about", hardly a word."""
    return chinese.leans(question) if language(question) == "zh" else english.leans(question)


def resolve(
    question: str,
    history: Sequence[BaseMessage],
    titles: Sequence[str] = (),
    named: Callable[[str], bool] | None = None,
) -> FollowUp:
    """The question with what it leaves unsaid put in; one that stands alone comes back unchanged.

    ``titles``: of the documents that answered the last question, best first. ``named``: whether there is a document
    of that name, where that can be found out.
    """
    turns = list(history)[-TURNS:]
    rules = chinese if language(question) == "zh" else english
    last = max((i for i, turn in enumerate(turns) if not isinstance(turn, AIMessage)), default=-1)
    if last < 0:
        return FollowUp(question, False)
    before = turns[last].text.strip()
    if before == question.strip():
        return resolve(question, turns[:last], titles, named)
    if not rules.leans(question):
        return FollowUp(question, rules.open_ended(question))
    if leans(before):
        before = resolve(before, turns[:last]).question
    answer = " ".join(turn.text for turn in turns[last + 1 :])
    text, same = rules.complete(question, Asked(before, answer, tuple(titles)), named)
    return FollowUp(text, same)
