"""LangChain's standard tests for vector stores, all of them, and what they leave open."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.indexing import InMemoryRecordManager, index
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from ingest.store import NewDocument, Store, StoreError
from ingest.types import Chunk
from rag.vector_store import OpenbookVectorStore, stamp_of


class TestStandard(VectorStoreIntegrationTests):
    """Nothing is overridden but the fixture."""

    @pytest.fixture
    def vectorstore(self, tmp_path: Path) -> Generator[OpenbookVectorStore, None, None]:
        embedding = self.get_embeddings()
        with Store.open(tmp_path / "store", write=True, create=True, encoder=stamp_of(embedding)) as store:
            yield OpenbookVectorStore(store, embedding)


@pytest.fixture
def embedding() -> Embeddings:
    return DeterministicFakeEmbedding(size=16)


@pytest.fixture
def vector_store(tmp_path: Path, embedding: Embeddings) -> Iterator[OpenbookVectorStore]:
    with Store.open(tmp_path / "store", write=True, create=True, encoder=stamp_of(embedding)) as store:
        yield OpenbookVectorStore(store, embedding)


def ingest(vector_store: OpenbookVectorStore, path: str, text: str, header: str = "Guide > Cats") -> int:
    """A file as the pipeline stores it, in two chunks."""
    half = len(text) // 2
    spans = [(0, half), (half, len(text))]
    chunks = [Chunk(n, a, b, text[a:b], header, ("Guide", "Cats"), 4) for n, (a, b) in enumerate(spans)]
    rows = np.array(vector_store.embedding.embed_documents([chunk.text for chunk in chunks]), np.float32)
    new = NewDocument(
        path, "/docs", "Guide", "markdown", "en", 1, 1, "", len(text), text, metadata={"tag": "x"}
    )
    doc_id = vector_store.store.put(new, chunks, rows)
    vector_store.store.commit()
    return doc_id


def test_chunks_of_files_say_where_they_stand(vector_store: OpenbookVectorStore) -> None:
    text = "Cats sleep most of the day. Dogs bark at the postman."
    doc_id = ingest(vector_store, "/docs/guide.md", text)
    found = vector_store.similarity_search(text[: len(text) // 2], k=1)[0]
    where = found.metadata
    assert found.id == str(where["chunk_id"])
    assert vector_store.store.text(doc_id)[where["start"] : where["end"]] == found.page_content
    assert (where["source"], where["title"], where["headings"]) == (
        "/docs/guide.md",
        "Guide",
        ["Guide", "Cats"],
    )
    assert (where["page"], where["doc_id"], where["tag"]) == (4, doc_id, "x")
    assert vector_store.get_by_ids([str(where["chunk_id"])]) == [found]


def test_ids_of_both_kinds_do_not_mix(vector_store: OpenbookVectorStore) -> None:
    ingest(vector_store, "/docs/guide.md", "Cats sleep. Dogs bark.")
    chunk_id = vector_store.store.chunk_ids()[0]
    vector_store.add_texts(["mine"], ids=[str(chunk_id)])
    assert vector_store.get_by_ids([str(chunk_id)])[0].page_content == "mine"
    inner = vector_store.store.chunk_ids()[-1]
    assert vector_store.get_by_ids([str(inner), "²", "9" * 30, "-1", ""]) == []
    vector_store.delete([str(chunk_id)])
    assert vector_store.get_by_ids([str(chunk_id)])[0].page_content == "Cats sleep."
    vector_store.delete()  # everything added here; files stay
    assert vector_store.store.path_count == 1


def test_scores_are_cosines_and_relevance_lies_between_0_and_1(vector_store: OpenbookVectorStore) -> None:
    texts = [f"text {number}" for number in range(12)]
    vector_store.add_texts(texts)
    hits = vector_store.similarity_search_with_score("text 3", k=12)
    assert hits[0][0].page_content == "text 3"
    assert hits[0][1] == pytest.approx(1.0, abs=1e-6)
    query = np.array(vector_store.embedding.embed_query("text 3"))
    for document, score in hits:
        row = np.array(vector_store.embedding.embed_query(document.page_content))
        assert score == pytest.approx(row @ query / np.linalg.norm(row) / np.linalg.norm(query), abs=1e-5)
    relevance = vector_store.similarity_search_with_relevance_scores("text 3", k=12)
    assert [document for document, _ in relevance] == [document for document, _ in hits]
    assert all(0 <= score <= 1 for _, score in relevance)
    near = vector_store.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.999}
    )
    assert [document.page_content for document in near.invoke("text 3")] == ["text 3"]


def test_filter_looks_as_far_down_as_it_must(vector_store: OpenbookVectorStore) -> None:
    documents = [Document(page_content=f"text {n}", metadata={"n": n, "odd": n % 2}) for n in range(80)]
    vector_store.add_documents(documents)
    ranking = vector_store.similarity_search("text 7", k=80)
    last = ranking[-1].metadata["n"]
    assert [
        found.metadata["n"] for found in vector_store.similarity_search("text 7", k=1, filter={"n": last})
    ] == [last]
    odd = [found for found in ranking if found.metadata["odd"]]
    assert vector_store.similarity_search("text 7", k=5, filter={"odd": 1}) == odd[:5]
    assert vector_store.similarity_search("text 7", k=50, filter={"odd": 1}) == odd
    assert (
        vector_store.similarity_search("text 7", k=5, filter=lambda found: found.metadata["odd"] == 1)
        == odd[:5]
    )
    assert vector_store.similarity_search("text 7", k=5, filter={"odd": 1, "none": 2}) == []
    by_vector = vector_store.similarity_search_by_vector(
        vector_store.embedding.embed_query("text 7"), k=5, filter={"odd": 1}
    )
    assert by_vector == odd[:5]


def test_marginal_relevance_prefers_variety(vector_store: OpenbookVectorStore) -> None:
    documents = [Document(page_content="same", metadata={"n": n}) for n in range(4)]
    vector_store.add_documents([*documents, Document(page_content="other", metadata={"n": 4})])
    found = vector_store.max_marginal_relevance_search("same", k=2, fetch_k=5, lambda_mult=0.3)
    assert [document.page_content for document in found] == ["same", "other"]
    near = vector_store.max_marginal_relevance_search("same", k=2, fetch_k=5, lambda_mult=1.0)
    assert [document.page_content for document in near] == ["same", "same"]
    retriever = vector_store.as_retriever(search_type="mmr", search_kwargs={"k": 2, "lambda_mult": 0.3})
    assert {document.page_content for document in retriever.invoke("same")} == {"same", "other"}
    vector_store.delete()
    assert vector_store.max_marginal_relevance_search("same") == []


def test_from_texts_and_reopening(tmp_path: Path, embedding: Embeddings) -> None:
    made = OpenbookVectorStore.from_texts(
        ["one", "two"], embedding, [{"n": 1}, {"n": 2}], ids=["a", "b"], directory=tmp_path / "kept"
    )
    made.store.close()
    with Store.open(tmp_path / "kept", encoder=stamp_of(embedding)) as store:
        again = OpenbookVectorStore(store, embedding)
        assert again.similarity_search("two", k=1) == [
            Document(id="b", page_content="two", metadata={"n": 2})
        ]
        with pytest.raises(StoreError, match="reading only"):
            again.add_texts(["three"])
    temporary = OpenbookVectorStore.from_documents([Document(page_content="x")], embedding)
    assert temporary.similarity_search("x", k=3)[0].page_content == "x"
    assert temporary.add_documents([]) == []
    temporary.store.close()
    with pytest.raises(StoreError, match="encoder"):
        Store.open(tmp_path / "kept", encoder=stamp_of(DeterministicFakeEmbedding(size=17)))


def test_adding_is_all_or_nothing(vector_store: OpenbookVectorStore) -> None:
    documents = [Document(page_content="good"), Document(page_content="bad", metadata={"x": object()})]
    with pytest.raises(StoreError, match="metadata must be JSON"):
        vector_store.add_documents(documents)
    assert vector_store.store.path_count == 0
    with pytest.raises(ValueError, match="as many ids"):
        vector_store.add_documents(documents[:1], ids=["a", "b"])


def test_indexing_api_of_langchain(vector_store: OpenbookVectorStore) -> None:
    """`langchain_core.indexing.index` twice over changing documents leaves exactly the last version."""
    records = InMemoryRecordManager("test")
    records.create_schema()

    def run(texts: list[str]) -> dict[str, int]:
        documents = [Document(page_content=text, metadata={"source": "s"}) for text in texts]
        options = {"cleanup": "full", "source_id_key": "source", "key_encoder": "blake2b"}
        return dict(index(documents, records, vector_store, **options))  # type: ignore[arg-type]

    assert run(["a", "b", "c"])["num_added"] == 3
    assert run(["a", "b", "d"]) == {"num_added": 1, "num_deleted": 1, "num_skipped": 2, "num_updated": 0}
    found = vector_store.similarity_search("a", k=10)
    assert sorted(document.page_content for document in found) == ["a", "b", "d"]
