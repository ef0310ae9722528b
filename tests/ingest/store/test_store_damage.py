"""Index files that are stale, missing, cut, altered or unwritable: results stay those of the database."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.store import Store, StoreError, lexical, vectors
from ingest.store.derived import check
from ingest.store.files import Damaged, read_manifest, write_atomic, write_manifest
from tests.ingest.store.storekit import STAMP, add, vector

Answers = tuple[list[tuple[int, float]], ...]


def answers(store: Store) -> Answers:
    dense = [store.dense(vector(number), 10) for number in range(3)]
    words = [store.lexical(query, 50) for query in ("word7 common", "资料3", "word1 word2 word29")]
    return (*dense, *words)


def index_files(home: Path) -> list[Path]:
    """Every file of the derived indexes that a reader relies on."""
    found = [
        path for folder in ("vectors", "lexical") for path in (home / folder).rglob("*") if path.is_file()
    ]
    current = str(read_manifest(home / "lexical" / "manifest.json")["folder"])
    return sorted(
        path
        for path in found
        if path.name not in lexical.LOCKS
        and ("lexical" not in path.parts or path.parent.name in (current, "lexical"))
    )


def damage(path: Path, how: str, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
        return
    if how == "cut":
        del data[len(data) // 2 :]
    elif how == "empty":
        data.clear()
    else:
        for _ in range(3):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.unlink()  # states share files by hard links; a new file is what a bad disk block amounts to
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["missing", "cut", "empty", "flipped"])
def test_damaged_index_files_are_rebuilt(filled: Callable[[], Path], how: str, tmp_path: Path) -> None:
    home = filled()
    chance = random.Random(7)
    with Store.open(home) as reader:
        expected = answers(reader)
    names = [path.relative_to(home) for path in index_files(home)]
    assert len(names) >= 10
    for name in names:
        copy = tmp_path / "copy"
        shutil.copytree(home, copy)
        if (copy / name).stat().st_size or how == "missing":
            damage(copy / name, how, chance)
        with Store.open(copy) as reader:
            assert answers(reader) == expected, name
        assert check(copy) == []  # and the files are whole again
        shutil.rmtree(copy)


def test_damage_is_noticed(filled: Callable[[], Path]) -> None:
    """The rebuild above happens because of the checksum, not because the library stumbled."""
    home = filled()
    assert check(home) == []
    path = next(path for path in index_files(home) if path.suffix == ".rows")
    data = bytearray(path.read_bytes())
    data[-5] ^= 1  # a bit of a vector: it could be searched happily
    path.write_bytes(data)
    assert vectors.load(home, STAMP.dimension, STAMP.digest)[0].broken
    assert "checksum" in check(home)[0]
    path = next(path for path in index_files(home) if path.suffix == ".fieldnorm")
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    with pytest.raises(Damaged, match="checksum"):
        lexical.load(home)


def test_whole_index_folders_missing(filled: Callable[[], Path]) -> None:
    home = filled()
    with Store.open(home) as reader:
        expected = answers(reader)
    shutil.rmtree(home / "vectors")
    shutil.rmtree(home / "lexical")
    with Store.open(home) as reader:
        assert answers(reader) == expected
    assert index_files(home)


def test_stale_indexes_catch_up(filled: Callable[[], Path], tmp_path: Path) -> None:
    """As after a kill between SQLite's commit and the indexes: the old ones lie beside a newer database."""
    home = filled()
    shutil.copytree(home / "vectors", tmp_path / "vectors")
    shutil.copytree(home / "lexical", tmp_path / "lexical")
    with Store.open(home, write=True) as writer:
        for number in (3, 4):
            found = writer.find(f"/docs/{number}.txt")
            assert found is not None
            writer.remove(found.id)
        add(writer, "/docs/7.txt", "common word7 new", seed=700)
        writer.commit()
        expected = answers(writer)
    for folder in ("vectors", "lexical"):
        shutil.rmtree(home / folder)
        shutil.copytree(tmp_path / folder, home / folder)
    with Store.open(home) as reader:
        assert [[number for number, _ in hits] for hits in answers(reader)] == [
            [number for number, _ in hits] for hits in expected
        ]
    assert lexical.published_generation(home) == 2


def test_manifest_of_other_rules_is_stale(
    filled: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = filled()
    lexical.load(home)
    monkeypatch.setattr(lexical, "indexed", lambda text: f"always {text}")
    with pytest.raises(Damaged, match="folding rules"):
        lexical.load(home)
    with Store.open(home) as reader:
        assert len(reader.lexical("always", 50)) == 30


def test_reader_beside_a_writer_leaves_the_files_alone(filled: Callable[[], Path]) -> None:
    home = filled()
    with Store.open(home) as reader:
        expected = answers(reader)
    with Store.open(home, write=True):
        for name in ("vectors", "lexical"):
            (home / name / "manifest.json").write_text("{}")
        before = {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.parent.name != home.name}
        with Store.open(home) as reader:
            assert answers(reader) == expected
        after = {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.parent.name != home.name}
        assert after == before
    with Store.open(home) as reader:  # the writer is gone: now the reader mends them
        assert answers(reader) == expected
    lexical.load(home)


def test_many_edits_do_not_distort_scores(store: Store, tmp_path: Path) -> None:
    """BM25 counts deleted chunks until the index is built anew, which must come in time."""
    for number in range(30):
        add(store, f"/docs/{number}", f"common word{number}", seed=number)
    store.commit()
    for turn in range(80):
        add(store, "/docs/edited", f"common edited turn{turn}", seed=turn)
        if turn % 2:
            store.commit()
    with Store.open(tmp_path / "fresh", write=True, create=True, encoder=STAMP) as fresh:
        for number in range(30):
            add(fresh, f"/docs/{number}", f"common word{number}", seed=number)
        add(fresh, "/docs/edited", "common edited turn79", seed=79)
        fresh.commit()
        edited, new = store.lexical("common edited", 50), fresh.lexical("common edited", 50)
    assert [store.chunk(number).text for number, _ in edited[:1]] == ["common edited turn79"]
    assert len(edited) == len(new) == 31
    assert store._derived.lexical().deleted <= 64
    names = {path.name for path in (store.directory / "lexical").iterdir()}
    assert len(names) <= 3  # the manifest, the state and the one before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, bool]]:
    """A folder on a disk of 3 MB where mounting is allowed; else an ordinary one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(command, check=False, capture_output=True, timeout=20).returncode == 0
    except OSError:
        mounted = False
    yield place, mounted
    if mounted:
        subprocess.run(["umount", "-l", str(place)], check=True, timeout=20)


def test_full_disk_keeps_the_old_state(small_disk: tuple[Path, bool]) -> None:
    place, mounted = small_disk
    home = place / "store"
    with Store.open(home, write=True, create=True, encoder=STAMP) as store:
        add(store, "/docs/a", "common walrus", seed=1)
        store.commit()
        if not mounted:
            assert store._changes is not None
            store._changes._connection.execute("PRAGMA max_page_count=300")
        message = "disk .* is full; nothing since the last commit was kept"
        with pytest.raises(StoreError, match=message):
            for number in range(200):
                add(store, f"/docs/{number}", os.urandom(20_000).hex(), seed=number)
                if number % 3 == 2:
                    store.commit()
        kept = store.generation
        documents = store.documents()
        assert len(store.lexical("walrus", 5)) == 1
        assert store.path_count == len(documents) == 1 + 3 * (kept - 1)
        store.remove(documents[0].id)  # the store still takes changes that fit, or says that it cannot
        store.rollback()
    with Store.open(home) as reader:
        assert reader.documents() == documents
        assert len(reader.lexical("walrus", 5)) == 1
        assert len(reader.dense(vector(1), 10_000)) == len(reader.chunk_ids())


def test_indexes_that_cannot_be_written_are_built_elsewhere(
    filled: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = filled()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Store.open(home, write=True) as store:
        with monkeypatch.context() as patch:
            patch.setattr(lexical, "write_manifest", full)
            patch.setattr(vectors, "write_manifest", full)
            add(store, "/docs/new", "common newcomer", seed=500)
            store.commit()  # the database has it: that is what counts
            assert len(store.lexical("newcomer", 5)) == 1
            patch.setattr("ingest.store.derived.tempfile.mkdtemp", full)
            add(store, "/docs/newer", "common newcomer again", seed=501)
            store.commit()
            assert len(store.lexical("newcomer", 5)) == 2
            assert store.dense(vector(501), 1)[0][1] == pytest.approx(1.0)
            assert len(list((home / "lexical").iterdir())) <= 3
        add(store, "/docs/newest", "common newcomer once more", seed=502)
        store.commit()
        expected = store.lexical("newcomer", 5)
    assert lexical.published_generation(home) == 4
    with Store.open(home) as reader:
        assert reader.lexical("newcomer", 5) == expected


def test_atomic_write_leaves_the_old_file_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "manifest.json"
    write_manifest(path, {"generation": 1})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert read_manifest(path) == {"generation": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["manifest.json"]
