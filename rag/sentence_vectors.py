"""How near sentences are to a question, by the store's encoder; the vectors of sentences are kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

import numpy as np


class SentenceEncoder(Protocol):
    """What quote mode needs of `ingest.encode.Encoder`."""

    def encode(self, texts: Sequence[str]) -> np.ndarray: ...


class SentenceVectors:
    """Vectors of sentences, kept for the next question (passages come back); safe between threads."""

    def __init__(self, encoder: SentenceEncoder, keep: int = 20_000) -> None:
        self._encoder, self._keep = encoder, keep
        self._known: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def cosines(self, question: np.ndarray, texts: Sequence[str]) -> list[float]:
        """The cosine of each text with the question's vector (d,)."""
        with self._lock:
            missing = [text for text in dict.fromkeys(texts) if text not in self._known]
            if missing:
                for text, vector in zip(missing, self._encoder.encode(missing), strict=True):
                    self._known[text] = vector
            found = np.stack([self._known[text] for text in texts]) if texts else np.zeros((0, len(question)))
            for text in texts:
                self._known.move_to_end(text)
            while len(self._known) > self._keep:
                self._known.popitem(last=False)
        return [float(x) for x in found @ question]
