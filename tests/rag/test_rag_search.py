from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests

from ingest.pipeline import ingest
from ingest.store import Store, StoreError
from rag.retriever import OpenbookRetriever, from_documents
from rag.search import Searcher


def test_english_uses_both_legs(searcher: Searcher) -> None:
    result = searcher.search("How high is the tower?", 3)
    best = result.hits[0]
    assert "42 metres" in best.chunk.text
    assert result.dense_used and best.fused.dense_rank == 1 and best.fused.dense_score is not None


def test_chinese_uses_both_legs(searcher: Searcher) -> None:
    result = searcher.search("长城在哪一年被列为世界遗产？", 5)
    assert result.dense_used and "1987" in result.hits[0].chunk.text and result.hits[0].fused.dense_rank == 1


def test_chinese_with_an_english_encoder_is_the_lexical_ranking(store: Path, tmp_path: Path) -> None:
    ingest([store.parent / "files"], tmp_path / "store", encoder="minilm")
    searcher = Searcher.open(tmp_path / "store")
    question = "长城在哪一年被列为世界遗产？"
    result = searcher.search(question, 5)
    assert not result.dense_used
    assert [hit.chunk.id for hit in result.hits] == [cid for cid, _ in searcher.legs(question, 5)[0]]
    assert "1987" in result.hits[0].chunk.text
    searcher.close()


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("灯塔是哪一年建造的？", "built in 1874"),
        ("参观灯塔的门票多少钱？", "12 kronor"),
        ("蜂后每天产多少卵？", "2,000 eggs"),
        ("去斯卡霍尔姆的渡轮几点出发？", "leaves Bergen at 9"),
    ],
)
def test_chinese_questions_find_english_documents(searcher: Searcher, question: str, words: str) -> None:
    assert any(words in hit.chunk.text for hit in searcher.search(question, 3).hits)


@pytest.mark.parametrize(
    ("question", "words"),
    [("When is the best Longjing tea picked?", "清明"), ("What year was the Great Wall listed?", "1987")],
)
def test_english_questions_find_chinese_documents(searcher: Searcher, question: str, words: str) -> None:
    assert any(words in hit.chunk.text for hit in searcher.search(question, 3).hits)


def test_what_stands_in_both_languages_is_answered_in_the_askers(tmp_path: Path) -> None:
    """... and what stands in the other one alone is found there all the same."""
    files = tmp_path / "files"
    files.mkdir()
    texts = {
        "en": "# Documents\n\nTo delete a document, move its file out of the folder and ingest the folder again.\n\n"
        "A deleted document is no longer searched or quoted.\n\n# Bees\n\nA queen bee lays 2,000 eggs a day.\n",
        "zh": "# 文档\n\n怎么删除文档：把文件移出文件夹，再收录一次这个文件夹。\n\n删除的文档不再被检索，也不会被引用。\n",
    }
    for name, text in texts.items():
        (files / f"{name}.md").write_text(text, "utf-8")
    ingest([files], tmp_path / "store")
    searcher = Searcher.open(tmp_path / "store")
    best = {q: Path(searcher.search(q, 3).hits[0].chunk.source).stem for q in ("怎样删除一个文档？", "蜂后每天产多少卵？")}
    searcher.close()
    assert best == {"怎样删除一个文档？": "zh", "蜂后每天产多少卵？": "en"}


def test_late_interaction_orders_the_best_few(searcher: Searcher) -> None:
    question = "Which engineer built the lighthouse?"
    plain = searcher.search(question, 5, rerank=False).hits
    again = searcher.search(question, 5).hits
    assert all(hit.fused.interaction is None for hit in plain)
    assert "Ada Lindqvist" in again[0].chunk.text
    assert {hit.fused.interaction is None for hit in again if not hit.chunk.text.isascii()} <= {True}
    assert again[0].fused.interaction is not None


def test_nearest_passages_even_without_a_common_word(searcher: Searcher) -> None:
    assert searcher.search("xyzzy", 3).hits


def test_a_document_can_be_left_out(searcher: Searcher) -> None:
    first = searcher.search("queen bee eggs", 1).hits[0].chunk.doc_id
    assert all(h.chunk.doc_id != first for h in searcher.search("queen bee eggs", 5, without={first}).hits)


def test_copies_are_shown_once(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "files" / f"{name}.csv").write_text("name,city\nIda,Oslo\n", encoding="utf-8")
    (tmp_path / "files" / "d.txt").write_text("Ida moved from Oslo to Bergen in 1999.", encoding="utf-8")
    ingest([tmp_path / "files"], tmp_path / "store")
    searcher = Searcher.open(tmp_path / "store")
    texts = [hit.chunk.text for hit in searcher.search("Ida Oslo", 5).hits]
    searcher.close()
    assert len(texts) == len(set(texts))


def test_missing_and_empty_stores_say_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="python -m ingest"):
        Searcher.open(tmp_path / "nothing")
    from ingest.encode import read_stamp

    with Store.open(tmp_path / "empty", write=True, create=True, encoder=read_stamp("bundled")):
        pass
    with pytest.raises(StoreError, match="python -m ingest"):
        Searcher.open(tmp_path / "empty")


def test_a_running_searcher_sees_new_files(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("Oslo is in Norway.", encoding="utf-8")
    ingest([tmp_path / "files"], tmp_path / "store")
    searcher = Searcher.open(tmp_path / "store")
    (tmp_path / "files" / "b.txt").write_text("The capital of Peru is Lima.", encoding="utf-8")
    ingest([tmp_path / "files"], tmp_path / "store")
    assert "Lima" in searcher.search("What is the capital of Peru?", 1).hits[0].chunk.text
    searcher.close()


class TestStandard(RetrieversIntegrationTests):
    """LangChain's own tests of a retriever."""

    @pytest.fixture(autouse=True)
    def _store(self, store: Path) -> None:
        self._folder = store

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return OpenbookRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, object]:
        return {"store": self._folder}

    @property
    def retriever_query_example(self) -> str:
        return "When was the lighthouse built?"


def test_documents_round_trip(store: Path) -> None:
    retriever = OpenbookRetriever(store=store, k=2)
    documents = retriever.invoke("How tall is the lighthouse?")
    meta = documents[0].metadata
    text = retriever.searcher.store.text(meta["doc_id"])
    assert text[meta["start"] : meta["end"]] == documents[0].page_content
    source = from_documents(documents)[0]
    assert (source.start, source.end, source.text) == (0, len(source.text), documents[0].page_content)
    retriever.searcher.close()
