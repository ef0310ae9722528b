"""Quote mode: which runs of the retrieved passages to show, within the budget, and how sure that makes us.

Every sentence of the passages is scored by a linear model over what can be seen (`rag.features`): search
scores, the question's words in and around it, MiniLM's cosine where it knows the language, the kind of
thing asked for, and the probability the reader gives to spans inside it. The reader's best span comes
first on its own when it lies in the best sentence; then sentences, most probable first, until the budget
is spent or nothing probable is left.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ingest.fold import fold, language
from ingest.sentences import sentences
from rag.calibration import Calibration, Profile, bundled, profile
from rag.confidence import SURE, evidence
from rag.features import FEATURES, Candidate, WeightedQuestion, asking_words, describe, term_set
from rag.sentence_vectors import SentenceVectors
from rag.types import Citation, Source
from rag.verify import cite
from rag.window import budget, cost, fit
from rag.witness import SENTENCES, Testimony, Witness

_MARKS = re.compile(r"^\s*#{1,6}\s+|\s#+\s*$|[*_`]|\n\s*[=-]{3,}\s*$")
_HEADING = re.compile(r"\s*#{1,6} [^\n]*\s*$")
# Shown only while a further sentence is at least this likely to hold the answer. Lower shows noise.
LIKELY = 0.02
ENOUGH = 0.97  # nothing further is shown once the shown sentences are this likely together
# The reader's span is shown on its own from this expected overlap on. Given the right paragraph, such spans overlap the
# answer by half or more in 74 % of cases on squad-en-dev (22 % of its questions), in 72 % on cmrc-zh-dev (68 %) and in
# 67 % on xquad-zh-dev (46 %).
EXACT = 0.45


@dataclass(frozen=True, slots=True)
class ReaderSpan:
    """A run of a passage with the reader's probability that it is the answer, given that passage, and its expected F1
    with the right one."""

    passage: int
    start: int
    end: int
    probability: float
    overlap: float = 0.0


@dataclass(frozen=True, slots=True)
class Reading:
    """The reader's spans over all passages, and per passage its probability that nothing there answers."""

    spans: list[ReaderSpan]
    none: list[float]


@dataclass(slots=True)
class Draft:
    """Quotations before verification, with the calibrated confidence and what it was made from."""

    citations: list[Citation]
    confidence: float
    refused: bool
    evidence: list[float]
    probabilities: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scored:
    """Everything known about the sentences of the passages; what `python -m rag calibrate` fits on."""

    question: WeightedQuestion
    candidates: list[Candidate]
    rows: list[list[float]]
    reading: Reading | None
    testimony: Testimony | None = None


class Quoter:
    """Chooses quotations; ``vectors``, ``witness`` and ``calibration`` are shared between calls."""

    def __init__(
        self,
        calibration: Calibration | None = None,
        vectors: SentenceVectors | None = None,
        witness: Witness | None = None,
    ) -> None:
        self.calibration = bundled() if calibration is None else calibration
        self.vectors, self.witness = vectors, witness

    def score(
        self,
        question: str,
        sources: Sequence[Source],
        pool: Sequence[str],
        *,
        vector: np.ndarray | None = None,
        reading: Reading | None = None,
        translated: Mapping[str, float] | None = None,
    ) -> Scored:
        """Features of every sentence. ``vector``: the question's, when the encoder knows its language; ``translated``:
        as :meth:`WeightedQuestion.build` takes it."""
        asked = WeightedQuestion.build(question, pool or [s.text for s in sources], translated)
        candidates = candidates_of(sources)
        cosines = None
        if vector is not None and self.vectors is not None and candidates:
            cosines = self.vectors.cosines(vector, [c.text for c in candidates])
        read = None if reading is None else [_mass(c, reading) for c in candidates]
        above = [" ".join(s.headings) for s in sources]
        rows = describe(asked, [s.text for s in sources], search_scores(sources), candidates, cosines, read, above)
        return Scored(asked, candidates, rows, reading, self._hear(asked, candidates, rows, sources))

    def _hear(
        self, asked: WeightedQuestion, candidates: list[Candidate], rows: list[list[float]], sources: Sequence[Source]
    ) -> Testimony | None:
        """The witness's view of the sentences that look best without it and without the reader."""
        if self.witness is None or asked.language != "en" or not candidates:
            return None
        scores = profile(self.calibration, "en", False).sentence.score(FEATURES, rows)
        best = [candidates[int(i)] for i in np.argsort(-scores, kind="stable")[:SENTENCES]]
        above = [" ".join((sources[c.passage].title, *sources[c.passage].headings)).strip() for c in best]
        return self.witness.hear(asked.text, [(c.text, up) for c, up in zip(best, above, strict=True)])

    def quote(
        self,
        scored: Scored,
        sources: Sequence[Source],
        *,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> Draft:
        """Quotations and confidence. Temperature 0 takes the most probable; above it, order is drawn."""
        lang = scored.question.language
        model = profile(self.calibration, lang, scored.reading is not None)
        if not scored.candidates:
            return Draft([], 0.0, True, [0.0] * len(SURE))
        probabilities = sentence_probabilities(model, scored.rows)
        sentence = model.sentence.score(FEATURES, scored.rows)
        facts = evidence(scored.rows, sentence, sources, scored.question, scored.testimony)
        if scored.reading is not None:
            facts = with_reading(facts, scored.reading)
        confidence = model.sure(SURE, facts)
        order = _order(probabilities, temperature, top_p, seed)
        chosen = _choose(scored, sources, probabilities, order)
        return Draft(chosen, confidence, confidence < model.threshold, facts, probabilities.tolist())


def search_scores(sources: Sequence[Source]) -> list[float]:
    """Fused scores; for a foreign retriever, whose scale is unknown, typical ones of the same rank."""
    if any(s.lexical_score is not None or s.dense_score is not None for s in sources):
        return [s.score for s in sources]
    return [0.32 + 0.21 / (1 + i) for i in range(len(sources))]


def candidates_of(sources: Sequence[Source]) -> list[Candidate]:
    """The sentences of the passages; one that stands in two overlapping passages counts once.

    Headings and lines of mere markup are no candidates, unless a passage is made of them: a heading repeats the
    question and answers nothing. Its words still speak for every sentence under it (`rag.features.describe`).
    """
    found: list[Candidate] = []
    seen: set[tuple[int, int, int]] = set()
    for i, source in enumerate(sources):
        headings = {bare(heading) for heading in source.headings}
        position = 0
        runs = [(a, b) for a, b in sentences(source.text) if term_set(source.text[a:b])]
        # A chunk of several short sections holds headings of its own.
        said = [(a, b) for a, b in runs if not _HEADING.match(source.text[a:b])] or runs
        for start, end in said:
            text = source.text[start:end]
            if bare(text) in headings:
                continue
            place = (source.doc_id, source.start + start, source.start + end)
            if place not in seen:
                seen.add(place)
                found.append(Candidate(i, start, end, text, position))
            position += 1
    return found


def bare(text: str) -> str:
    """A heading as it reads: folded, without Markdown's marks and numbering of levels."""
    return fold(_MARKS.sub("", text)).strip()


def sentence_probabilities(model: Profile, rows: Sequence[Sequence[float]]) -> np.ndarray:
    """The chance (n,) of each sentence to hold the answer, given that one of them does."""
    scores = model.sentence.score(FEATURES, rows)
    weights = np.exp(scores - scores.max())
    return np.asarray(weights / weights.sum())


def with_reading(facts: list[float], reading: Reading) -> list[float]:
    """The evidence with the reader's view filled in (see `rag.confidence.SURE`)."""
    best = max((s.probability for s in reading.spans), default=0.0)
    none = min(reading.none, default=1.0)
    first_none = reading.none[0] if reading.none else 1.0
    facts = list(facts)
    facts[SURE.index("reader_best")] = math.log(best + 1e-4)
    facts[SURE.index("reader_none")] = math.log(none + 1e-4)
    facts[SURE.index("reader_none_first")] = math.log(first_none + 1e-4)
    return facts


def _mass(candidate: Candidate, reading: Reading) -> float:
    inside = (
        s.probability
        for s in reading.spans
        if s.passage == candidate.passage and candidate.start <= s.start and s.end <= candidate.end
    )
    return min(1.0, sum(inside))


def _order(probabilities: np.ndarray, temperature: float, top_p: float, seed: int) -> list[int]:
    ranked = [int(i) for i in np.argsort(-probabilities, kind="stable")]
    if temperature <= 0 or len(ranked) < 2:
        return ranked
    tempered = np.log(probabilities + 1e-12) / temperature
    tempered = np.exp(tempered - tempered.max())
    tempered /= tempered.sum()
    before = np.cumsum(tempered[ranked]) - tempered[ranked]
    nucleus = [i for i, mass in zip(ranked, before, strict=True) if mass < top_p]
    # Drawing without replacement is sorting by a Gumbel-perturbed log-probability.
    rng = random.Random(seed)
    noisy = {i: math.log(tempered[i] + 1e-12) - math.log(-math.log(rng.random() or 1e-12)) for i in nucleus}
    drawn = sorted(nucleus, key=lambda i: -noisy[i])
    return drawn + [i for i in ranked if i not in noisy]


def _choose(
    scored: Scored, sources: Sequence[Source], probabilities: np.ndarray, order: list[int]
) -> list[Citation]:
    room = 1.0  # a share, as a Chinese question may be answered by English passages
    chosen: list[tuple[int, int, int, float]] = []  # passage, start, end, probability
    exact = _exact(scored, order[0])
    if exact is not None:
        text = sources[exact.passage].text[exact.start : exact.end]
        room -= cost(text, language(text))
    sure = 0.0
    for i in order:
        c, p = scored.candidates[i], float(probabilities[i])
        if chosen and (p < LIKELY or sure >= ENOUGH):
            break
        lang = language(c.text)
        if chosen and cost(c.text, lang) > room and room < 0.25:
            continue  # what is left would hold only a scrap of it
        text = sources[c.passage].text
        keep = (exact.start, exact.end) if exact is not None and not chosen else None
        left = int(room * budget(lang) + 1e-9)
        run = fit(text, c.start, c.end, left, lang, lambda t: scored.question.covered(term_set(t)), keep)
        if run is None or run[0] >= run[1]:
            continue
        room -= cost(text[run[0] : run[1]], lang)
        sure += p
        chosen.append((c.passage, run[0], run[1], p))
    found = [cite(sources[n], a, b, p) for n, a, b, p in _join(chosen, sources)]
    if exact is not None and not any(
        c.chunk_id == sources[exact.passage].chunk_id and c.end - c.start == exact.end - exact.start for c in found[:1]
    ):
        found.insert(0, cite(sources[exact.passage], exact.start, exact.end, exact.probability, exact=True))
    return found


def _exact(scored: Scored, best: int) -> ReaderSpan | None:
    """The reader's best span inside the best sentence, when it is sure enough of it and it says what was not asked."""
    if scored.reading is None:
        return None
    c = scored.candidates[best]
    inside = [
        s
        for s in scored.reading.spans
        if s.passage == c.passage and c.start <= s.start and s.end <= c.end and s.start < s.end
    ]
    span = max(inside, key=lambda s: s.overlap, default=None)
    if span is None or span.overlap < EXACT:
        return None
    says = term_set(c.text[span.start - c.start : span.end - c.start])
    return span if says - term_set(scored.question.text) - asking_words(language(c.text)) else None


def _join(
    chosen: list[tuple[int, int, int, float]], sources: Sequence[Source]
) -> list[tuple[int, int, int, float]]:
    """Neighbouring runs of one passage as one quotation, in the place of the more probable one."""
    joined: list[tuple[int, int, int, float]] = []
    for n, a, b, p in chosen:
        for i, (m, c, d, q) in enumerate(joined):
            gap = sources[n].text[d:a] if d <= a else sources[n].text[b:c]
            if m == n and not gap.strip() and (d <= a or b <= c):
                joined[i] = (n, min(a, c), max(b, d), min(1.0, p + q))
                break
        else:
            joined.append((n, a, b, p))
    return joined
