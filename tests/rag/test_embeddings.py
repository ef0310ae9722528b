"""LangChain's standard tests for embeddings, over a small encoder and over the bundled one."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from ingest.store import EncoderStamp
from rag.embeddings import OpenbookEmbeddings
from rag.vector_store import stamp_of


class Letters:
    """Encodes a text as its counts of letters."""

    stamp = EncoderStamp("letters", hashlib.sha256(b"letters").hexdigest(), 27, 10_000, ("en",))

    def encode(self, texts: list[str]) -> np.ndarray:
        rows = np.array([[1.0, *(text.count(chr(97 + n)) for n in range(26))] for text in texts], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    encode_documents = encode


class TestUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OpenbookEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"encoder": Letters()}


class TestIntegration(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OpenbookEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"encoder": Letters()}


def test_vectors_are_the_encoders() -> None:
    embeddings = OpenbookEmbeddings(Letters())
    texts = ["abba", "cab"]
    assert np.array_equal(np.array(embeddings.embed_documents(texts), np.float32), Letters().encode(texts))
    assert embeddings.embed_query("abba") == embeddings.embed_documents(["abba"])[0]
    assert embeddings.embed_documents([]) == []
    assert stamp_of(embeddings) == Letters.stamp


def test_bundled_encoder() -> None:
    embeddings = OpenbookEmbeddings.load("bundled")
    rows = np.array(embeddings.embed_documents(["A cat sleeps.", "A kitten naps.", "Interest rates rose."]))
    assert rows.shape == (3, embeddings.stamp.dimension)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-4)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2
