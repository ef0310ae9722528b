"""What a sentence shows about holding the answer to a question: plain numbers for a linear model.

The terms of a question are weighted by how rare they are among the candidates of its own search, so no
table of the whole store is needed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from ingest.fold import fold, language, terms

_ASKING = {
    "en": "what who whom whose when where which why how did do does is are was were be been has have had can "
    "could will would should many much the a an of in to for on at by with from and or that this it its as",
    "zh": "什么 谁 哪 哪里 哪些 哪个 哪位 怎么 怎样 如何 为什么 为何 多少 几 何 时候 吗 呢 "
    "的 了 是 有 在 和 与 为 中 被",
}

FEATURES = (
    "retrieval",  # fused score of the passage
    "first_passage",
    "reciprocal_rank",
    "margin",  # fused score of the passage less the best one
    "covered",  # share of the question's term weight that stands in the sentence
    "covered_nearby",  # the same, with one sentence before and after and the headings above
    "covered_passage",
    "relative",  # covered, as a share of the best sentence among all candidates
    "pairs",  # share of the question's neighbouring term pairs that stand in the sentence
    "cosine",  # encoder cosine of sentence and question (0 where the encoder does not know the language)
    "cosine_relative",  # less the best candidate's
    "log_length",
    "novel",  # log count of terms that are not in the question
    "kind_found",  # the kind of thing asked for (a number, a date, a name) stands in it, outside the question
    "kind_missing",
    "opens_passage",
    "reader",  # the reader's probability that the answer lies in the sentence
    "reader_log",
)

_NUMBER = re.compile(r"\d|[一二三四五六七八九十百千万亿两]+[个位名人年月日次家座条种所公米千]")
_NUMBER_WORD = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|sixty|"
    r"seventy|eighty|ninety|hundred|thousand|million|billion|dozen|half|once|twice|several)\b",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"\b\d{3,4}s?\b|\d+(?:st|nd|rd|th)\b|世纪|年|月|日|时期|朝|"
    r"\b(?:January|February|March|April|May|June|July|August|September|October|November|December|century|"
    r"Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|BC|AD)\b"
)
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][\w'-]+|^[A-Z][\w'-]+(?= [A-Z])")
_ASKS = (
    (
        "date",
        re.compile(
            r"\bwhen\b|\b(?:what|which) (?:year|date|day|month|century|decade)"
            r"|何时|时候|哪一?年|几月|哪天|日期|年份"
        ),
    ),
    (
        "number",
        re.compile(
            r"\bhow (?:many|much|long|old|far|tall|big|large|high|often)\b|\bwhat (?:percent|number|age)"
            r"|多少|几|多大|多长|多高|第几"
        ),
    ),
    (
        "name",
        re.compile(
            r"\bwho(?:m|se)?\b|\bwhere\b"
            r"|\b(?:what|which) (?:country|city|state|person|company|team|river|king|name)"
        ),
    ),
)
_FINDS = {"date": _DATE, "number": _NUMBER_WORD, "name": _NAME}


CROSSING = "zh-en"  # the language of a Chinese question over English passages


@lru_cache(maxsize=4)
def asking_words(lang: str) -> frozenset[str]:
    """Terms that ask rather than name, as the index spells them."""
    return frozenset(terms(_ASKING[lang]))


@lru_cache(maxsize=50_000)
def term_set(text: str) -> frozenset[str]:
    """The distinct lexical terms of a text (cached: passages come back question after question)."""
    return frozenset(terms(text))


@lru_cache(maxsize=50_000)
def _pair_set(text: str) -> frozenset[tuple[str, str]]:
    found = [t for t in terms(text) if t not in asking_words("en")]
    return frozenset(pairwise(found))


def kind_asked(question: str) -> str | None:
    """'date', 'number' or 'name' when the question plainly asks for one, else None."""
    folded = fold(question)
    return next((kind for kind, pattern in _ASKS if pattern.search(folded)), None)


def kind_stands(kind: str, sentence: str, question: str) -> bool:
    """Whether a thing of that kind stands in the sentence and not in the question."""
    pattern = _NUMBER if kind == "number" and language(sentence) == "zh" else _FINDS[kind]
    return any(match.group() not in question for match in pattern.finditer(sentence))


@dataclass(frozen=True, slots=True)
class WeightedQuestion:
    """A question's terms with their weights (natural-log idf among the candidates, asking words left out).

    ``language``: "zh-en" for a Chinese question over English passages, whose terms are its translations.
    """

    text: str
    language: str
    weights: Mapping[str, float]
    pairs: frozenset[tuple[str, str]]
    kind: str | None

    @classmethod
    def build(
        cls, question: str, pool: Iterable[str], translated: Mapping[str, float] | None = None
    ) -> WeightedQuestion:
        """``pool``: the texts of the search's candidates, a few dozen of them; ``translated``: the question's terms in
        their language, with the probability of each, where it is another one than the question's."""
        if translated:
            sets = [term_set(text) for text in pool]
            weights = {term: chance * _rarity(term, sets) for term, chance in translated.items()}
            return cls(question, CROSSING, weights, frozenset(), kind_asked(question))
        lang = language(question)
        wanted = term_set(question) - asking_words(lang)
        if not wanted:
            wanted = term_set(question)
        sets = [term_set(text) for text in pool]
        weights = {}
        for term in sorted(wanted):
            weights[term] = _rarity(term, sets)
            # A character says less than the pair it stands in, and every pair brings its characters along. A digit or
            # a letter stands alone: 0 in "温度为 0 时".
            if lang == "zh" and len(term) == 1 and not term.isascii():
                weights[term] *= 0.5
        return cls(question, lang, weights, _pair_set(question), kind_asked(question))

    def covered(self, found: frozenset[str]) -> float:
        """The share (0..1) of the weight whose terms are in ``found``."""
        total = sum(self.weights.values())
        return sum(w for t, w in self.weights.items() if t in found) / total if total > 0 else 0.0


def _rarity(term: str, sets: Sequence[frozenset[str]]) -> float:
    df = sum(term in terms for terms in sets)
    return math.log(1 + (len(sets) - df + 0.5) / (df + 0.5))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence of a passage: ``passage`` counts from 0, ``start``/``end`` are offsets into its text."""

    passage: int
    start: int
    end: int
    text: str
    position: int  # which sentence of the passage, from 0


def describe(
    question: WeightedQuestion,
    passages: Sequence[str],
    scores: Sequence[float],
    candidates: Sequence[Candidate],
    cosines: Sequence[float] | None = None,
    reader: Sequence[float] | None = None,
    headings: Sequence[str] | None = None,
) -> list[list[float]]:
    """One row of `FEATURES` per candidate; ``scores``: fused score per passage, best first; ``headings``: the
    headings above each passage, which count as nearby words."""
    rows: list[list[float]] = []
    by_place = {(c.passage, c.position): term_set(c.text) for c in candidates}
    own = [question.covered(by_place[c.passage, c.position]) for c in candidates]
    best = max(own, default=0.0) or 1.0
    best_cosine = max(cosines, default=0.0) if cosines else 0.0
    passage_covered = [question.covered(term_set(text)) for text in passages]
    asked = term_set(question.text)
    for i, c in enumerate(candidates):
        here = by_place[c.passage, c.position]
        nearby = here | term_set(headings[c.passage]) if headings else here
        for neighbour in (c.position - 1, c.position + 1):
            nearby = nearby | by_place.get((c.passage, neighbour), frozenset())
        found = kind_stands(question.kind, c.text, question.text) if question.kind else None
        cosine = cosines[i] if cosines else 0.0
        read = reader[i] if reader else 0.0
        rows.append(
            [
                scores[c.passage],
                float(c.passage == 0),
                1 / (1 + c.passage),
                scores[c.passage] - scores[0],
                own[i],
                question.covered(nearby),
                passage_covered[c.passage],
                own[i] / best,
                len(question.pairs & _pair_set(c.text)) / len(question.pairs) if question.pairs else 0.0,
                cosine,
                cosine - best_cosine if cosines else 0.0,
                math.log(1 + len(c.text)),
                math.log(1 + len(here - asked)),
                float(found is True),
                float(found is False),
                float(c.position == 0),
                read,
                math.log(read + 1e-3) - math.log(1e-3) if reader else 0.0,
            ]
        )
    return rows
