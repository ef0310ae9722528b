"""LangChain's `Embeddings` over the encoder that ingestion uses, so that questions and chunks meet in one
space.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from langchain_core.embeddings import Embeddings

from ingest.store import EncoderStamp


class TextEncoder(Protocol):
    """What is needed of an encoder; `ingest.encode.Encoder` is one."""

    @property
    def stamp(self) -> EncoderStamp:
        """Which encoder this is."""
        ...

    def encode(self, texts: list[str]) -> np.ndarray:
        """Questions: float32 (n, d), rows of unit length."""
        ...

    def encode_documents(self, texts: list[str]) -> np.ndarray:
        """Chunks, in the same space."""
        ...


class OpenbookEmbeddings(Embeddings):
    """The async methods of the base class run these in a thread."""

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder

    @classmethod
    def load(cls, name: str = "bundled") -> OpenbookEmbeddings:
        """Load an encoder by name or folder; IngestError when it cannot be."""
        from ingest.encode import Encoder  # loading torch takes seconds; callers may never need it

        return cls(Encoder.load(name))

    @property
    def stamp(self) -> EncoderStamp:
        """Which encoder this is, for `Store.open`."""
        return self.encoder.stamp

    def embed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """One list of floats per text."""
        rows: list[list[float]] = self.encoder.encode_documents(list(texts)).tolist() if texts else []
        return rows

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question."""
        row: list[float] = self.encoder.encode([text])[0].tolist()
        return row
