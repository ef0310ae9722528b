"""Strategies side by side on the same questions: what each finds, quotes, refuses and costs."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rag import metrics
from rag.chain import AnswerChain, build_chain
from rag.questions import Question, build_store, read
from rag.settings import Settings
from rag.strategies.names import check
from rag.tuning.check import interval
from rag.types import Answer

QUESTIONS = 100  # unless --limit says otherwise: a strategy of eight calls takes its time
_MEASURES = ("recall", "em", "f1", "answer_in_quote", "refused_answerable", "refused_unanswerable", "calls", "seconds")


@dataclass(frozen=True, slots=True)
class _Row:
    """One answer, measured; None where the question has no such figure."""

    recall: float | None
    em: float | None
    f1: float | None
    answer_in_quote: float | None
    refused_answerable: float | None
    refused_unanswerable: float | None
    calls: float
    seconds: float


def compare_strategies(
    path: Path, names: Sequence[str], settings: Settings, limit: int | None = None
) -> dict[str, Any]:
    """Figures of each strategy on a question file, and the difference of every later one from the first.

    ``recall``: the paragraph of the question is among the passages. A difference comes with its 95 % interval, a paired
    bootstrap over paragraphs. RagError for an unknown strategy or a file of another shape.
    """
    names = list(dict.fromkeys(check(name) for name in names))
    questions = read(path).spread(QUESTIONS if limit is None else limit)
    with tempfile.TemporaryDirectory(prefix="openbook-strategies-") as folder:
        documents = build_store(questions, Path(folder))
        options = settings.model_dump(exclude={"store", "strategy"})
        with closing(build_chain(Path(folder) / "store", **options)) as chain:
            chain.invoke(questions.questions[0].text)  # loads what is loaded at the first question
            asked = {}
            for name in names:
                asked[name] = [
                    _ask(chain, q, documents[q.paragraph], name, questions.language) for q in questions.questions
                ]
                print(f"{path.name}: {name} done", file=sys.stderr, flush=True)
            model = chain.model.name
    found: dict[str, Any] = {"questions": len(questions.questions), "model": model, "mode": settings.mode}
    found["strategies"] = {name: _figures(rows) for name, rows in asked.items()}
    first, places = names[0], [q.paragraph for q in questions.questions]
    found["difference"] = {name: _difference(asked[first], asked[name], places) for name in names[1:]}
    return found


def _ask(chain: AnswerChain, question: Question, gold: int, name: str, language: str) -> _Row:
    began = time.perf_counter()
    answer: Answer = chain.invoke({"question": question.text, "strategy": name})
    took = time.perf_counter() - began
    if not question.answerable:
        return _Row(None, None, None, None, None, float(answer.refused), answer.calls, took)
    said = answer.answer if answer.mode == "compose" else answer.citations[0].quote if answer.citations else ""
    held = metrics.contains_answer([c.quote for c in answer.citations], question.golds, language)
    return _Row(
        recall=float(any(source.doc_id == gold for source in answer.sources)),
        em=metrics.exact_match(said, question.golds, language) if not answer.refused else 0.0,
        f1=metrics.f1(said, question.golds, language) if not answer.refused else 0.0,
        answer_in_quote=float(held and not answer.refused),
        refused_answerable=float(answer.refused),
        refused_unanswerable=None,
        calls=answer.calls,
        seconds=took,
    )


def _figures(rows: Sequence[_Row]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name in _MEASURES:
        values = [value for row in rows if (value := getattr(row, name)) is not None]
        found[name] = round(float(np.mean(values)), 4) if values else None
    times = [row.seconds for row in rows]
    found["seconds_p50"], found["seconds_p95"] = (round(float(np.percentile(times, q)), 4) for q in (50, 95))
    return found


def _difference(first: Sequence[_Row], other: Sequence[_Row], places: Sequence[int]) -> dict[str, dict[str, Any]]:
    found = {}
    for name in ("recall", "em", "f1", "answer_in_quote"):
        rows = [
            (getattr(a, name), getattr(b, name), place)
            for a, b, place in zip(first, other, places, strict=True)
            if getattr(a, name) is not None
        ]
        if not rows:
            continue
        before, after = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
        low, high = interval(before, after, [str(row[2]) for row in rows])
        verdict = "noise" if low <= 0 <= high else "better" if low > 0 else "worse"
        found[name] = {"gain": round(float((after - before).mean()), 4), "interval_95": [low, high], "verdict": verdict}
    return found


def report(name: str, found: dict[str, Any]) -> str:
    """The figures as a table to read."""
    heads = ("recall", "em", "f1", "in quote", "refused", "refused none", "calls", "s mean")
    lines = [
        f"{name}: {found['questions']} questions, model {found['model']}, mode {found['mode']}",
        f"  {'':18}" + "".join(f"{head:>14}" for head in heads),
    ]
    for strategy, figures in found["strategies"].items():
        cells = "".join(f"{'–' if figures[m] is None else format(figures[m], '.3f'):>14}" for m in _MEASURES)
        lines.append(f"  {strategy:18}{cells}")
    for strategy, rows in found["difference"].items():
        for measure, row in rows.items():
            low, high = row["interval_95"]
            lines.append(f"  {strategy}, {measure}: {row['gain']:+.3f} ({low:+.3f} to {high:+.3f}): {row['verdict']}")
    return "\n".join(lines)
