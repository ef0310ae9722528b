"""Asking the questions made from one's own documents, with one setting of the chain."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ingest.fold import fold, language
from rag import metrics
from rag.chain import AnswerChain
from rag.own.items import OwnItem
from rag.retriever import OpenbookRetriever
from rag.search import Searcher
from rag.tuning.sections import make_section
from rag.types import Answer, Citation, RagError

DEPTH = 50  # passages per leg, among which the right one is looked for
LEGS = ("dense", "lexical", "hybrid")


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of a question: the rank of the first right passage on each leg (None: not found), whether a right
    answer stands in what would be shown, and whether the same question is refused once its documents are left out."""

    ranks: dict[str, int | None]
    holds: bool
    refused: bool
    confidence: float
    milliseconds: float
    planted: bool | None = None  # None: not asked, as other documents might answer it, or there are none
    planted_confidence: float = 0.0


@dataclass(slots=True)
class Gold:
    """The chunks that answer an item, the documents that have one, and those that hold the words of its answer."""

    chunks: set[int] = field(default_factory=set)
    documents: set[int] = field(default_factory=set)
    echoes: set[int] = field(default_factory=set)


def find_golds(searcher: Searcher, items: Sequence[OwnItem]) -> list[Gold]:
    """For each item the chunks that its answer stands in, or that say the same as its section.

    RagError when a document is not in the store.
    """
    store = searcher.store
    wanted = {item.section for item in items}
    copies: dict[str, Gold] = {key: Gold() for key in wanted}
    answers: dict[str, set[int]] = {fold(item.answer): set() for item in items if item.answer}
    places: dict[str, list[tuple[int, int, int, int]]] = {item.path: [] for item in items}
    for document in store.documents():
        for chunk in store.chunks_of(document.id):
            if document.path in places:
                places[document.path].append((chunk.start, chunk.end, chunk.id, document.id))
            section = make_section(chunk.text, chunk.headings)
            if section is not None and section.key in wanted:
                copies[section.key].chunks.add(chunk.id)
                copies[section.key].documents.add(document.id)
        text = fold(store.text(document.id))
        for answer in answers:
            if answer in text:
                answers[answer].add(document.id)
    golds = []
    for item in items:
        gold = Gold(set(copies[item.section].chunks), set(copies[item.section].documents))
        gold.echoes = answers.get(fold(item.answer or ""), set())
        for start, end, chunk_id, doc_id in places[item.path]:
            gold.documents.add(doc_id)
            # A chunk that holds a part of a section answers its heading; a span has to stand in one whole.
            whole = start <= item.start and item.end <= end
            if whole or (item.answer is None and start < item.end and item.start < end):
                gold.chunks.add(chunk_id)
        if not gold.chunks:
            raise RagError(f"{item.path} is not in the store {store.directory} as it was when the questions were made.")
        golds.append(gold)
    return golds


class Asker:
    """One setting of the chain over one store; ``golds`` as `find_golds` has them."""

    def __init__(self, chain: AnswerChain, items: Sequence[OwnItem], golds: Sequence[Gold]) -> None:
        assert isinstance(chain.retriever, OpenbookRetriever)
        self.chain, self.items, self.golds = chain, items, golds
        self.searcher = chain.retriever.searcher
        self.everything = frozenset(document.id for document in self.searcher.store.documents())

    def ask_all(self, name: str) -> list[Asked]:
        """Every question, answerable and planted; progress goes to standard error."""
        self.chain.invoke(self.items[0].question)  # loads what is loaded at the first question
        found = []
        for n, (item, gold) in enumerate(zip(self.items, self.golds, strict=True), 1):
            found.append(self._ask(item, gold))
            if n % 50 == 0 or n == len(self.items):
                print(f"{name}: {n}/{len(self.items)} questions", file=sys.stderr, flush=True)
        return found

    def _ask(self, item: OwnItem, gold: Gold) -> Asked:
        began = time.perf_counter()
        answer, shown = self._answer(item.question, frozenset())
        milliseconds = (time.perf_counter() - began) * 1000
        planted = None
        # What a term means, or what stands under a heading, another document may say in other words; a name or number
        # that none of them holds, none of them can answer with.
        if item.kind == "cloze" and self.everything > gold.documents and gold.echoes <= gold.documents:
            planted, _ = self._answer(item.question, frozenset(gold.documents))
        return Asked(
            self._ranks(item.question, gold),
            self._holds(item, gold, shown),
            answer.refused,
            answer.confidence,
            milliseconds,
            None if planted is None else planted.refused,
            0.0 if planted is None else planted.confidence,
        )

    def _answer(self, question: str, without: frozenset[int]) -> tuple[Answer, list[Citation]]:
        state = self.chain.prepare(question)
        state["without"] = without
        answer = self.chain.answer(state)
        return answer, answer.citations or state.get("quoted") or state["draft"].citations

    def _holds(self, item: OwnItem, gold: Gold, shown: list[Citation]) -> bool:
        if item.answer is None:
            return any(citation.chunk_id in gold.chunks for citation in shown)
        return metrics.contains_answer([citation.quote for citation in shown], [item.answer], item.language)

    def _ranks(self, question: str, gold: Gold) -> dict[str, int | None]:
        vector = self.searcher.encode([question])[0]
        lexical, dense = self.searcher.legs(question, DEPTH, vector)
        trusted = vector if self.searcher.trusts(language(question)) else None
        hybrid = self.searcher.search(question, DEPTH, vector=trusted).hits
        ids = {
            "dense": [number for number, _ in dense],
            "lexical": [number for number, _ in lexical],
            "hybrid": [hit.chunk.id for hit in hybrid],
        }
        return {leg: next((n for n, i in enumerate(ids[leg], 1) if i in gold.chunks), None) for leg in LEGS}


def figures(items: Sequence[OwnItem], asked: Sequence[Asked]) -> dict[str, Any]:
    """All measures, over all questions and by kind and language."""
    kinds = {item.kind for item in items} | {item.language for item in items}
    return {
        **_figures(asked),
        "by": {
            name: _figures([a for item, a in zip(items, asked, strict=True) if name in (item.kind, item.language)])
            for name in sorted(kinds)
        },
    }


def _figures(asked: Sequence[Asked]) -> dict[str, Any]:
    planted = [a for a in asked if a.planted is not None]
    times = [a.milliseconds for a in asked]
    separated = metrics.auroc([a.confidence for a in planted], [a.planted_confidence for a in planted])
    return {
        "questions": len(asked),
        "retrieval": {leg: _recall([a.ranks[leg] for a in asked]) for leg in LEGS},
        "answer_in_quote": mean([a.holds and not a.refused for a in asked]),
        "refused_answerable": mean([a.refused for a in asked]),
        "planted": len(planted),
        "refused_planted": mean([bool(a.planted) for a in planted]) if planted else None,
        "auroc_planted": None if separated is None else round(separated, 4),
        "latency_ms": {f"p{q}": round(float(np.percentile(times, q)), 1) for q in (50, 95)},
    }


def _recall(ranks: Sequence[int | None]) -> dict[str, float]:
    return {f"r{k}": round(metrics.recall_at(ranks, k), 4) for k in (1, 5, 10)}


def mean(values: Sequence[float]) -> float:
    """The mean to four places."""
    return round(float(np.mean(values)), 4)
