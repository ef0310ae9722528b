"""A chain for the page's tests: it answers at once, or as slowly and strangely as the question asks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rag.types import Answer, Citation, Conflict, Source

QUOTE = "The bridge <b>was</b> opened in 1931."
TEXT = (
    "<script>window.hacked = 1; alert(1)</script> ![pixel](http://evil.example/p.png) "
    '<img src="http://evil.example/i.png" onerror="alert(2)"> `${alert(3)}` {{value}}\n' + "Filler line.\n" * 40 + QUOTE
)


class Prepared:
    """A chain that quotes TEXT; "slow" in the question: it writes until it is stopped; "moon": it refuses; "compare":
    a plan; "disagree": a conflict; "careful": a warning.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.running = 0
        self.most = 0
        self.cancelled = 0
        self.words = 0

    def stream(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self.asked.append(asked)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            yield from self._answer(asked["question"], asked)
        finally:
            self.running -= 1

    def _answer(self, question: str, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        place = {"n": 1, "doc_id": 1, "chunk_id": 1, "source": "/d/<i>x</i>.md", "title": TEXT, "headings": (TEXT,)}
        source = Source(**place, start=10, end=10 + len(TEXT), score=0.5, text=TEXT, dense_rank=1)  # type: ignore[arg-type]
        rewritten = f"{question} (Halden)" if asked["history"] else question
        yield {"stage": "rewriting"}
        if rewritten != question:
            yield {"rewritten": rewritten}
        yield {"stage": "searching"}
        yield {"sources": [source]}
        yield {"stage": "reading"}
        plan = ["Read <all> 3 passages", "Join the notes: 2 model calls"] if "compare" in question else []
        if plan:
            yield {"plan": plan}
        yield {"stage": "writing"}
        for _ in range(600 if "slow" in question else 3):
            if asked["cancel"].wait(0.1 if "slow" in question else 0.02):
                self.cancelled += 1
                yield {"stage": "cancelled"}
                return
            self.words += 1
            yield {"text": f"word{self.words} "}
        at = source.start + TEXT.index(QUOTE)
        citation = Citation(**place, start=at, end=at + len(QUOTE), score=0.9, quote=QUOTE)  # type: ignore[arg-type]
        refused = "moon" in question
        yield {
            "answer": Answer(
                question=question, rewritten=rewritten, answer=f"“{QUOTE}” [1]", refused=refused, confidence=0.83,
                mode="quote", language="en", citations=[] if refused else [citation], sources=[source], plan=plan,
                seed=asked["seed"], strategy=asked["strategy"], calls=2 if plan else 1,
                conflicts=[Conflict(first=citation, second=citation, values=("1931", "1932"))]
                if "disagree" in question else [],
                warnings=["A sentence that no passage holds was dropped."] if "careful" in question else [],
            )
        }  # fmt: skip


def copied(store: Path, folder: Path) -> Path:
    """A store of one's own: conversations are kept in it."""
    return Path(shutil.copytree(store, folder / "store"))
