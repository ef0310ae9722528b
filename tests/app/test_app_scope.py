"""What was clicked becomes words of the question, which the search reads as they were meant."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import scoping, shelves
from app.payload import Refused
from app.scoping import named, quoted, said_scope
from app.workspace import Workspace
from rag.scope import parse


def record(id: int, path: str) -> Any:
    return SimpleNamespace(id=id, path=path, root="/d")


class Shelf(Workspace):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.records = [record(1, "/d/en/a b.md"), record(2, "/d/zh/a b.md"), record(3, "/d/租约.md")]

    def documents(self) -> list[Any]:
        return self.records


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    for module in (scoping, shelves):
        monkeypatch.setattr(module, "collections_of", lambda workspace: {"/d/en": "My papers", "/d/zh": 'said "so"'})
    return Shelf(tmp_path)


def test_files_and_collections_become_terms(workspace: Shelf) -> None:
    chosen = {"files": [1, "3"], "collections": ["My papers", 'said "so"']}
    assert said_scope(workspace, chosen) == ['@"en/a b.md"', "@租约.md", 'in:"My papers"', "in:'said \"so\"'"]


@pytest.mark.parametrize("chosen", [{"files": [9]}, {"collections": ["other"]}, {"files": [1], "collections": [""]}])
def test_what_is_not_in_the_store_is_refused(workspace: Shelf, chosen: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        said_scope(workspace, chosen)


@pytest.mark.parametrize(
    "chosen", [None, 3, "x", [], {}, {"files": "1", "collections": 3}, {"files": [None, True, -1]}]
)
def test_rubbish_chooses_nothing(workspace: Shelf, chosen: Any) -> None:
    assert said_scope(workspace, chosen) == []


NAMES = st.text(st.sampled_from("ab1租约 ._-()[]+,'，。“？"), min_size=1, max_size=12).map(str.strip).filter(bool)


@given(NAMES)
def test_any_name_is_read_as_it_was_written(name: str) -> None:
    bare, scope = parse(f"{named(record(1, f'/d/{name}.md'), set())} when?", lambda word: True)
    assert bare == "when?"
    assert scope.values("file") == [f"{name}.md"]
    assert parse(f"in:{quoted(name)} when?", lambda word: True)[1].values("in") == [name]


def test_documents_stand_under_their_collections(workspace: Shelf) -> None:
    found = shelves.shelves(workspace, workspace.records)
    assert {name: [one.id for one in group] for name, group in found.items()} == {
        "My papers": [1], 'said "so"': [2], "": [3],
    }  # fmt: skip


def test_a_collection_needs_a_name_and_documents(workspace: Shelf) -> None:
    for numbers, name in (([], "x"), ([99], "x"), ([1], "")):
        with pytest.raises(Refused):
            shelves.gather(workspace, numbers, name)
    with pytest.raises(Refused):
        shelves.dissolve(workspace, "unknown")
