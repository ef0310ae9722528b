"""How rare each word-piece is, for late interaction: a frequent one says little about a passage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ingest.bilingual.training.batches import pieces_of

TEXTS = 30_000  # of the training's, which are shuffled; more of them change only what is rarer than any question


def rarity(texts: Sequence[str], tokenizer: Any) -> np.ndarray:
    """(V,) float32: ln(1 + (N - n + .5) / (n + .5)) for a word-piece in n of the first N texts, as BM25 counts it."""
    some = texts[:TEXTS]
    found = np.zeros(tokenizer.get_vocab_size())
    for start in range(0, len(some), 1000):
        for row in pieces_of(tokenizer, some[start : start + 1000]):
            found[np.unique(row)] += 1
    return np.log(1 + (len(some) - found + 0.5) / (found + 0.5)).astype(np.float32)
