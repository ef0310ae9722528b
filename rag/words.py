"""The lexical leg of a question: BM25 by its own words, and by their translations where the documents are English.

A chunk counts by whichever finds it better. The two sums of BM25 have different ceilings, so the scores of translations
are brought to the ceiling of the question's own words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from ingest.bilingual import DICTIONARY
from ingest.bilingual.dictionary import Dictionary
from ingest.fold import language
from ingest.store import Store
from ingest.store.scope import Ids

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
        if translated:
            ceiling = store.lexical_bound(self._translated)
            self.bound = self.bound or ceiling
            self._scale = self.bound / ceiling if ceiling > 0 else 0.0

    def ranked(self, k: int, *, allowed: Ids | None = None, without: Ids = ()) -> list[tuple[int, float]]:
        """The ``k`` best chunks: (chunk id, score), best first, ties in the order of ids."""
        own = self._store.lexical(self._question, k, allowed=allowed, without=without)
        if not self._scale:
            return own
        best = dict(own)
        for number, score in self._store.lexical(self._translated, k, allowed=allowed, without=without):
            best[number] = max(best.get(number, 0.0), self._scale * score)
        return sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:k]
