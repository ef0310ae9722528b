"""English documents: a chunk's vector is the sum of one table's rows, for each of its word-pieces.

A question is read by the transformer, a chunk is not: of its 233 word-pieces the table takes 0.05 ms, two layers 9 ms
on one core. The rows are learned so that their sum points where the transformer's vector of the same chunk does
(``training/documents.py``); what is lost by that, late interaction over the ten best chunks makes up for
(``rag/rerank.py``), where the transformer does read them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ingest.bilingual.damped import damped

DOCUMENTS = "documents"  # the name of the rows among the weights


class PieceTable:
    """``codes`` (V, C) int8 and ``scale`` (V,) float32: row t is ``codes[t] * scale[t]``, and its length says how much
    the word-piece weighs."""

    def __init__(self, codes: np.ndarray, scale: np.ndarray) -> None:
        self.codes, self.scale = codes, scale.astype(np.float32)

    @classmethod
    def of(cls, weights: Mapping[str, np.ndarray]) -> PieceTable:
        """The table among a model's weights; KeyError when there is none."""
        return cls(weights[f"{DOCUMENTS}.codes"], weights[f"{DOCUMENTS}.scale"])

    def encode(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        """float32 (n, C), not normalised, of texts given as word-pieces; zeros for a text without any."""
        vectors = np.zeros((len(rows), self.codes.shape[1]), dtype=np.float32)
        for place, ids in enumerate(rows):
            distinct, weights = damped(ids)
            if len(distinct):
                vectors[place] = (weights * self.scale[distinct]) @ self.codes[distinct].astype(np.float32)
        return vectors
