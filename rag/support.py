"""Whether a passage says what a sentence claims: by its words, by its meaning, and by what must not differ.

A claim stands when one sentence of the passage, or two neighbours, cover its terms without a gap, lie near it in the
encoder's space, name every number and name that it names, and deny what it denies. The thresholds are chosen on pairs
made of dev questions (``python -m bench.support``; 77 to 110 questions each of SQuAD, XQuAD and CMRC). Believed are:

- all sentences taken from the passage; of statements made of a question and its answer 82 and 83 % in English, 81 and
  69 % in Chinese;
- with another answer put in, 22 to 32 % of sentences and 6 to 16 % of statements; with "not" put in at most 1 %, with
  another number none; of sentences from elsewhere at most 1 %;
- across languages (Chinese sentences over English passages) 65 %, with "not" 17 %, from elsewhere 2 %.

Cover of 60 % with all numbers, the rule before, believed all with "not", and 56 to 85 % with another answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from ingest.fold import fold, language, terms
from ingest.sentences import sentences
from rag.features import asking_words
from rag.sentence_vectors import SentenceVectors
from rag.types import Source
from rag.values import values
from rag.words import translations

Differs = Literal["", "number", "negation", "name"]
Encode = Callable[[Sequence[str]], np.ndarray]

# Share of a claim's terms that must be covered; the cosine beside it, where there is one; and how many neighbouring
# words (Chinese: characters) of the claim may be missing, which is where a wrong name or object shows.
COVER, NEAR, GAP = 0.6, 0.4, {"en": 2, "zh": 3}
COVER_ACROSS, NEAR_ACROSS = 0.2, 0.3  # across languages, of translated terms

_NOT_EN = re.compile(r"\b(?:not|never|no|none|neither|nor|cannot|without)\b|n['’]t\b", re.IGNORECASE)
_NOT_ZH = re.compile(
    r"(?:不(?![断同仅少过久但只管论料得])|没有?|未|无(?![锡线])|勿|并非)(?P<what>[\u4e00-\u9fff]{0,2})"
)
_IDLE_ZH = frozenset("的了是在有为和与及于也被而就都等着过地得")
_NAME = re.compile(r"(?<=[a-z,;:] )[A-Z][\w'’-]+")


@dataclass(frozen=True, slots=True)
class Weighed:
    """A run of a passage against a claim; ``cosine`` is None without an encoder that knows both languages."""

    start: int
    end: int
    cover: float
    cosine: float | None
    differs: Differs
    across: bool
    gap: int
    allowed: int  # the longest gap that may be

    @property
    def stands(self) -> bool:
        if self.differs:
            return False
        if self.across:
            return self.cosine is not None and self.cover >= COVER_ACROSS and self.cosine >= NEAR_ACROSS
        near = self.cosine is None or self.cosine >= NEAR
        return near and self.cover >= COVER and self.gap <= self.allowed

    @property
    def score(self) -> float:
        return self.cover if self.cosine is None else (self.cover + max(self.cosine, 0.0)) / 2


class _Encoder:
    def __init__(self, encode: Encode) -> None:
        self.encode = encode


class Judge:
    """``encode`` gives vectors of length 1 (n, d); ``languages``: those in which they mean something."""

    def __init__(
        self, encode: Encode | None = None, languages: Sequence[str] = (), vectors: SentenceVectors | None = None
    ) -> None:
        """``vectors``: where those of the passages' sentences are kept already."""
        self._encode, self._languages = encode, frozenset(languages)
        self._vectors = SentenceVectors(_Encoder(encode)) if vectors is None and encode is not None else vectors

    def support(self, claim: str, source: Source) -> tuple[int, int, float] | None:
        """The run (start, end, score) of the passage that says what ``claim`` says; None when none does."""
        best = max((w for w in self.weigh(claim, source.text) if w.stands), key=lambda w: w.score, default=None)
        return None if best is None else (best.start, best.end, best.score)

    def weigh(self, claim: str, text: str) -> list[Weighed]:
        """Every sentence of ``text``, and every two neighbours, against the claim."""
        wanted = frozenset(terms(claim)) - asking_words(language(claim))
        spans = sentences(text)
        if not wanted or not spans:
            return []
        windows = [*spans, *((a, d) for (a, _), (_, d) in pairwise(spans))]
        runs = [text[start:end] for start, end in windows]
        cosines = self._cosines(claim, runs)
        stated, denied, named = values(claim), denials(claim), names(claim)
        whole = fold(text)
        found = []
        for (start, end), run, cosine in zip(windows, runs, cosines, strict=True):
            across = language(run) != language(claim)
            differs: Differs = ""
            if not stated <= values(run):
                differs = "number"
            elif _contradicts(denied, denials(run), claim, run, across):
                differs = "negation"
            elif not across and any(fold(name) not in whole for name in named):
                differs = "name"
            gap = 0 if across else longest_gap(claim, run)
            share, allowed = cover(wanted, claim, run), GAP[language(claim)]
            found.append(Weighed(start, end, share, cosine, differs, across, gap, allowed))
        return found

    def _cosines(self, claim: str, runs: Sequence[str]) -> list[float | None]:
        spoken = {language(claim), *(language(run) for run in runs)}
        if self._encode is None or self._vectors is None or not spoken <= self._languages:
            return [None] * len(runs)
        return list(self._vectors.cosines(self._encode([claim])[0], runs))


def cover(wanted: frozenset[str], claim: str, run: str) -> float:
    """The share (0..1) of the claim's terms that stand in the run, translated where their languages differ."""
    mine, its = language(claim), language(run)
    if mine == its:
        return len(wanted & set(terms(run))) / len(wanted)
    if mine == "zh":
        weights = translations().translate(claim)
        there = set(terms(run))
        return _share(weights, there)
    known = translations().translate(run)
    return len(wanted & known.keys()) / len(wanted)


def _share(weights: dict[str, float], there: set[str]) -> float:
    total = sum(weights.values())
    return sum(weight for term, weight in weights.items() if term in there) / total if total else 0.0


def denials(text: str) -> list[str]:
    """What follows each "not": the next word that names something, stemmed; in Chinese the next two characters."""
    if language(text) == "zh":
        return [m.group("what") for m in _NOT_ZH.finditer(text)]
    known = asking_words("en")
    found = []
    for match in _NOT_EN.finditer(text):
        following = (term for term in terms(text[match.end() : match.end() + 60]) if term not in known)
        found.append(next(following, ""))
    return found


def _contradicts(claimed: list[str], stated: list[str], claim: str, run: str, across: bool) -> bool:
    """Whether one denies what the other says. Between languages it only counts whether there is a "not" at all."""
    if across:
        return bool(claimed) != bool(stated)
    if language(claim) == "zh":
        here: Container[str] = claim
        there: Container[str] = run
    else:
        here, there = set(terms(claim)), set(terms(run))
    return (
        any(what in there and what not in stated for what in claimed)
        or any(what in here and what not in claimed for what in stated)
        or (bool(claimed) and not stated)
    )


def longest_gap(claim: str, run: str) -> int:
    """The most neighbouring words (Chinese: characters) of the claim that the run does not hold."""
    if language(claim) == "zh":
        folded, pieces = fold(claim), fold(run)
        there = {pieces[i : i + 2] for i in range(len(pieces) - 1)}
        held = [False] * len(folded)
        for i in range(len(folded) - 1):
            if folded[i : i + 2] in there:
                held[i] = held[i + 1] = True
        marks = [not (ok or not c.isalnum() or c in _IDLE_ZH) for ok, c in zip(held, folded, strict=True)]
    else:
        known, its = asking_words("en"), set(terms(run))
        worded = [[term for term in terms(word) if term not in known] for word in claim.split()]
        marks = [not any(term in its for term in found) for found in worded if found]
    longest = length = 0
    for missing in marks:
        length = length + 1 if missing else 0
        longest = max(longest, length)
    return longest


def names(claim: str) -> list[str]:
    """Capitalised words inside an English claim; the first word of a sentence may be any."""
    return [] if language(claim) == "zh" else _NAME.findall(claim)
