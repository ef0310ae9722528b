"""Rows that a disk has altered: noticed before use, named by the audit, brought back from what else is stored."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ingest.store import Store, StoreError
from ingest.store.audit import audit
from ingest.store.salvage import FOLDER, KEPT, pending, salvage
from ingest.store.seals import set_digest
from tests.ingest.store.storekit import STAMP, add, vector

TEXT = "A first passage about ferrets, 第一段。 A second one about wombats and all they dig, 第二段。 And a third."


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    with Store.open(folder, write=True, create=True, encoder=STAMP) as store:
        for number in range(4):
            add(store, f"/docs/{number}.txt", f"{number} {TEXT}", seed=10 * number, header="Animals")
        store.collect(["/docs"], "zoo")
        store.quarantine({"/docs/bad.pdf": "it is damaged"}, lambda path: True)
        store.commit()
    return folder


def change(home: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(home / "store.sqlite3", isolation_level=None)) as connection:
        assert connection.execute(statement, values).rowcount != 0


def use(home: Path) -> None:
    """What a chat, or the next ingest, would do."""
    with Store.open(home) as store:
        for record in store.documents():
            store.text(record.id)
            store.chunks_of(record.id)
        store.roots()
        store.collections()
        assert store.chunks(store.chunk_ids())
        for folder in ("vectors", "lexical"):
            shutil.rmtree(home / folder, ignore_errors=True)
        store.warm()


def snapshot(home: Path) -> dict[str, tuple[str, list[tuple[object, ...]], list[bytes]]]:
    with Store.open(home) as store:
        found = {}
        for record in store.documents():
            chunks = store.chunks_of(record.id)
            rows = [(c.start, c.end, c.text, c.header, c.headings, c.page) for c in chunks]
            waiting = set(store.waiting_ids().tolist())
            vectors = store.vectors(chunk.id for chunk in chunks if chunk.id not in waiting)
            found[record.path] = (store.text(record.id), rows, [row.tobytes() for row in vectors])
        return found


# What is changed, and how many of the four documents are brought back whole without their files.
ALTERED = [
    ("UPDATE documents SET text = replace(text, 'wombats', 'wonbats') WHERE id = 2", 4),
    ("UPDATE documents SET text = CAST(x'41c3' || text AS TEXT) WHERE id = 2", 4),
    ("UPDATE chunks SET text = replace(text, 'e', 'f') WHERE id = 4", 4),
    ("UPDATE chunks SET header = 'Plants' WHERE id = 4", 3),
    ("UPDATE chunks SET page = 7 WHERE id = 4", 3),
    ("UPDATE chunks SET start = start + 1 WHERE id = 4", 3),
    ("UPDATE chunks SET id = 900 WHERE id = 4", 3),
    ("UPDATE chunks SET vector_id = 1 WHERE id = 5", 4),
    ("DELETE FROM chunks WHERE id = 4", 3),
    ("UPDATE vectors SET data = zeroblob(length(data)) WHERE id = 5", 4),
    ("UPDATE vectors SET data = x'00' WHERE id = 5", 4),
    ("UPDATE vectors SET hash = 'ab' || hash WHERE id = 5", 4),
    ("UPDATE documents SET title = 'Another' WHERE id = 2", 3),
    ("UPDATE documents SET size = 'many' WHERE id = 2", 3),
    ("UPDATE documents SET path = '/docs/other.txt' WHERE id = 2", 3),
    ("DELETE FROM documents WHERE id = 2", 3),
    ("UPDATE roots SET path = '/elsewhere'", 4),
    ("UPDATE meta SET value = replace(value, '4', '5') WHERE key = 'totals'", 4),
    ("UPDATE meta SET value = '7' WHERE key = 'generation'", 4),
    ("UPDATE meta SET value = replace(value, 'zoo', 'zop') WHERE key = 'collections'", 4),
    ("UPDATE meta SET value = replace(value, 'toy', 'top') WHERE key = 'encoder'", 4),
]


@pytest.mark.parametrize(("statement", "kept"), ALTERED, ids=[statement for statement, _ in ALTERED])
def test_what_is_altered_is_noticed_named_and_mended(home: Path, statement: str, kept: int) -> None:
    before = snapshot(home)
    change(home, statement)
    with pytest.raises(StoreError, match=r"is damaged \(.*; mend it: python -m ingest repair --store"):
        use(home)
    problems = audit(home)
    assert problems and not any("\n" in problem.what for problem in problems)
    result = salvage(home, STAMP)
    assert (result.kept, len(result.broken)) == (kept, 4 - kept)
    assert audit(home) == [] and not pending(home)
    assert (home / KEPT).exists() == bool(result.broken)
    use(home)
    after = snapshot(home)
    assert len(after) == kept
    for path, (text, chunks, vectors) in after.items():
        assert (text, chunks) == before[path][:2]
        assert set(vectors) <= set(before[path][2]) and len(vectors) >= len(chunks) - 1


def test_ids_and_commits_go_on_after_a_salvage(home: Path) -> None:
    with Store.open(home) as store:
        generation, last = store.generation, max(store.chunk_ids())
    change(home, "UPDATE chunks SET page = 7 WHERE id = 4")
    result = salvage(home, STAMP)
    assert [remnant.path for remnant in result.broken] == ["/docs/1.txt"] and result.broken[0].text == f"1 {TEXT}"
    with Store.open(home) as store:
        assert store.generation > generation and min(store.chunk_ids()) > last
        assert store.collections() == {"/docs": "zoo"} and list(store.quarantined()) == ["/docs/bad.pdf"]
        assert len(store.dense(vector(1), 50)) == len(store.lexical("ferrets wombats third", 50)) == 9


def test_a_first_page_that_is_gone_is_made_again(home: Path) -> None:
    before = snapshot(home)
    path = home / "store.sqlite3"
    data = bytearray(path.read_bytes())
    data[:3000] = bytes(3000)
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"is damaged .*repair"):
        Store.open(home)
    assert audit(home)
    result = salvage(home, STAMP)
    assert (result.kept, result.broken) == (4, [])
    assert snapshot(home) == before


def test_commits_lost_with_the_log_are_noticed(home: Path) -> None:
    with Store.open(home, write=True) as store:
        old = (home / "store.sqlite3").read_bytes()
        add(store, "/docs/new.txt", "new", seed=90)
        store.commit()
        newer = {path: path.read_bytes() for path in (home / "lexical").rglob("*") if path.is_file()}
    for path in home.glob("store.sqlite3*"):
        path.unlink()
    (home / "store.sqlite3").write_bytes(old)
    assert newer
    with pytest.raises(StoreError, match=r"at commit \d, but its indexes have seen commit \d.*repair"):
        Store.open(home)
    assert any("lost" in problem.what for problem in audit(home))
    result = salvage(home, STAMP)
    assert result.kept == 4
    with Store.open(home) as store:
        assert store.find("/docs/new.txt") is None and audit(home) == []


def test_an_index_of_another_database_is_not_taken(home: Path, tmp_path: Path) -> None:
    """The same number of commits, the same ids, other texts: as after copying files between two stores."""
    other = tmp_path / "other"
    with Store.open(other, write=True, create=True, encoder=STAMP) as store:
        for number in range(4):
            add(store, f"/docs/{number}.txt", f"{number} {TEXT.replace('ferrets', 'badgers')}", seed=500 + number)
        store.commit()
    for folder in ("lexical", "vectors"):
        (home / folder).rename(tmp_path / f"old-{folder}")
        (other / folder).rename(home / folder)
    with Store.open(home) as store:
        assert store.lexical("badgers", 5) == [] and len(store.lexical("ferrets", 9)) == 4
        assert store.dense(vector(10), 1)[0][1] == pytest.approx(1.0)


def test_an_index_that_hides_a_row_does_not_mislead(home: Path) -> None:
    """The index on paths has lost an entry: the document is found, replaced and not stored twice all the same."""
    with closing(sqlite3.connect(home / "store.sqlite3", isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = 'CREATE INDEX documents_path ON documents(path) WHERE id > 2'"
            " WHERE name = 'documents_path'"
        )
        connection.execute("PRAGMA writable_schema=RESET")
        connection.execute("REINDEX documents_path")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = 'CREATE INDEX documents_path ON documents(path)'"
            " WHERE name = 'documents_path'"
        )
    assert any("missing from index" in problem.what for problem in audit(home))
    with Store.open(home, write=True) as store:
        assert store.find("/docs/0.txt") is not None
        with pytest.raises(
            StoreError, match=r"malformed.*repair"
        ):  # and SQLite sees it when the old version is deleted
            add(store, "/docs/0.txt", "another text", seed=70)
    salvage(home, STAMP)
    with Store.open(home, write=True) as store:
        add(store, "/docs/0.txt", "another text", seed=70)
        store.commit()
        assert [record.path for record in store.documents()].count("/docs/0.txt") == 1


def test_an_interrupted_exchange_is_finished(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(home, "UPDATE chunks SET page = 7 WHERE id = 4")
    real = Path.replace

    def stop(self: Path, target: Path) -> Path:
        if self.parent.name == "new":
            raise KeyboardInterrupt
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            salvage(home, STAMP)
    assert pending(home) and (home / FOLDER / "done").exists()
    salvage(home, STAMP)
    assert not pending(home) and audit(home) == []


def test_digest_of_a_set() -> None:
    assert set_digest([]) == 0
    assert set_digest([1, 2, 3]) == set_digest([3, 1, 2]) != set_digest([1, 2, 4])
    assert (set_digest([1, 2]) + set_digest([-5])) % 2**64 == set_digest([2, -5, 1])


def test_a_good_store_has_no_problems(filled: Callable[[], Path]) -> None:
    home = filled()
    assert audit(home) == []
    counted: list[tuple[int, int]] = []
    audit(home, lambda done, total: counted.append((done, total)))
    assert counted[-1] == (30, 30)


def test_a_reader_follows_a_repair(home: Path) -> None:
    """A chat that was open before the repair sees what it made, and never another chunk under an old id."""
    with Store.open(home) as reader:
        before, generation = reader.chunk_ids(), reader.generation
        assert len(reader.lexical("ferrets", 9)) == len(reader.dense(vector(0), 4)) == 4
        change(home, "UPDATE chunks SET page = 7 WHERE id = 4")
        salvage(home, STAMP)
        assert reader.path_count == 4 and reader.generation == generation  # until it asks
        assert reader.refresh() and reader.generation > generation
        assert reader.path_count == 3 and not set(before) & set(reader.chunk_ids())
        assert len(reader.lexical("ferrets", 9)) == 3 and reader.chunks(before) == []
        assert {number for number, _ in reader.dense(vector(0), 99)} == set(reader.chunk_ids())
        assert not reader.refresh()


def test_a_reader_is_not_confused_by_a_store_made_anew(home: Path) -> None:
    """The folder is deleted and made again, with the same ids for other texts, while a chat is open."""
    with Store.open(home) as reader:
        assert len(reader.lexical("ferrets", 9)) == len(reader.dense(vector(0), 4)) == 4
        shutil.rmtree(home)
        with Store.open(home, write=True, create=True, encoder=STAMP) as store:
            add(store, "/docs/0.txt", "badgers dig", seed=700)
            store.commit()
            assert not reader.refresh()  # no further than the old one, which serves on
            assert reader.path_count == 4 and len(reader.lexical("ferrets", 9)) == 4
            for number in range(1, 3):
                add(store, f"/docs/{number}.txt", f"badgers dig {number}", seed=700 + number)
                store.commit()
            assert reader.refresh() and reader.path_count == 3
            assert reader.lexical("ferrets", 9) == [] and len(reader.lexical("badgers", 9)) == 3
            assert reader.dense(vector(700), 1)[0][1] == pytest.approx(1.0)
