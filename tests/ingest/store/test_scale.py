"""A store large enough for codes (the limits are lowered): a change costs what changed, and nothing is lost by it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingest.store import Store, derived, lexical, segments, vectors
from ingest.store.catalog import Catalog
from ingest.store.derived import check
from tests.ingest.store.storekit import STAMP, add, vector

DOCUMENTS = 120
WIDTH = 30  # chunks a document
# 8 bits a vector tell little, so there are many candidates; what codes are worth is tested in test_vectors.py.
TEXT = "".join(f"common word{number:02} of a long document".ljust(40) for number in range(WIDTH))


def word(number: int) -> str:
    """A word that folding leaves alone: digits would be a word of their own, and many endings are cut."""
    return "w" + "".join("bcdfghjklm"[int(digit)] for digit in str(number)) + "x"


class Counts:
    """What was read of the database: whole lists of chunk ids, and vectors."""

    ids = 0
    vectors = 0


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    """Codes from 2,000 vectors on; readings of the database are counted."""
    for name, value in {"FLAT_MOST": 2_000, "FLAT_AGAIN": 1_000, "LEAST": 2_000}.items():
        monkeypatch.setattr(vectors, name, value)
    monkeypatch.setattr(segments, "CODED", 500)
    seen = Counts()
    read_ids, read_vectors = Catalog._read_ids, Catalog.vectors

    def ids(self: Catalog, where: str) -> np.ndarray:
        seen.ids += not where
        return read_ids(self, where)

    def rows(self: Catalog, chunk_ids: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        seen.vectors += len(chunk_ids)
        return read_vectors(self, chunk_ids)

    monkeypatch.setattr(Catalog, "_read_ids", ids)
    monkeypatch.setattr(Catalog, "vectors", rows)
    return seen


@pytest.fixture
def large(home: Path, counts: Counts) -> Path:
    with Store.open(home, write=True, create=True, encoder=STAMP) as store:
        for number in range(DOCUMENTS):
            add(store, f"/docs/{number:03}.txt", TEXT, seed=1000 * number, header=f"unique{word(number)}")
        store.commit()
    counts.ids = counts.vectors = 0
    return home


def exact(store: Store, query: np.ndarray, k: int) -> list[int]:
    ids = np.array(store.chunk_ids())
    scores = store.vectors(ids).astype(np.float64) @ query
    return [int(number) for number in ids[np.argsort(-scores, kind="stable")[:k]]]


def recall(store: Store) -> float:
    found = []
    for seed in range(50):
        query = vector(-seed % 997)
        best = exact(store, query, 10)
        found.append(len(set(best) & {number for number, _ in store.dense(query, 10)}) / 10)
    return float(np.mean(found))


def test_opening_reads_no_vectors_of_the_database(large: Path, counts: Counts) -> None:
    with Store.open(large) as store:
        store.warm()
        assert store._derived.vectors().coded
        assert (counts.ids, counts.vectors) == (1, 0)
        assert recall(store) >= 0.99


def test_a_change_costs_what_changed_for_the_writer_and_for_readers(large: Path, counts: Counts) -> None:
    with Store.open(large) as reader, Store.open(large, write=True) as writer:
        reader.warm()
        writer.warm()
        counts.ids = counts.vectors = 0
        for turn in range(6):
            path = f"/docs/{10 * turn:03}.txt"
            add(writer, path, TEXT[: 40 * (turn + 1)], seed=500_000 + 100 * turn, header=f"edited{word(turn)}")
            victim = writer.find(f"/docs/{10 * turn + 1:03}.txt")
            assert victim is not None
            writer.remove(victim.id)
            writer.commit()
            assert reader.refresh()
            for store in (writer, reader):
                hits = store.lexical(f"edited{word(turn)}", 50)
                assert len(hits) == turn + 1
                assert store.dense(vector(500_000 + 100 * turn), 1)[0][0] == min(number for number, _ in hits)
                for number in (10 * turn, 10 * turn + 1):
                    assert store.lexical(f"unique{word(number)}", 5) == []
                nearest = store.dense(vector(1000 * (10 * turn + 1)), 3)
                assert victim.id not in {chunk.doc_id for chunk in store.chunks([number for number, _ in nearest])}
        assert counts.ids == 0
        assert counts.vectors == 2 * sum(range(1, 7))  # each of the two fetches the new ones alone
        assert reader.chunk_ids() == writer.chunk_ids() == Catalog(large / "store.sqlite3").chunk_ids().tolist()
        assert recall(reader) >= 0.99


def test_a_writer_that_changes_little_leaves_the_dense_index_alone(large: Path, counts: Counts) -> None:
    before = {path: path.stat().st_mtime_ns for path in (large / "vectors").iterdir()}
    for turn in range(2):
        with Store.open(large, write=True) as writer:
            add(writer, "/docs/new.txt", "a few words", seed=turn)
            writer.commit()
    assert {path: path.stat().st_mtime_ns for path in (large / "vectors").iterdir()} == before
    assert counts.vectors == 0
    with Store.open(large) as reader:
        assert reader.dense(vector(1), 1)[0][1] == pytest.approx(1)
    with Store.open(large, write=True) as writer:
        for number in range(0, DOCUMENTS, 2):
            add(writer, f"/docs/{number:03}.txt", TEXT, seed=7 * number)
        writer.commit()
    assert check(large) == []
    counts.vectors = 0
    with Store.open(large) as reader:
        assert recall(reader) >= 0.99
    assert counts.vectors == 0


def test_segments_are_merged_at_the_end_though_the_last_commit_saved_them(
    home: Path, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derived, "SAVE_AFTER", 2 * WIDTH)
    with Store.open(home, write=True, create=True, encoder=STAMP) as store:
        store.warm()
        for number in range(2 * (vectors.PIECES + 2)):
            add(store, f"/docs/{number:03}.txt", TEXT, seed=1000 * number)
            if number % 2:
                store.commit()
    assert len(list((home / "vectors").glob("*.rows"))) == 1  # 20 segments cost a question 10 ms at a million chunks
    with Store.open(home) as store:
        for number, expected in zip(store.chunk_ids(), store.vectors(store.chunk_ids()), strict=True):
            assert store.dense(expected, 1)[0][1] == pytest.approx(1) and store.chunk(number).text


def test_files_of_an_older_commit_catch_up(large: Path, counts: Counts, tmp_path: Path) -> None:
    """As after a kill between the commit and the saving of an index, also across a merge."""
    for folder in ("vectors", "lexical"):
        shutil.copytree(large / folder, tmp_path / folder)
    with Store.open(large, write=True) as writer:
        for number in range(0, DOCUMENTS, 3):
            add(writer, f"/docs/{number:03}.txt", TEXT, seed=13 * number, header=f"later{word(number)}")
        writer.commit()
        expected = [writer.dense(vector(13 * number), 5) for number in range(0, DOCUMENTS, 3)]
    for folder in ("vectors", "lexical"):
        shutil.rmtree(large / folder)
        shutil.copytree(tmp_path / folder, large / folder)
    with Store.open(large) as reader:
        assert [reader.dense(vector(13 * number), 5) for number in range(0, DOCUMENTS, 3)] == expected
        assert len(reader.lexical(f"later{word(3)}", 50)) == WIDTH
        assert recall(reader) >= 0.99


def test_an_altered_list_of_removals_is_not_believed(large: Path, counts: Counts) -> None:
    with Store.open(large) as reader, Store.open(large, write=True) as writer:
        reader.warm()
        writer.remove(writer.documents()[5].id)
        writer.commit()
        assert writer._changes is not None
        writer._changes._connection.execute("UPDATE history SET removed = '[[1, 2]]'")
        counts.ids = 0
        reader.refresh()
        assert reader.chunk_ids() == writer.chunk_ids()
        assert counts.ids == 1


def test_a_worn_lexical_index_is_built_anew_when_the_writer_closes(
    large: Path, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the commit that made it so: at a million chunks that would take minutes."""
    monkeypatch.setattr(lexical, "AT_ONCE", 1_000)
    built: list[int] = []
    real = lexical.advance

    def advance(base: lexical.LexicalIndex | None, *rest: Any) -> lexical.LexicalIndex:
        state = real(base, *rest)
        built.append(state.deleted)
        return state

    monkeypatch.setattr(lexical, "advance", advance)
    with Store.open(large, write=True) as writer:
        for number in range(0, DOCUMENTS, 4):
            add(writer, f"/docs/{number:03}.txt", TEXT, seed=17 * number)
        writer.commit()
        expected = [number for number, _ in writer.lexical(f"unique{word(7)} word07", 200)]
    assert built == [WIDTH * DOCUMENTS // 4, 0]
    assert check(large) == []
    with Store.open(large) as reader:
        assert [number for number, _ in reader.lexical(f"unique{word(7)} word07", 200)] == expected


def test_a_reader_waits_for_a_large_index_that_is_about_to_be_published(
    large: Path, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lexical, "AT_ONCE", 1_000)
    asked, committed = threading.Event(), threading.Event()
    publish, published = lexical.publish, lexical.published_generation

    def late(*arguments: Any) -> None:
        committed.set()
        assert asked.wait(30)
        publish(*arguments)

    def ask(store: Path) -> int:
        asked.set()
        return published(store)

    with Store.open(large) as reader, Store.open(large, write=True) as writer:
        reader.warm()
        add(writer, "/docs/new.txt", "newcomer", seed=1)
        monkeypatch.setattr(lexical, "publish", late)
        monkeypatch.setattr(lexical, "published_generation", ask)
        thread = threading.Thread(target=writer.commit)
        thread.start()
        assert committed.wait(30)
        assert reader.refresh() and len(reader.lexical("newcomer", 5)) == 1
        thread.join()
        folder = reader._derived.lexical().folder
        assert folder is not None and folder == writer._derived.lexical().folder
