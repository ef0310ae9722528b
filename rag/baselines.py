"""What the same questions score without the model: what a model has to beat.

- ``sentences``: those that hold most of the question's words, up to the budget; nothing is learned or refused.
- ``plain``: the chain without a reader, its sentences and its confidence calibrated.
- ``best_cosine``, ``bm25_per_term``: confidence from the scores of the search alone.
- ``encoder_sentence``: of the right paragraph, the sentence nearest to the question by the store's encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ingest.fold import language, terms
from ingest.sentences import sentences
from rag import metrics
from rag.calibration import Calibration
from rag.features import FEATURES
from rag.questions import Question
from rag.quote import Quoter, Scored
from rag.search import Searcher
from rag.sentence_vectors import SentenceVectors
from rag.state import State
from rag.window import cost
from rag.witness import Witness

COVERED = FEATURES.index("covered")


@dataclass(frozen=True, slots=True)
class Without:
    """One question without the model: confidences by their names, and whether the quotations hold a right answer."""

    confidence: dict[str, float | None]
    sentences: bool
    plain: bool


class Baselines:
    """Baselines over one store, fed with the passages that the chain found."""

    def __init__(self, searcher: Searcher, calibration: Calibration, lang: str, witness: Witness | None = None) -> None:
        self.searcher, self.language = searcher, lang
        self.vectors = SentenceVectors(searcher)
        self.quoter = Quoter(calibration, self.vectors, witness)

    def ask(self, state: State, question: Question) -> Without:
        """``state`` is the chain's after its answer."""
        sources = state["sources"]
        # A question about the whole collection is not searched for: it has no pool, and perhaps no vector.
        pool, vector = state.get("pool", []), state.get("vector")
        scored = self.quoter.score(state["rewritten"], sources, pool, vector=vector)
        draft = self.quoter.quote(scored, sources)
        cosines = [s.dense_score for s in sources if s.dense_score is not None]
        words = [s.lexical_score for s in sources if s.lexical_score is not None]
        confidence = {
            "plain": draft.confidence,
            "best_cosine": max(cosines, default=None),
            "bm25_per_term": max(words, default=0.0) / max(1, len(terms(question.text))),
        }
        return Without(
            confidence,
            metrics.contains_answer(best_matching(scored), question.golds, self.language),
            not draft.refused
            and metrics.contains_answer([c.quote for c in draft.citations], question.golds, self.language),
        )

    def encoder_sentence(self, question: Question, paragraph: str, vector: np.ndarray) -> str:
        """The sentence of the paragraph with the highest cosine."""
        found = [paragraph[a:b] for a, b in sentences(paragraph)]
        return found[int(np.argmax(self.vectors.cosines(vector, found)))] if found else ""

    def figures(
        self, answerable: Sequence[Without], unanswerable: Sequence[Without], removed: Sequence[Without]
    ) -> dict[str, dict[str, Any]]:
        """Answer in the quotation, and AUROC against unanswerable questions and those without their paragraph."""
        found: dict[str, dict[str, Any]] = {
            "sentences": {"answer_in_quote": _mean([w.sentences for w in answerable])},
            "plain": {"answer_in_quote": _mean([w.plain for w in answerable])},
        }
        for name in ("plain", "best_cosine", "bm25_per_term"):
            sure = _known(answerable, name)
            found.setdefault(name, {}).update(
                auroc=_rounded(metrics.auroc(sure, _known(unanswerable, name))),
                auroc_gold_removed=_rounded(metrics.auroc(sure, _known(removed, name))),
            )
        return found


def best_matching(scored: Scored) -> list[str]:
    """Whole sentences by the share of the question's weight in them, then by rank, as many as the budget holds."""
    order = sorted(range(len(scored.candidates)), key=lambda i: (-scored.rows[i][COVERED], i))
    room, shown = 1.0, []
    for i in order:
        text = scored.candidates[i].text
        used = cost(text, language(text))
        if used <= room:
            room -= used
            shown.append(text)
    return shown


def _known(answers: Sequence[Without], name: str) -> list[float]:
    return [value for w in answers if (value := w.confidence[name]) is not None]


def _mean(values: Sequence[bool]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
