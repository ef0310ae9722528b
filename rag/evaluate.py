"""``python -m rag evaluate``: retrieval, reading, whole answers, refusals and speed on question files."""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from ingest.fold import language
from rag import metrics
from rag.baselines import Baselines, Without
from rag.calibration import Calibration, profile
from rag.chain import AnswerChain, build_chain
from rag.curve import curves
from rag.outcomes import Outcome, failures
from rag.questions import Question, QuestionSet, build_store, read
from rag.retriever import OpenbookRetriever
from rag.search import Searcher
from rag.types import RagError, Source

DEPTH = 50  # chunks per leg, collapsed to documents, from which ranks are read
REMOVED = 500  # questions asked again with their paragraph taken away
TIMED = 40  # questions timed from text to answer, the encoding of the question included


def evaluate(
    path: Path,
    *,
    model: str = "bundled",
    limit: int | None = None,
    calibration: Calibration | None = None,
    folder: Path | None = None,
    examples: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """All figures of DESIGN for one file; ``folder`` keeps the store for the next run.

    ``examples``: so many failures among them, drawn by ``seed``.
    """
    questions = read(path).spread(limit)
    if examples < 0:
        raise RagError(f"{examples} failures cannot be shown: give 0 or more.")
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="openbook-evaluate-")))
        documents = build_store(questions, folder)
        chain = build_chain(folder / "store", model, calibration=calibration)
        stack.callback(chain.close)
        return _Run(questions, documents, chain).figures(examples, seed)


class _Run:
    """One question set against one chain."""

    def __init__(self, questions: QuestionSet, documents: list[int], chain: AnswerChain) -> None:
        assert isinstance(chain.retriever, OpenbookRetriever)
        self.set, self.documents, self.chain = questions, documents, chain
        self.searcher: Searcher = chain.retriever.searcher
        self.vectors = self.searcher.encode([q.text for q in questions.questions])
        quoter = chain.stages.quoter
        self.baselines = Baselines(self.searcher, quoter.calibration, questions.language, quoter.witness)
        self.without: dict[tuple[int, bool], Without] = {}  # by question and whether its paragraph was removed

    def figures(self, examples: int, seed: int) -> dict[str, Any]:
        asked = self.set.questions
        answerable = [i for i, q in enumerate(asked) if q.answerable]
        retrieval = self._retrieval(answerable)
        answers = [self._answer(i) for i in self._progress(range(len(asked)), "answering")]
        spread = answerable[:: max(1, len(answerable) // REMOVED)]
        removed = [self._answer(i, removed=True) for i in self._progress(spread, "gold removed")]
        lang, calibration = self.set.language, self.chain.stages.quoter.calibration
        threshold = profile(calibration, lang, self.chain.model.reader is not None).threshold
        figures = {
            "questions": len(asked),
            "paragraphs": len(self.set.paragraphs),
            "model": self.chain.model.name,
            "retrieval": retrieval,
            "reader": self._reader(answerable),
            "end_to_end": self._end_to_end(answerable, answers),
            "abstention": self._abstention(answerable, answers, removed),
            "verbatim_rate": self._verbatim([*answers, *removed]),
            "latency_ms": self._latency(),
            "baselines": self._baselines(answerable, spread),
            "curve": curves(answers, removed, threshold),
        }
        if examples:
            figures["failures"] = failures([*answers, *removed], examples, seed, lang)
        return figures

    def _progress(self, items: Sequence[int], what: str) -> Iterable[int]:
        began = time.monotonic()
        for n, item in enumerate(items):
            if n and n % 200 == 0:
                rate = n / (time.monotonic() - began)
                print(f"{self.set.name}: {what} {n}/{len(items)}, {rate:.1f}/s", file=sys.stderr, flush=True)
            yield item

    def _vector(self, i: int) -> np.ndarray | None:
        return self.vectors[i] if self.searcher.trusts(language(self.set.questions[i].text)) else None

    def _answer(self, i: int, removed: bool = False) -> Outcome:
        question = self.set.questions[i]
        gold = self.documents[question.paragraph]
        state = self.chain.prepare(question.text)
        state["vector"] = self._vector(i)
        if removed:
            state["without"] = frozenset({gold})
        answer = self.chain.answer(state)  # the stages add to the state what they find
        self.without[i, removed] = self.baselines.ask(state, question)
        draft = state.get("draft")
        shown = answer.citations or state.get("quoted") or ([] if draft is None else draft.citations)
        holds = metrics.contains_answer([c.quote for c in shown], question.golds, self.set.language)
        found = not removed and any(source.doc_id == gold for source in answer.sources)
        return Outcome(question, removed, answer, shown, holds and not removed, found)

    def _baselines(self, answerable: Sequence[int], removed: Sequence[int]) -> dict[str, dict[str, Any]]:
        unanswerable = sorted(set(range(len(self.set.questions))) - set(answerable))
        found = self.baselines.figures(
            [self.without[i, False] for i in answerable],
            [self.without[i, False] for i in unanswerable],
            [self.without[i, True] for i in removed],
        )
        asked = [self.set.questions[i] for i in answerable]
        nearest = [
            self.baselines.encoder_sentence(q, self.set.paragraphs[q.paragraph], self.vectors[i])
            for i, q in zip(answerable, asked, strict=True)
        ]
        golds = [q.golds for q in asked]
        held = [metrics.contains_answer([n], g, self.set.language) for n, g in zip(nearest, golds, strict=True)]
        found["encoder_sentence"] = {
            **_scores(nearest, golds, self.set.language),
            "holds_answer": round(float(np.mean(held)), 4) if held else math.nan,
        }
        return found

    def _retrieval(self, indices: list[int]) -> dict[str, dict[str, float]]:
        ranks: dict[str, list[int | None]] = {"dense": [], "lexical": [], "hybrid": []}
        store = self.searcher.store
        for i in self._progress(indices, "retrieval"):
            question = self.set.questions[i]
            gold = self.documents[question.paragraph]
            lexical, dense = self.searcher.legs(question.text, DEPTH, self.vectors[i])
            hybrid = self.searcher.search(question.text, DEPTH, vector=self._vector(i)).hits
            for name, leg in (("lexical", lexical), ("dense", dense)):
                ranks[name].append(_rank([c.doc_id for c in store.chunks([cid for cid, _ in leg])], gold))
            ranks["hybrid"].append(_rank([hit.chunk.doc_id for hit in hybrid], gold))
        return {
            name: {
                "r1": round(metrics.recall_at(found, 1), 4),
                "r5": round(metrics.recall_at(found, 5), 4),
                "r10": round(metrics.recall_at(found, 10), 4),
                "mrr10": round(metrics.mrr_at(found, 10), 4),
            }
            for name, found in ranks.items()
        }

    def _reader(self, indices: list[int]) -> dict[str, float]:
        predictions = [self._read(i) for i in self._progress(indices, "reading")]
        golds = [self.set.questions[i].golds for i in indices]
        return _scores(predictions, golds, self.set.language)

    def _read(self, i: int) -> str:
        """The reader's best span of the gold paragraph, or without a reader the best sentence."""
        question = self.set.questions[i]
        text = self.set.paragraphs[question.paragraph]
        reader = self.chain.model.reader
        if reader is not None:
            spans = reader.read(question.text, [text]).spans
            if spans:
                best = max(spans, key=lambda s: (s.overlap, s.probability))  # as quote mode ranks them
                return text[best.start : best.end]
        sources = [_whole(text)]
        scored = self.chain.stages.quoter.score(question.text, sources, [text], vector=self._vector(i))
        draft = self.chain.stages.quoter.quote(scored, sources)
        return draft.citations[0].quote if draft.citations else ""

    def _end_to_end(self, indices: list[int], answers: list[Outcome]) -> dict[str, float]:
        asked = [answers[i] for i in indices]
        predictions = [o.answer.citations[0].quote if o.answer.citations else "" for o in asked]
        shown = [o.holds and not o.answer.refused for o in asked]
        return {
            **_scores(predictions, [o.question.golds for o in asked], self.set.language),
            "answer_in_quote": round(float(np.mean(shown)), 4) if shown else math.nan,
        }

    def _abstention(
        self, answerable: list[int], answers: list[Outcome], removed: list[Outcome]
    ) -> dict[str, float | None]:
        asked = [answers[i] for i in answerable]
        unanswerable = [o for o in answers if not o.question.answerable]
        sure = [o.answer.confidence for o in asked]
        rounded = {
            "auroc": metrics.auroc(sure, [o.answer.confidence for o in unanswerable]),
            "auroc_gold_removed": metrics.auroc(sure, [o.answer.confidence for o in removed]),
            "refused_unanswerable": _share(unanswerable),
            "refused_gold_removed": _share(removed),
            "refused_answerable": _share(asked),
        }
        return {name: None if value is None else round(value, 4) for name, value in rounded.items()}

    def _verbatim(self, outcomes: list[Outcome]) -> float | None:
        """The share of quotations that stand in the stored text at their place; checked here once more."""
        store = self.searcher.store
        quotes = [c for outcome in outcomes for c in outcome.answer.citations]
        right = sum(store.text(c.doc_id)[c.start : c.end] == c.quote for c in quotes)
        return right / len(quotes) if quotes else None

    def _latency(self) -> dict[str, float]:
        asked = self.set.questions[:: max(1, len(self.set.questions) // TIMED)][:TIMED]
        times = []
        for question in asked:
            began = time.perf_counter()
            self.chain.invoke(question.text)
            times.append((time.perf_counter() - began) * 1000)
        return {"p50": round(float(np.percentile(times, 50)), 1), "p95": round(float(np.percentile(times, 95)), 1)}


def _rank(doc_ids: list[int], gold: int) -> int | None:
    """The rank (from 1) of a document among those its chunks stand for."""
    distinct = list(dict.fromkeys(doc_ids))
    return distinct.index(gold) + 1 if gold in distinct else None


def _scores(predictions: list[str], golds: list[list[str]], lang: str) -> dict[str, float]:
    pairs = list(zip(predictions, golds, strict=True))
    if not pairs:
        return {"em": math.nan, "f1": math.nan}
    return {
        "em": round(float(np.mean([metrics.exact_match(p, g, lang) for p, g in pairs])), 4),
        "f1": round(float(np.mean([metrics.f1(p, g, lang) for p, g in pairs])), 4),
    }


def _share(outcomes: list[Outcome]) -> float | None:
    return sum(o.answer.refused for o in outcomes) / len(outcomes) if outcomes else None


def _whole(text: str) -> Source:
    """A paragraph given to the reader as the only passage."""
    return Source(
        n=1, doc_id=0, chunk_id=0, source="paragraph", start=0, end=len(text), text=text, score=1.0
    )


def gold_place(question: Question, documents: Sequence[int]) -> list[tuple[int, int, int]]:
    """(document id, start, end) of each gold answer."""
    return [(documents[question.paragraph], at, at + len(text)) for at, text in question.spans]


def report(name: str, figures: dict[str, Any]) -> str:
    """The figures as a few lines to read."""
    lines = [f"{name}: {figures['questions']} questions, {figures['paragraphs']} paragraphs, model {figures['model']}"]
    for leg, found in figures["retrieval"].items():
        lines.append(f"  {leg:8s} " + "  ".join(f"{k} {v:.3f}" for k, v in found.items()))
    for part in ("reader", "end_to_end", "abstention", "latency_ms"):
        values = "  ".join(f"{k} {'–' if v is None else v}" for k, v in figures[part].items())
        lines.append(f"  {part}: {values}")
    lines.append(f"  verbatim rate: {figures['verbatim_rate']}")
    for baseline, scores in figures["baselines"].items():
        values = "  ".join(f"{k} {'–' if v is None else v}" for k, v in scores.items())
        lines.append(f"  without the model, {baseline.replace('_', ' ')}: {values}")
    for part, line in figures["curve"].items():
        if line is not None:
            lines.append(
                f"  curve, {part.replace('_', ' ')}: area {line['area']} of {line['best_area']}; at the threshold "
                f"{line['coverage']} answered, {'–' if line['accuracy'] is None else line['accuracy']} of them right"
            )
    return "\n".join(lines)
