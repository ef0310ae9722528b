"""The lexical leg of a question: BM25 by its own words, and by their translations where the documents are English.

A chunk counts by whichever finds it better. The two sums of BM25 have different ceilings, so the scores of translations
are brought to the ceiling of the question's own words. Where there are Chinese documents too, and one of them holds
much of the question, it is probably the place to look: translations then count less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from ingest.bilingual import DICTIONARY
from ingest.bilingual.dictionary import Dictionary
from ingest.fold import language
from ingest.store import Store
from ingest.store.scope import Ids

# The best Chinese chunk's share of BM25's ceiling from which translations lose weight, how fast, and what they keep. It
# is .17, .30 and .41 (10th, 50th and 90th of 100) where a Chinese paragraph answers, .07, .10 and .15 where none does.
# Chinese XQuAD questions over its paragraphs in both languages and CMRC's: the Chinese one first for .895 instead of
# .832; CMRC's own questions .959 instead of .932; over the English paragraphs and CMRC's .577 (@10 .868) either way.
NATIVE, FALL, LEAST = 0.14, 8.0, 0.3

CROSSED = (
    "The question was searched for in English words too; whether these documents hold the answer is less sure than "
    "within one language."
)


@lru_cache(maxsize=1)
def translations() -> Dictionary:
    """The bundled Chinese-English dictionary, read once."""
    return Dictionary.load(DICTIONARY)


def crossing(question: str, passages: Sequence[str]) -> dict[str, float]:
    """The translated terms of a Chinese question with their weights, where most of the passages are English."""
    if language(question) != "zh" or 2 * sum(language(text) == "en" for text in passages) <= len(passages):
        return {}
    return translations().translate(question)


class WordQuery:
    """``translated``: the weighted terms of the question in the other language; empty when only its own count.

    ``bound``: what no score can exceed; ``crosses``: whether there are translations.
    """

    def __init__(self, store: Store, question: str, translated: Mapping[str, float]) -> None:
        self._store, self._question, self._translated = store, question, dict(translated)
        self.bound, self.crosses = store.lexical_bound(question), bool(translated)
        self._scale = 0.0
        self._native = bool(translated) and language(question) in store.languages()
        if translated:
            ceiling = store.lexical_bound(self._translated)
            self.bound = self.bound or ceiling
            self._scale = self.bound / ceiling if ceiling > 0 else 0.0

    def ranked(self, k: int, *, allowed: Ids | None = None, without: Ids = ()) -> list[tuple[int, float]]:
        """The ``k`` best chunks: (chunk id, score), best first, ties in the order of ids."""
        own = self._store.lexical(self._question, k, allowed=allowed, without=without)
        if not self._scale:
            return own
        if self._native:  # once: later calls only complete what the first one found
            self._native = False
            share = own[0][1] / self.bound if own else 0.0
            self._scale *= min(1.0, max(LEAST, 1 - (share - NATIVE) * FALL))
        best = dict(own)
        for number, score in self._store.lexical(self._translated, k, allowed=allowed, without=without):
            best[number] = max(best.get(number, 0.0), self._scale * score)
        return sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:k]
