"""Feedback as regression cases: what was liked must stay, what was disliked must change.

``python -m app feedback`` prints one JSON line for each answer with a thumb; with ``--again`` it asks each question
once more, by the chain as it is now, and says whether the quotations are still the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.conversations.asking import history
from app.conversations.export import as_json
from app.conversations.records import ConversationError, Rating, StoredTurn
from app.conversations.store import FILE, Conversations
from ingest.command_line import Parser
from ingest.types import IngestError
from rag.types import Answer, RagError

if TYPE_CHECKING:
    from app.workspace import Chain


def cases(kept: Conversations, owner: str | None = None, rating: Rating = "") -> Iterator[dict[str, Any]]:
    """One case for each rated answer, the disliked first: the question as it was asked, what was said, and why it was
    liked or not.
    """
    both: tuple[Rating, ...] = ("down", "up")
    for wanted in (rating,) if rating else both:
        for name, turn in kept.rated(owner, wanted):
            if turn.answer is not None:
                yield {"owner": name, **as_json(turn), "asked": asked(kept, name, turn)}


def asked(kept: Conversations, owner: str, turn: StoredTurn) -> dict[str, Any]:
    """What the chain was given."""
    return {**turn.options, "question": turn.question, "history": history(kept.before(owner, turn.id))}


def said(answer: Answer) -> list[tuple[str, int, int]] | str:
    """What makes two answers the same: where their quotations stand, or their words when nothing is quoted."""
    spans = sorted((citation.source, citation.start, citation.end) for citation in answer.citations)
    return spans or answer.answer


def again(case: dict[str, Any], chain: Chain) -> dict[str, Any]:
    """The case with the answer of today: ``changed``, and ``regressed`` when that was not to be."""
    now: Answer | None = None
    for event in chain.stream(case["asked"]):
        now = event.get("answer", now)
    assert now is not None
    changed = said(now) != said(Answer.model_validate(case["answer"]))
    regressed = changed == (case["feedback"]["rating"] == "up")
    return {**case, "now": now.model_dump(mode="json"), "changed": changed, "regressed": regressed}


def parser() -> argparse.ArgumentParser:
    flags = Parser(prog="python -m app feedback", description="Answers with a thumb, one JSON line each.")
    flags.add_argument("--store", help="folder of the index (default: OPENBOOK_STORE or .openbook)")
    flags.add_argument("--model", help="model that answers with --again (default: OPENBOOK_MODEL or bundled)")
    flags.add_argument("--rating", choices=("up", "down"), default="", help="only these")
    flags.add_argument("--owner", help="only this user's")
    flags.add_argument("--again", action="store_true", help="ask each again and compare the quotations")
    return flags


def main(arguments: list[str]) -> int:
    """0: printed; 1: with --again, a liked answer has changed or a disliked one has not; 2: nothing could be done."""
    chosen = parser().parse_args(arguments)
    from rag.settings import load

    try:
        settings = load(store=chosen.store, model=chosen.model)
        kept = Conversations(Path(settings.store) / FILE)
        found = list(cases(kept, chosen.owner, chosen.rating))
        regressed = 0
        if chosen.again and found:
            from app.workspace import Workspace

            chain = Workspace(settings.store, settings.model).chain()
        for case in found:
            line = again(case, chain) if chosen.again else case
            regressed += bool(line.get("regressed"))
            print(json.dumps(line, ensure_ascii=False), flush=True)
    except (RagError, IngestError, ConversationError) as error:
        print(error, file=sys.stderr)
        return 2
    if chosen.again:
        print(f"{len(found)} answers, {regressed} not as they should be", file=sys.stderr)
    return 1 if regressed else 0
