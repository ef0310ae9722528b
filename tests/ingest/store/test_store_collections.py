"""Collections: names for folders, kept in the database, that survive runs without the name and a rebuild."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.pipeline import ingest
from ingest.store import Store


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("a/one.txt", "a/deep/two.txt", "b/three.txt"):
        (tmp_path / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / name).write_text(f"This file is called {name}.", encoding="utf-8")
    return tmp_path / "files"


def named(store: Path) -> dict[str, str]:
    with Store.open(store) as opened:
        return {Path(path).name: name for path, name in opened.collections().items()}


def test_a_name_stays_until_it_is_changed(files: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    ingest([files], store)
    assert named(store) == {}
    ingest([files / "a"], store, collection="law")  # nothing in it has changed
    ingest([files / "b"], store, collection="  case \n files ")
    assert named(store) == {"a": "law", "b": "case files"}
    ingest([files / "a"], store)
    ingest([files], store, rebuild=True)
    assert named(store) == {"a": "law", "b": "case files"}
    ingest([files / "a"], store, collection="")
    ingest([files / "b"], store, collection="court")
    assert named(store) == {"b": "court"}


def test_the_same_name_again_is_no_new_generation(files: Path, tmp_path: Path) -> None:
    ingest([files], tmp_path / "store", collection="all")
    with Store.open(tmp_path / "store") as store:
        before = store.generation
    ingest([files], tmp_path / "store", collection="all")
    ingest([files], tmp_path / "store", plan=True, collection="other")
    with Store.open(tmp_path / "store") as store:
        assert (store.generation, set(store.collections().values())) == (before, {"all"})


def test_chunks_of_some_documents(files: Path, tmp_path: Path) -> None:
    ingest([files], tmp_path / "store")
    with Store.open(tmp_path / "store") as store:
        first, *rest = store.documents()
        assert store.chunk_ids_of([first.id, 999]) == [chunk.id for chunk in store.chunks_of(first.id)]
        assert store.chunk_ids_of(document.id for document in [first, *rest]) == store.chunk_ids()
