"""What became of each question of an evaluation, and examples of what went wrong."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rag import metrics
from rag.questions import Question
from rag.types import Answer, Citation

KINDS = (
    "wrong passage retrieved",
    "wrong sentence",
    "wrong span",
    "refused though answerable",
    "answered though not in the documents",
)
LONGEST = 240  # characters of a cell of the table


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question as asked; ``removed``: without its paragraph, so that nothing can answer it.

    ``shown`` are the quotations that would be shown were nothing refused; ``holds``: a right answer stands in them,
    and the paragraph that gives it was there; ``found``: that paragraph is among the passages.
    """

    question: Question
    removed: bool
    answer: Answer
    shown: list[Citation]
    holds: bool
    found: bool

    @property
    def answerable(self) -> bool:
        return self.question.answerable and not self.removed


def failure(outcome: Outcome, language: str) -> str | None:
    """The kind of `KINDS` that an outcome is, the first cause that explains it; None when nothing is wrong.

    A span is wrong when it shares no word with a right answer, although the sentence shown with it holds one.
    """
    if not outcome.answerable:
        return None if outcome.answer.refused else KINDS[4]
    if outcome.answer.refused:
        return KINDS[3] if outcome.found else KINDS[0]
    if not outcome.holds:
        return KINDS[1] if outcome.found else KINDS[0]
    first = outcome.shown[0]
    wrong = first.exact and metrics.f1(first.quote, outcome.question.golds, language) == 0
    return KINDS[2] if wrong else None


def failures(outcomes: Iterable[Outcome], count: int, seed: int, language: str) -> list[dict[str, str | float]]:
    """``count`` failures, drawn by seed, as evenly over the kinds as there are any."""
    rng = random.Random(seed)
    by_kind: dict[str, list[Outcome]] = {kind: [] for kind in KINDS}
    for outcome in outcomes:
        kind = failure(outcome, language)
        if kind is not None:
            by_kind[kind].append(outcome)
    for found in by_kind.values():
        rng.shuffle(found)
    turns = [(turn, kind) for kind in KINDS for turn in range(len(by_kind[kind]))]
    drawn = sorted(turns, key=lambda place: (place[0], KINDS.index(place[1])))[:count]
    return [_row(kind, by_kind[kind][turn]) for turn, kind in sorted(drawn, key=lambda place: KINDS.index(place[1]))]


def _row(kind: str, outcome: Outcome) -> dict[str, str | float]:
    golds = outcome.question.golds
    return {
        "kind": kind,
        "question": outcome.question.text,
        "right": golds[0] if golds else "",
        "paragraph_removed": outcome.removed,
        "shown": " … ".join(c.quote for c in outcome.shown) if not outcome.answer.refused else "",
        "confidence": outcome.answer.confidence,
    }


def table(rows: Sequence[dict[str, str | float]]) -> str:
    """Failures as a table in Markdown."""
    lines = ["| what went wrong | question | right answer | shown | confidence |", "|---|---|---|---|---|"]
    for row in rows:
        right = "none (its paragraph was taken away)" if row["paragraph_removed"] else _cell(row["right"]) or "none"
        shown = _cell(row["shown"]) or "a refusal"
        lines.append(f"| {row['kind']} | {_cell(row['question'])} | {right} | {shown} | {row['confidence']:.2f} |")
    return "\n".join(lines)


def _cell(value: str | float) -> str:
    text = " ".join(str(value).split())
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return text.replace("\\", "\\\\").replace("|", "\\|")
