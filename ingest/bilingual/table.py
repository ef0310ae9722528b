"""The Chinese half: a text's vector is the sum of one table's rows, for each character, each pair of neighbouring
characters and each Latin word-piece; a row's length says how much its term weighs, and what comes again counts less
each time (``damped.py``).

Pairs beside characters, because words have no gaps: they need no segmentation, and unknown words still have their
characters. Traditional characters and full-width signs are folded first, as in the lexical index (``ingest/fold.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ingest.bilingual.damped import damped
from ingest.fold import fold

HAN = re.compile("[\u3400-\u9fff]+")
LATIN = re.compile(r"[a-z\u00c0-\u024f][a-z\u00c0-\u024f0-9'+#.\-_]*|\d+")
_SHIFT = 1 << 16  # every Han character here fits two bytes, so a pair of them is one 32-bit number


class Table:
    """``terms``: the characters, pairs and word-pieces (``#`` before them) of the rows; ``rows``: float32 (N, C)."""

    def __init__(self, terms: Sequence[str], rows: np.ndarray, pieces: Any) -> None:
        self.rows, self._pieces = rows, pieces
        self._single = np.full(_SHIFT, -1, dtype=np.int32)
        self._latin = np.full(pieces.get_vocab_size(), -1, dtype=np.int32)
        pairs: list[tuple[int, int]] = []
        for number, term in enumerate(terms):
            if term[0] == "#":
                self._latin[pieces.token_to_id(term[1:])] = number
            elif len(term) == 1:
                self._single[ord(term)] = number
            else:
                pairs.append((ord(term[0]) * _SHIFT + ord(term[1]), number))
        pairs.sort()
        self._keys = np.array([key for key, _ in pairs], dtype=np.int64)
        self._pair_rows = np.array([number for _, number in pairs], dtype=np.int32)

    def ids(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The numbers of the rows that each text adds up."""
        folded = [fold(text) for text in texts]
        latin = self._pieces.encode_batch_fast([" ".join(LATIN.findall(t)) for t in folded], add_special_tokens=False)
        found = []
        for text, encoding in zip(folded, latin, strict=True):
            parts = [self._han(run) for run in HAN.findall(text)]
            parts.append(self._latin[encoding.ids] if encoding.ids else np.empty(0, dtype=np.int32))
            numbers = np.concatenate(parts)
            found.append(numbers[numbers >= 0])
        return found

    def _han(self, run: str) -> np.ndarray:
        codes = np.frombuffer(run.encode("utf-16-le"), dtype=np.uint16).astype(np.int64)
        single = self._single[codes]
        keys = codes[:-1] * _SHIFT + codes[1:]
        if not len(keys) or not len(self._keys):
            return single
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.concatenate([single, np.where(self._keys[at] == keys, self._pair_rows[at], -1)])

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (n, C), not normalised; zeros for a text without known terms."""
        vectors = np.zeros((len(texts), self.rows.shape[1]), dtype=np.float32)
        for place, numbers in enumerate(self.ids(texts)):
            distinct, weights = damped(numbers)
            if len(distinct):
                vectors[place] = weights @ self.rows[distinct]
        return vectors


def terms(text: str, pieces: Any) -> list[str]:
    """What a text is made of, as :class:`Table` names its rows; for choosing a vocabulary.

    >>> terms("机器学习", None)
    ['机', '器', '学', '习', '机器', '器学', '学习']
    """
    folded = fold(text)
    found: list[str] = []
    for run in HAN.findall(folded):
        found += [*run, *(run[i : i + 2] for i in range(len(run) - 1))]
    latin = " ".join(LATIN.findall(folded))
    if latin:
        found += [f"#{piece}" for piece in pieces.encode(latin, add_special_tokens=False).tokens]
    return found


def by_kind(counted: Iterable[tuple[str, int]], single: int, pairs: int, latin: int, least: int) -> list[str]:
    """The most frequent terms of each kind, of those counted at least ``least`` times; characters at least once."""
    kinds: dict[str, list[tuple[int, str]]] = {"single": [], "pair": [], "latin": []}
    for term, count in counted:
        kind = "latin" if term[0] == "#" else "single" if len(term) == 1 else "pair"
        if kind == "single" or count >= least:
            kinds[kind].append((-count, term))
    sizes = {"single": single, "pair": pairs, "latin": latin}
    return [term for kind, size in sizes.items() for _, term in sorted(kinds[kind])[:size]]
