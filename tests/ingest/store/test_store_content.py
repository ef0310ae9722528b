"""What goes in comes out: documents, texts, chunks, vectors, searches; replacing, moving, removing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ingest.store import Store, StoreError, chunk_hash
from ingest.store.lexical import QUERY_CHARACTERS
from ingest.types import Chunk, Omission
from tests.ingest.store.storekit import STAMP, add, new_document, pieces, vector


def test_round_trip(store: Store, home: Path) -> None:
    text = "First sentence about ferrets.\n资料库的检索。" + "x" * 60
    doc_id = add(store, "/docs/a.md", text, header="Title > Part", metadata={"author": "Ada"})
    assert store.commit() == 1
    with Store.open(home) as reader:
        record = reader.document(doc_id)
        assert reader.documents() == [record] == [reader.find("/docs/a.md")]
        assert (record.path, record.root, record.title, record.kind) == ("/docs/a.md", "/docs", "a", "text")
        assert (record.characters, record.characters_in) == (len(text), len(text) + 3)
        assert record.omissions == (Omission("a byte order mark", 3),)
        assert (record.encoding, record.metadata, record.chunk_count) == ("utf-8", {"author": "Ada"}, 3)
        assert reader.text(doc_id) == text
        assert reader.path_count == 1
        assert reader.roots() == ["/docs"]
        chunks = reader.chunks_of(doc_id)
        assert [chunk.id for chunk in chunks] == reader.chunk_ids()
        for chunk, piece in zip(chunks, pieces(text, header="Title > Part"), strict=True):
            assert text[chunk.start : chunk.end] == chunk.text == piece.text
            assert chunk.hash == chunk_hash(piece.embed_text)
            assert (chunk.headings, chunk.page, chunk.source) == (("Part", "One"), 2, "/docs/a.md")
        stored = reader.vectors(chunk.id for chunk in chunks)
        assert np.array_equal(stored, np.stack([vector(0), vector(1), vector(2)]))
        assert reader.encoder == STAMP


def test_dense_is_exact_cosine(store: Store) -> None:
    for number in range(50):
        add(store, f"/docs/{number}", f"text {number}", seed=number)
    store.commit()
    query = vector(1000) * 7  # length does not matter
    wanted = sorted(range(50), key=lambda number: -float(vector(number) @ vector(1000)))[:5]
    hits = store.dense(query, 5)
    assert [store.chunk(number).text for number, _ in hits] == [f"text {number}" for number in wanted]
    assert hits[0][1] == pytest.approx(float(vector(wanted[0]) @ vector(1000)), abs=1e-6)
    everything = store.dense(query, 1000)
    assert len(everything) == 50
    assert [score for _, score in everything] == sorted((score for _, score in everything), reverse=True)


def test_lexical_ranks_by_rare_terms_in_both_languages(store: Store) -> None:
    for number in range(40):
        add(store, f"/docs/{number}", f"a common report number{number} 普通的报告", seed=number)
    add(store, "/docs/en", "the zebra report", seed=100)
    add(store, "/docs/zh", "斑马的报告", seed=101)
    store.commit()

    def best(query: str) -> str:
        return store.chunk(store.lexical(query, 3)[0][0]).source

    assert best("Zebras report") == "/docs/en"
    assert best("斑馬報告") == "/docs/zh"  # traditional characters find simplified text
    assert best("number17") == "/docs/17"
    assert store.lexical("nowhere-to-be-found-xyzzy", 3) == []


def test_header_is_searched_but_not_quoted(store: Store) -> None:
    doc_id = add(store, "/docs/a", "plain words", header="Wombats > Burrows")
    store.commit()
    hits = store.lexical("wombat", 3)
    assert [store.chunk(number).doc_id for number, _ in hits] == [doc_id]
    assert store.chunk(hits[0][0]).text == "plain words"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "   ",
        'title:"x AND (OR',
        "a:b^9 ~2 -(",
        "*",
        "\\",
        "\0",
        "\ud800",
        "[1 TO 2}",
        "NOT",
        "/.*/",
        "😀",
    ],
)
def test_no_text_is_query_syntax(store: Store, query: str) -> None:
    add(store, "/docs/a", "some words")
    store.commit()
    assert len(store.lexical(query, 5)) <= 1
    assert store.lexical(f"{query} words", 5)


def test_a_huge_query_is_answered_by_its_rarest_terms(store: Store) -> None:
    for number in range(30):
        add(store, f"/docs/{number}", f"filler{number} common", seed=number)
    add(store, "/docs/needle", "needle common", seed=99)
    store.commit()
    noise = " ".join(f"w{number} common" for number in range(20_000))
    assert len(noise) > 100_000
    hits = store.lexical("needle " + noise, 3)
    assert store.chunk(hits[0][0]).source == "/docs/needle"
    beyond = "common " * (QUERY_CHARACTERS // 7 + 2) + " needle"  # past the limit: not looked at
    assert store.lexical(beyond, 40) == store.lexical("common", 40)


def test_allowed_filters_both_legs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(60):
        add(store, f"/docs/{number}", f"common {'rare ' * (number % 5)}", seed=number)
    store.commit()
    ids = store.chunk_ids()
    allowed = set(ids[::7])
    dense = [hit for hit in store.dense(vector(5), 60) if hit[0] in allowed]
    assert store.dense(vector(5), 4, allowed=allowed) == dense[:4]
    lexical = [hit for hit in store.lexical("rare common", 60) if hit[0] in allowed]
    assert store.lexical("rare common", 4, allowed=allowed) == lexical[:4]
    monkeypatch.setattr("ingest.store.lexical.TERM_SET", 0)  # the other way: filtering the hits
    assert store.lexical("rare common", 4, allowed=allowed) == lexical[:4]
    assert store.dense(vector(5), 4, allowed=[]) == store.lexical("common", 4, allowed=[]) == []
    assert store.dense(vector(5), 4, allowed=[10**9]) == store.lexical("common", 4, allowed=[10**9, -3]) == []


def test_replace_leaves_nothing_of_the_old_version(store: Store) -> None:
    old = add(store, "/docs/a", "walrus " * 20, seed=1)
    store.commit()
    before = store.chunk_ids()
    new = add(store, "/docs/a", "penguin", seed=50)
    store.commit()
    assert new != old
    assert [record.id for record in store.documents()] == [new]
    assert store.lexical("walrus", 5) == []
    assert len(store.dense(vector(1), 10)) == 1
    assert not set(before) & set(store.chunk_ids())  # ids are never used again
    assert store.chunks(before) == []
    with pytest.raises(StoreError, match="changed or removed"):
        store.text(old)
    with pytest.raises(StoreError, match=f"no chunk {before[0]}"):
        store.chunk(before[0])


def test_remove(store: Store) -> None:
    gone = add(store, "/docs/a", "walrus", seed=1)
    kept = add(store, "/docs/b", "walrus penguin", seed=2)
    store.commit()
    store.remove(gone)
    assert store.commit() == 2
    assert store.find("/docs/a") is None
    assert [store.chunk(number).doc_id for number, _ in store.lexical("walrus", 5)] == [kept]
    assert [store.chunk(number).doc_id for number, _ in store.dense(vector(1), 5)] == [kept]
    with pytest.raises(StoreError, match="no document"):
        store.remove(gone)


def test_move_keeps_ids_and_vectors(store: Store) -> None:
    doc_id = add(store, "/docs/a", "walrus", seed=1)
    store.commit()
    ids = store.chunk_ids()
    store.move(doc_id, "/other/b", "/other", 5)
    store.touch(doc_id, 7, 8)
    store.commit()
    record = store.find("/other/b")
    assert record is not None
    assert (record.id, record.root, record.mtime_ns, record.size) == (doc_id, "/other", 7, 8)
    assert store.find("/docs/a") is None
    assert store.chunk_ids() == ids
    assert store.chunk(ids[0]).source == "/other/b"
    assert store.lexical("walrus", 1)[0][0] == store.dense(vector(1), 1)[0][0] == ids[0]


def test_two_files_may_swap_names_in_one_commit_but_not_share_one(store: Store) -> None:
    first, second = add(store, "/docs/a", "one", seed=1), add(store, "/docs/b", "two", seed=2)
    store.commit()
    store.move(first, "/docs/b", "/docs", 1)
    store.move(second, "/docs/a", "/docs", 1)
    store.commit()
    assert {record.path: record.id for record in store.documents()} == {"/docs/b": first, "/docs/a": second}
    store.move(first, "/docs/a", "/docs", 1)
    with pytest.raises(StoreError, match="Two documents"):
        store.commit()
    store.commit()
    assert len({record.path for record in store.documents()}) == 2


def test_vector_cache_survives_moves_and_edits_and_is_collected(store: Store) -> None:
    text = "a" * 40 + "b" * 40
    doc_id = add(store, "/docs/a", text, seed=1)
    keys = [chunk_hash("a" * 40), chunk_hash("b" * 40), chunk_hash("c" * 40)]
    cached = store.cached_vectors(keys)  # of what is not committed yet, too
    assert sorted(cached) == sorted(keys[:2])
    assert np.array_equal(cached[keys[0]], vector(1))
    store.commit()
    store.move(doc_id, "/docs/b", "/docs", 1)
    store.commit()
    assert sorted(store.cached_vectors(keys)) == sorted(keys[:2])
    add(store, "/docs/b", "a" * 40 + "c" * 40, seed=1)
    store.commit()
    assert sorted(store.cached_vectors(keys)) == sorted([keys[0], keys[2]])
    store.remove(store.documents()[0].id)
    store.commit()
    assert store.cached_vectors(keys) == {}


def test_equal_chunks_share_a_vector(store: Store) -> None:
    first = add(store, "/docs/a", "same", seed=1)
    add(store, "/docs/b", "same", seed=1)
    store.commit()
    assert len(store.dense(vector(1), 5)) == 2
    store.remove(first)
    store.commit()
    assert len(store.cached_vectors([chunk_hash("same")])) == 1
    assert store.dense(vector(1), 5)[0][1] == pytest.approx(1.0)


def test_nothing_is_visible_before_commit_and_rollback_drops_it(store: Store) -> None:
    add(store, "/docs/a", "walrus", seed=1)
    assert store.documents() == [] and store.lexical("walrus", 1) == [] and store.generation == 0
    assert store.pending("/docs/a") is not None
    store.rollback()
    assert store.commit() == 0
    assert store.documents() == []
    with pytest.raises(RuntimeError, match="stop"), store.transaction():
        add(store, "/docs/a", "walrus", seed=1)
        raise RuntimeError("stop")
    assert store.commit() == 0


def test_a_document_without_chunks_and_an_empty_store(store: Store) -> None:
    assert store.dense(vector(0), 5) == store.lexical("x", 5) == store.chunk_ids() == []
    doc_id = store.put(new_document("/docs/empty", ""), [], np.zeros((0, 8), np.float32))
    store.put(new_document("/docs/blank", " "), [], np.zeros(0))
    assert store.commit() == 1
    assert store.text(doc_id) == ""
    assert store.dense(vector(0), 5) == store.lexical("x", 5) == []
    assert store.vectors([]).shape == (0, 8)


def test_names_and_texts_that_are_not_utf8(store: Store, home: Path) -> None:
    path = "/docs/bad\udcff name.txt"
    doc_id = add(store, path, "odd \ud800 text\0with nul", seed=1)
    store.commit()
    with Store.open(home) as reader:
        record = reader.find(path)
        assert record is not None and record.id == doc_id
        assert reader.text(doc_id) == "odd \ud800 text\0with nul"
        assert reader.chunk(reader.lexical("odd text", 1)[0][0]).text == "odd \ud800 text\0with nul"


@pytest.mark.parametrize(
    "bad",
    [np.zeros((1, 7)), np.zeros((2, 8)), np.full((1, 8), np.nan), np.zeros(0)],
    ids=["dimension", "count", "nan", "none"],
)
def test_vectors_that_do_not_fit_are_refused(store: Store, bad: np.ndarray) -> None:
    with pytest.raises(StoreError, match=r"/docs/a: vectors must be \(1, 8\)"):
        store.put(new_document("/docs/a", "text"), pieces("text"), bad)
    with pytest.raises(StoreError, match="8 finite numbers"):
        store.dense(np.zeros(7, np.float32), 1)


def test_a_document_that_is_refused_leaves_the_rest_of_the_commit_alone(store: Store) -> None:
    kept = add(store, "/docs/a", "kept", seed=1)
    wrong = [Chunk(0, 0, 4, "lies", "")]
    with pytest.raises(StoreError, match="chunk 0 is not what stands at its offsets"):
        store.put(new_document("/docs/a", "text"), wrong, vector(0).reshape(1, -1))
    with pytest.raises(StoreError, match="metadata must be JSON"):
        add(store, "/docs/a", "text", metadata={"x": object()})
    store.commit()
    assert [record.id for record in store.documents()] == [kept]
    assert store.text(kept) == "kept"


def test_ranking_does_not_depend_on_the_order_of_insertion(home: Path, tmp_path: Path) -> None:
    rankings = []
    for turn, order in enumerate([range(40), reversed(range(40))]):
        with Store.open(tmp_path / str(turn), write=True, create=True, encoder=STAMP) as store:
            for number in order:
                add(
                    store,
                    f"/docs/{number:02}",
                    f"n{number} common {'rare ' * (number % 5)}",
                    seed=number,
                )
                if number % 9 == 0:
                    store.commit()
            store.commit()
            dense = [store.chunk(number).source for number, _ in store.dense(vector(500), 10)]
            hits = store.lexical("rare common", 40)
            lexical = {store.chunk(number).source: round(score, 4) for number, score in hits}
            rankings.append((dense, lexical))
    assert rankings[0] == rankings[1]


def test_a_closed_store_says_so(filled: Callable[[], Path]) -> None:
    reader = Store.open(filled())
    reader.close()
    reader.close()
    with pytest.raises(StoreError, match="closed"):
        reader.documents()
    with pytest.raises(StoreError, match="closed"):
        reader.refresh()


def test_languages_of_the_documents(store: Store, home: Path) -> None:
    assert store.languages() == set()
    add(store, "/docs/en", "some words", seed=1)
    store.commit()
    assert store.languages() == {"en"}
    zh = add(store, "/docs/zh", "一些词", seed=2, language="zh")
    store.rollback()
    zh = add(store, "/docs/zh", "一些词", seed=2, language="zh")
    store.commit()
    assert store.languages() == {"en", "zh"}
    chunks = [*store.chunks_of(zh), *store.chunks_of(zh - 1)]
    assert store.languages_of([chunk.id for chunk in chunks] + [10**6]) == {chunks[0].id: "zh", chunks[1].id: "en"}
    assert store._changes is not None
    store._changes._connection.execute("DELETE FROM meta WHERE key = 'languages'")  # as in a database made anew
    with Store.open(home) as reader:
        assert reader.languages() == {"en", "zh"}
