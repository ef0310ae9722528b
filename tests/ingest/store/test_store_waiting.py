"""Chunks that wait for their vectors, and documents read by their place instead of all together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ingest.store import Store, StoreError, chunk_hash
from tests.ingest.store.storekit import STAMP, add, new_document, pieces, vector

TEXT = "walrus" + "a" * 34 + "otter"


def put_early(store: Store, path: str, text: str = TEXT) -> list[str]:
    """A document without vectors; the hashes of its chunks."""
    chunks = pieces(text)
    store.put(new_document(path, text), chunks, None)
    return [chunk_hash(chunk.embed_text) for chunk in chunks]


def test_found_by_words_at_once_and_by_vectors_when_they_come(store: Store, home: Path) -> None:
    add(store, "/docs/old", "old words", seed=9)
    hashes = put_early(store, "/docs/new")
    store.commit()
    with Store.open(home, encoder=STAMP) as reader:
        (old,) = [chunk.id for chunk in reader.chunks_of(reader.documents()[0].id)]
        first, second = (chunk.id for chunk in reader.chunks_of(reader.documents()[1].id))
        assert [number for number, _ in reader.lexical("otter", 5)] == [second]
        assert [number for number, _ in reader.dense(vector(1), 5)] == [old]
        assert reader.waiting_count == 2 and reader.waiting_ids().tolist() == [first, second]
        assert reader.waiting(1) == [(hashes[0], TEXT[:40])] and len(reader.waiting(9)) == 2
        with pytest.raises(StoreError):
            reader.vectors([first])
        store.fill(hashes[1:], vector(1).reshape(1, -1))
        assert sorted(store.cached_vectors(hashes)) == hashes[1:]
        store.commit()
        reader.refresh()
        assert reader.dense(vector(1), 1)[0][0] == second and reader.waiting_count == 1
        store.fill(hashes, np.stack([vector(2), vector(3)]))  # what is there already stays
        store.commit()
        reader.refresh()
        assert reader.waiting_count == 0 and reader.waiting(9) == []
        assert np.allclose(reader.vectors([first, second]), [vector(2), vector(1)], atol=1e-6)


def test_known_vectors_are_taken_and_waiting_ones_are_filled_by_a_later_document(store: Store) -> None:
    add(store, "/docs/a", TEXT, seed=1)
    store.commit()
    put_early(store, "/docs/b")
    store.commit()
    assert store.waiting_count == 0 and len(store.dense(vector(1), 9)) == 4
    put_early(store, "/docs/c", "seal")
    put_early(store, "/docs/d", "seal")
    store.commit()
    assert store.waiting_count == 2 and len(store.waiting(9)) == 1
    add(store, "/docs/e", "seal", seed=5)
    store.commit()
    assert store.waiting_count == 0 and len([hit for hit in store.dense(vector(5), 9) if hit[1] > 0.999]) == 3


def test_removed_while_waiting_leaves_nothing_behind(store: Store) -> None:
    hashes = put_early(store, "/docs/a")
    store.commit()
    store.remove(store.documents()[0].id)
    store.commit()
    assert store.waiting_count == 0 and store.waiting(9) == []
    store.fill(hashes[:1], vector(1).reshape(1, -1))  # the document went while its vectors were made
    store.commit()
    assert store.dense(vector(1), 5) == [] and store.cached_vectors(hashes) == {}


def test_vectors_of_the_wrong_shape_are_refused(store: Store) -> None:
    hashes = put_early(store, "/docs/a")
    for bad in (np.zeros((2, 7)), np.zeros((1, 8)), np.full((2, 8), np.nan)):
        with pytest.raises(StoreError, match="finite numbers"):
            store.fill(hashes, bad)


def test_documents_near_are_those_in_scope_of_a_size_or_with_an_odd_name(store: Store) -> None:
    odd = "/else/\udcff.txt"
    names = ["/docs/a.txt", "/docs/sub/b.txt", "/docs2/c.txt", "/docs", "/else/d.txt", odd]
    ids = {name: add(store, name, "x" * size) for size, name in enumerate(names, 1)}
    store.commit()

    def near(*roots: str, sizes: tuple[int, ...] = ()) -> list[int]:
        return [record.id for record in store.documents_near(roots, sizes)]

    assert near("/docs") == [ids[name] for name in ("/docs/a.txt", "/docs/sub/b.txt", "/docs", odd)]
    assert near("/docs/sub/") == [ids["/docs/sub/b.txt"], ids[odd]]
    assert near("/docs2/c.txt", sizes=(5,)) == [ids[name] for name in ("/docs2/c.txt", "/else/d.txt", odd)]
    assert near("/") == list(ids.values()) and near() == [ids[odd]]
