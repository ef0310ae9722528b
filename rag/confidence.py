"""What speaks for the documents holding the answer, as numbers for one calibrated score.

Neither raw BM25 nor the lead of the first passage over the others is among them: the one grows with the size
of the store, the other is nothing in a store of one file; without both AUROC is the same (.992 on CMRC with
the paragraph taken away).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rag.features import FEATURES, WeightedQuestion, term_set
from rag.types import Source
from rag.witness import Testimony

SURE = (
    "cosine",  # best cosine of a passage (0 where the encoder does not know the language)
    "interaction",  # best score of late interaction of a passage
    "score",  # fused score of the first passage
    "covered_passage",  # share of the question's weight in the best passage
    "covered_any",  # … in all passages together
    "best_sentence",  # score of the best sentence
    "sentence_lead",  # … less the second best
    "sentence_covered",
    "sentence_nearby",
    "sentence_pairs",
    "sentence_cosine",
    "kind_found",
    "kind_missing",
    "terms",  # log count of the question's terms
    "rarest_missing",  # the weightiest term of the question stands in no passage
    "witness",  # MaxSim of the best sentence by another model (unknown where it was not heard)
    "witness_least",  # … of the word of the question that the sentence answers worst
    "witness_cosine",
    "reader_best",  # log of the reader's best probability
    "reader_none",  # log of the least probability, over the passages, that nothing there answers
    "reader_none_first",  # … of the first passage
)


def evidence(
    rows: Sequence[Sequence[float]],
    scores: np.ndarray,
    sources: Sequence[Source],
    question: WeightedQuestion,
    testimony: Testimony | None,
) -> list[float]:
    """One row of `SURE`; NaN where a foreign retriever gives no score or no witness was heard; the reader's places stay
    0 without one.
    """
    order = np.argsort(-scores, kind="stable")
    best = dict(zip(FEATURES, rows[int(order[0])], strict=True))
    found = [term_set(source.text) for source in sources]
    everywhere = frozenset().union(*found)
    rarest = max(question.weights, key=lambda term: question.weights[term], default=None)
    foreign = all(s.lexical_score is None and s.dense_score is None for s in sources)
    return [
        math.nan if foreign else max(s.dense_score or 0.0 for s in sources),
        math.nan if foreign else max(s.interaction or 0.0 for s in sources),
        math.nan if foreign else sources[0].score,
        max(question.covered(terms) for terms in found),
        question.covered(everywhere),
        float(scores[order[0]]),
        float(scores[order[0]] - scores[order[1]]) if len(order) > 1 else 0.0,
        best["covered"],
        best["covered_nearby"],
        best["pairs"],
        math.nan if foreign else best["cosine"],
        best["kind_found"],
        best["kind_missing"],
        math.log(1 + len(question.weights)),
        float(rarest is not None and rarest not in everywhere),
        *((math.nan, math.nan, math.nan) if testimony is None else testimony),
        0.0,
        0.0,
        0.0,
    ]
