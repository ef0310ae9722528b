"""Where to look, said in the question: parsed without surprises, and kept to by both legs of the search."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from ingest.pipeline import ingest
from rag.__main__ import main
from rag.chain import build_chain
from rag.embeddings import OpenbookEmbeddings
from rag.library import Library
from rag.scope import parse
from rag.search import Searcher
from rag.types import RagError

FILES = {
    "contracts/lease.pdf.txt": ("The rent of the flat is 900 euros a month.", "2024-03-01"),
    "contracts/old lease.txt": ("The rent of the cellar is 120 euros a month.", "2019-05-20"),
    "notes/rent.md": ("# Thoughts on rent\n\nThe rent of the garage is 60 euros a month.", "2025-02-10"),
    "notes/租约.md": ("# 租约说明\n\n租金为每月八百元，押金为两个月租金。", "2025-06-30"),
    "notes/Report[1].txt": ("The rent of the boat is 45 euros a month.", "2025-01-31"),
}


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searcher]:
    folder = tmp_path_factory.mktemp("scope")
    for name, (text, day) in FILES.items():
        path = folder / "papers" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        when = datetime.fromisoformat(f"{day} 12:00").timestamp()
        os.utime(path, (when, when))
    ingest([folder / "papers"], folder / "store")
    ingest([folder / "papers" / "contracts"], folder / "store", collection="My contracts")
    opened = Searcher.open(folder / "store")
    yield opened
    opened.close()


def names(searcher: Searcher, question: str) -> set[str]:
    """The files that a question may be answered from; what is found must lie among them."""
    chosen = searcher.narrow(question)[1] or frozenset()
    hits = {hit.chunk.doc_id for hit in searcher.search(question, 10).hits}
    assert hits and hits <= chosen
    return {Path(searcher.store.document(number).path).name for number in chosen}


ASK = "What is the rent of it a month?"
CONTRACTS, NOTES = {"lease.pdf.txt", "old lease.txt"}, {"rent.md", "租约.md", "Report[1].txt"}


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        ("file:lease.pdf.txt", {"lease.pdf.txt"}),
        ("file:lease.pdf", {"lease.pdf.txt"}),  # the suffix may be left out
        ("FILE：LEASE.PDF,", {"lease.pdf.txt"}),
        ('file:"old lease.txt"', {"old lease.txt"}),
        ("file:lease", CONTRACTS),  # no file of that name: any part of the path
        ("file:contracts", CONTRACTS),
        ("file:papers/notes/", NOTES),
        ("file:*.md", {"rent.md", "租约.md"}),
        ("file:notes/r*", {"rent.md", "Report[1].txt"}),
        ("file:report[1].txt", {"Report[1].txt"}),
        ("文件：租約", {"租约.md"}),  # traditional and simplified are one
        ("file:rent.md file:租约.md", {"rent.md", "租约.md"}),
        ("@rent.md", {"rent.md"}),
        ("@rent", {"rent.md"}),
        ('title:"thoughts on"', {"rent.md"}),
        ("标题：《租约说明》", {"租约.md"}),
        ("after:2025-01-31", NOTES),
        ("after:2025-02 before:2025-06-30", {"rent.md"}),
        ("before:2024-03-01", {"old lease.txt"}),
        ("晚于：2025年6月30日", {"租约.md"}),
        ('in:"my  contracts"', CONTRACTS),
        ("集合：“My contracts” before:2020", {"old lease.txt"}),
        ("in:'My contracts' file:*.txt after:2020", {"lease.pdf.txt"}),
    ],
)
def test_only_what_was_asked_for_is_searched(searcher: Searcher, scope: str, found: set[str]) -> None:
    for question in (f"{scope} {ASK}", f"{ASK} {scope}"):
        assert searcher.narrow(question)[0] == ASK
        assert names(searcher, question) == found


def test_both_legs_keep_to_it(searcher: Searcher) -> None:
    hits = searcher.search(f"in:'My contracts' {ASK}", 10).hits
    assert {hit.fused.dense_rank for hit in hits} == {hit.fused.lexical_rank for hit in hits} == {1, 2}


def test_an_absolute_path_and_a_mention_in_a_sentence(searcher: Searcher) -> None:
    place = next(d.path for d in searcher.store.documents() if d.path.endswith("rent.md"))
    assert names(searcher, f"file:{place} rent") == {"rent.md"}
    assert searcher.narrow("What does @rent.md, say of garages?")[0] == "What does say of garages?"
    assert searcher.narrow("请看 文件：租约.md，租金是多少？")[0] == "请看，租金是多少？"


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("file:leese.pdf.txt rent", "did you mean lease.pdf.txt"),
        ("file:xyzzy rent", "No file of the store is called 'xyzzy'"),
        ("@invoice.pdf rent", "No file of the store is called 'invoice.pdf'"),
        ("title:xyzzy rent", "has 'xyzzy' in its title"),
        ("in:taxes rent", "no collection 'taxes' in the store: there is My contracts"),
        ("after:yesterday rent", "'yesterday' is no date: write after:2025-01-31"),
        ("before:2025-13-01 rent", "'2025-13-01' is no date"),
        ("file:rent.md before:2020 rent", "No document of the store meets file:rent.md before:2020"),
        ("file:rent.md", "Only the place to look is named, file:rent.md"),
    ],
)
def test_one_sentence_for_what_cannot_be_found(searcher: Searcher, question: str, sentence: str) -> None:
    with pytest.raises(RagError) as error:
        searcher.search(question)
    assert sentence in str(error.value) and "\n" not in str(error.value)


def test_a_store_without_collections_says_how_to_make_one() -> None:
    with pytest.raises(RagError, match="python -m ingest PATH --collection NAME"):
        Library([], {}).select(parse("in:x y", lambda _: False)[1])


@pytest.mark.parametrize(
    "question",
    [
        'What does "file:x" mean?',
        "What is at file:///etc/hosts or http://localhost:7860?",
        "Is the ratio 3:4, at 12:30?",
        "What does @property do, and who is me@example.org?",
        "What follows in: this list?",
        "std::vector or rag::file:x?",
        "Note:this is no scope",
        "这个文件：有什么",
        "title: with a space",
    ],
)
def test_what_only_looks_like_it_is_left_alone(question: str) -> None:
    assert parse(question, lambda _: False) == (question, parse("", lambda _: False)[1])


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="file:in@title“”\"' ，。：(){}*[] ax2025-", max_size=60))
def test_any_text_is_a_question(text: str) -> None:
    bare, scope = parse(text, lambda name: len(name) % 2 == 0)
    assert (bare == text) or scope
    assert all(value for _, value in scope.terms)


def test_the_chain_reads_the_bare_question_and_forgets_the_scope(searcher: Searcher) -> None:
    chain = build_chain(searcher.store.directory, "none")
    try:
        first = chain.invoke("file:rent.md What is the rent of the garage a month?")
        assert first.rewritten == "What is the rent of the garage a month?"
        assert first.question.startswith("file:rent.md")
        assert {Path(source.source).name for source in first.sources} == {"rent.md"}
        history = [{"role": "user", "content": first.question}, {"role": "assistant", "content": first.answer}]
        second = chain.invoke({"question": "And of the boat?", "history": history})
        assert "rent.md" not in second.rewritten and "garage" in second.rewritten
        assert len(second.sources) > 1
    finally:
        chain.close()


def test_evaluation_may_leave_documents_out(searcher: Searcher) -> None:
    chain = build_chain(searcher.store.directory, "none")
    try:
        ids = {Path(d.path).name: d.id for d in searcher.store.documents()}
        state = chain.prepare(f"in:'my contracts' {ASK}")
        state["without"] = frozenset({ids["old lease.txt"]})
        assert {source.doc_id for source in chain.answer(state).sources} == {ids["lease.pdf.txt"]}
    finally:
        chain.close()


def test_the_terminal_shows_one_sentence(searcher: Searcher, capsys: pytest.CaptureFixture[str]) -> None:
    place = str(searcher.store.directory)
    assert main(["search", "in:nothing rent", "--store", place]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["search", "文件：租约.md 租金是多少？", "--store", place]) == 0
    out = capsys.readouterr().out
    assert "租约.md" in out and "lease" not in out


def test_documents_added_through_langchain_have_names_and_dates(tmp_path: Path) -> None:
    from ingest.encode import Encoder
    from ingest.store import Store
    from rag.vector_store import OpenbookVectorStore

    encoder = Encoder.load("bundled")
    with Store.open(tmp_path / "store", write=True, create=True, encoder=encoder.stamp) as store:
        OpenbookVectorStore(store, OpenbookEmbeddings(encoder)).add_documents(
            [
                Document(id="a", page_content="Rent is 5.", metadata={"date": "2020-02-03", "title": "One"}),
                Document(id="b", page_content="Rent is 6."),
            ]
        )
        found = Searcher(store, encoder)
        for scope in ("file:a", "title:one", "before:2021", "after:2020-02-03"):
            assert [hit.chunk.text for hit in found.search(f"{scope} rent").hits] == ["Rent is 5."]
