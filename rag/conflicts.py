"""Two quotations that say the same thing with another number or date.

Precise rather than eager: apart from their numbers the sentences must agree nearly word for word, name the same things
and have as many numbers, of which one differs (of dates two). A year beside other numbers says for when they hold, so
another year is no contradiction; nor is anything said of "it", which may be something else there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations

from ingest.fold import fold, language, terms
from ingest.sentences import sentences
from rag.features import asking_words
from rag.quote import Scored
from rag.support import denials, longest_gap
from rag.types import Citation, Conflict, Source
from rag.values import values
from rag.verify import cite

AGREE = 0.8  # share of the terms beside numbers that both must hold, of either
WORDS = {"en": 2, "zh": 4}  # terms beside the numbers, so that there is something they say the same of
_MONTH = "january|february|march|april|may|june|july|august|september|october|november|december"
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*|[零〇一二两三四五六七八九十百千万亿]{2,}|[二两三四五六七八九十]")
_WORDS = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|"
    r"eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|"
    rf"{_MONTH})\b",
    re.IGNORECASE,
)
_DATED = re.compile(rf"\b\d{{1,2}}\.? (?:{_MONTH})\b|\b(?:{_MONTH}) \d{{1,2}}\b|\d月\d{{1,2}}[日号]", re.IGNORECASE)
_VAGUE = re.compile(r"(?:it|he|she|they|this|that|these|those|there)\b|[它他她这那其该]", re.IGNORECASE)
_NAME = re.compile(r"\b[A-Z][\w'’-]+")


def conflicts(citations: Sequence[Citation]) -> list[Conflict]:
    """The pairs of cited sentences that disagree, each pair of places once."""
    found = []
    for first, second in combinations(citations, 2):
        if first.chunk_id == second.chunk_id:
            continue
        for a, b in ((x, y) for x in _sentences(first.quote) for y in _sentences(second.quote)):
            values_ = differ(a, b)
            if values_ is not None:
                found.append(Conflict(first=first, second=second, values=values_))
                break
    return found


def contrary(citations: Sequence[Citation], scored: Scored, sources: Sequence[Source]) -> list[Citation]:
    """Sentences of other passages that disagree with a quotation: whoever reads the one has to see the other."""
    cited = {citation.chunk_id for citation in citations}
    found: list[Citation] = []
    for candidate in scored.candidates:
        source = sources[candidate.passage]
        if source.chunk_id in cited:
            continue
        if any(differ(one, candidate.text) for c in citations if not c.exact for one in _sentences(c.quote)):
            found.append(cite(source, candidate.start, candidate.end, 0.0))
            cited.add(source.chunk_id)
    return found[:2]


def differ(one: str, other: str) -> tuple[str, str] | None:
    """What each of two sentences says where they disagree; None where they do not."""
    lang = language(one)
    if lang != language(other) or bool(denials(one)) != bool(denials(other)):
        return None
    mine, its = values(one), values(other)
    left, right = mine - its, its - mine
    if not left or len(left) != len(right) or len(mine) != len(its):
        return None
    if _VAGUE.match(one) or _VAGUE.match(other):
        return None
    dated = bool(_DATED.search(one) and _DATED.search(other))
    if len(left) > (2 if dated else 1):
        return None
    if len(mine) > 1 and not dated and all(1000 <= n <= 2100 for n in left | right):
        return None
    bare_one, bare_other = _bare(one), _bare(other)
    shared, both = _terms(bare_one, lang), _terms(bare_other, lang)
    common = len(shared & both)
    if common < WORDS[lang] or common < AGREE * max(len(shared), len(both)):
        return None
    if not (_all_in(_names(bare_one), other) and _all_in(_names(bare_other), one)):
        return None
    gap = max(longest_gap(bare_one, bare_other), longest_gap(bare_other, bare_one))
    if gap > 1:
        return None
    return _text(left, one), _text(right, other)


def _sentences(quote: str) -> list[str]:
    return [quote[start:end] for start, end in sentences(quote)]


def _bare(text: str) -> str:
    return _WORDS.sub(" ", _NUMBER.sub(" ", text))


def _terms(text: str, lang: str) -> set[str]:
    return set(terms(text)) - asking_words(lang)


def _names(text: str) -> set[str]:
    return {fold(name) for name in _NAME.findall(text)} - asking_words("en")


def _all_in(names: set[str], text: str) -> bool:
    folded = fold(text)
    return all(name in folded for name in names)


def _text(numbers: set[float], sentence: str) -> str:
    """The numbers as the sentence writes them."""
    found = []
    for match in (*_NUMBER.finditer(sentence), *_WORDS.finditer(sentence)):
        around = sentence[match.start() : match.end() + 2]
        if (values(match.group()) | values(around)) & numbers and match.group() not in found:
            found.append(match.group())
    return " ".join(found) or " ".join(f"{number:g}" for number in sorted(numbers))
