"""Who may open a store, and what is said to those who may not; readers beside a writer."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ingest.store import Store, StoreBusy, StoreError, schema
from ingest.store.lock import Latch
from tests.ingest.store.storekit import STAMP, add, new_document, pieces, vector


def test_missing_store(home: Path) -> None:
    for write in (False, True):
        with pytest.raises(StoreError, match=r"There is no store in .*python -m ingest PATH --store"):
            Store.open(home, write=write)
    assert not home.exists()
    home.mkdir()
    (home / "store.sqlite3").touch()  # creation was interrupted at once
    with pytest.raises(StoreError, match="There is no store"):
        Store.open(home)
    with Store.open(home, write=True, create=True, encoder=STAMP) as made:
        assert made.generation == 0


def test_second_writer_is_told_in_under_a_second(filled: Callable[[], Path]) -> None:
    home = filled()
    with Store.open(home, write=True) as first:
        start = time.monotonic()
        with pytest.raises(StoreBusy, match=f"written by process {os.getpid()};"):
            Store.open(home, write=True)
        assert time.monotonic() - start < 1
        with Store.open(home) as reader:
            assert reader.path_count == first.path_count
    Store.open(home, write=True).close()


def test_reading_only(filled: Callable[[], Path]) -> None:
    with Store.open(filled()) as reader:
        assert not reader.writable
        with pytest.raises(StoreError, match="reading only"):
            reader.remove(1)
        with pytest.raises(StoreError, match="reading only"):
            reader.commit()


def test_newer_schema_is_refused(filled: Callable[[], Path]) -> None:
    home = filled()
    with sqlite3.connect(home / "store.sqlite3") as connection:
        schema.write_meta(connection, "format", 99)
    connection.close()
    for write in (False, True):
        with pytest.raises(StoreError, match=r"newer Openbook \(format 99.*pip install --upgrade openbook"):
            Store.open(home, write=write)


def test_other_files_are_refused(home: Path) -> None:
    home.mkdir()
    with sqlite3.connect(home / "store.sqlite3") as connection:
        connection.execute("CREATE TABLE notes (x)")
    connection.close()
    with pytest.raises(StoreError, match="not an Openbook store"):
        Store.open(home, write=True, create=True, encoder=STAMP)


@pytest.mark.parametrize("damage", ["header", "middle", "cut"])
def test_damaged_database_tells_how_to_rebuild(filled: Callable[[], Path], damage: str) -> None:
    home = filled()
    path = home / "store.sqlite3"
    data = bytearray(path.read_bytes())
    if damage == "header":
        data[:100] = b"x" * 100
    elif damage == "cut":
        del data[len(data) // 2 :]
    else:
        for place in range(4096, len(data), 512):
            data[place : place + 64] = os.urandom(64)
    path.write_bytes(data)
    message = r"is damaged .*python -m ingest repair --store"
    with pytest.raises(StoreError, match=message), Store.open(home) as reader:
        for record in reader.documents():
            reader.text(record.id)
        reader.warm()


def test_read_only_disk(filled: Callable[[], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """WAL wants to write beside the database; where it cannot, the file is read as it is."""
    home = filled()
    opened: list[str] = []

    def connect(uri: str) -> sqlite3.Connection:
        opened.append(uri)
        if "mode=rw" in uri:
            raise sqlite3.OperationalError("attempt to write a readonly database")
        return real(uri)

    real = schema._open
    monkeypatch.setattr(schema, "_open", connect)
    with Store.open(home) as reader:
        assert reader.path_count == 30
        assert len(reader.lexical("common", 50)) == len(reader.dense(vector(1), 50)) == 30
    assert opened[-1].endswith("?immutable=1")
    with pytest.raises(StoreError, match="see to disk and permissions"):
        Store.open(home, write=True)
    (home / "store.sqlite3-wal").write_bytes(b"not empty: reading past it would show an old state")
    with pytest.raises(StoreError, match="see to disk and permissions"):
        Store.open(home)


def test_other_encoder_is_refused_by_name(filled: Callable[[], Path]) -> None:
    home = filled()
    other = replace(STAMP, name="bigger", digest="fedcba9876543210")
    for write in (False, True):
        with pytest.raises(StoreError, match=r"encoder toy .*not bigger .*python -m ingest PATH --store .* --rebuild"):
            Store.open(home, write=write, encoder=other)
    with Store.open(home, encoder=replace(STAMP, name="renamed")) as reader:  # the digest is what counts
        assert reader.encoder.name == "toy"


def test_rebuild_swaps_encoder_and_content_in_one_commit(filled: Callable[[], Path]) -> None:
    home = filled()
    other = replace(STAMP, name="smaller", digest="fedcba9876543210", dimension=4)
    with Store.open(home, encoder=STAMP) as reader, Store.open(home) as free:
        assert len(free.dense(vector(1), 5)) == 5
        with Store.open(home, write=True, encoder=other, rebuild=True) as writer:
            writer.rollback()
            row = np.array([[1, 0, 0, 0]], np.float32)
            writer.put(new_document("/docs/new", "new"), pieces("new"), row)
            assert writer.path_count == 30
            assert writer.cached_vectors([chunk.hash for chunk in writer.chunks(writer.chunk_ids())]) == {}
            writer.commit()
            assert writer.encoder == other
            assert len(writer.dense(row[0], 5)) == 1
        assert free.refresh()
        assert free.encoder == other
        assert len(free.dense(row[0], 5)) == len(free.lexical("new", 5)) == 1
        with pytest.raises(StoreError, match="not toy"):
            reader.refresh()
    with Store.open(home, encoder=other) as again:
        assert again.path_count == 1


def test_reader_keeps_its_generation_until_refresh(filled: Callable[[], Path]) -> None:
    home = filled()
    with Store.open(home) as reader, Store.open(home, write=True) as writer:
        before = (reader.documents(), reader.lexical("common", 50), reader.dense(vector(3), 50))
        writer.remove(reader.documents()[3].id)
        add(writer, "/docs/new", "common newcomer", seed=77)
        assert not reader.refresh()
        writer.commit()
        assert (reader.documents(), reader.lexical("common", 50), reader.dense(vector(3), 50)) == before
        assert reader.lexical("newcomer", 5) == []
        assert reader.refresh()
        assert reader.generation == writer.generation == 2
        assert reader.documents() == writer.documents()
        assert reader.lexical("newcomer common", 50) == writer.lexical("newcomer common", 50)
        assert reader.dense(vector(77), 50) == writer.dense(vector(77), 50)
        assert not reader.refresh()


def test_many_threads_read_while_one_writes(filled: Callable[[], Path]) -> None:
    home = filled()
    stop = threading.Event()
    errors: list[BaseException] = []

    def read(reader: Store) -> None:
        try:
            while not stop.is_set():
                reader.refresh()
                for number, _ in reader.dense(vector(1), 5) + reader.lexical("common", 5):
                    for chunk in reader.chunks([number]):
                        assert chunk.text.startswith("common")
        except BaseException as error:  # handed to the main thread
            errors.append(error)

    with Store.open(home, write=True) as writer, Store.open(home) as reader:
        threads = [threading.Thread(target=read, args=(one,)) for one in (writer, reader, reader, reader)]
        for thread in threads:
            thread.start()
        for turn in range(6):
            with writer.transaction():
                for number in range(5):
                    add(
                        writer,
                        f"/docs/{number}.txt",
                        f"common word{number} turn{'abcdef'[turn]}",
                        seed=100 * turn + number,
                    )
        stop.set()
        for thread in threads:
            thread.join()
        assert not errors
        reader.refresh()
        assert len(reader.lexical("turnf", 30)) == 5


def test_latch_never_mixes_readers_with_a_change() -> None:
    latch = Latch()
    inside = {"readers": 0, "changes": 0}
    wrong: list[dict[str, int]] = []
    guard = threading.Lock()

    def work(kind: str) -> None:
        for _ in range(60):
            with latch.shared() if kind == "readers" else latch.exclusive():
                with guard:
                    inside[kind] += 1
                    if inside["changes"] and sum(inside.values()) > 1:
                        wrong.append(dict(inside))
                time.sleep(0.0002)
                with guard:
                    inside[kind] -= 1

    threads = [threading.Thread(target=work, args=(kind,)) for kind in ["readers"] * 4 + ["changes"] * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_forked_child_does_not_keep_the_lock(filled: Callable[[], Path]) -> None:
    """Parser processes may outlive a writer that was killed; the next writer must not wait for them."""
    home = filled()
    ready, told = os.pipe()
    outer = os.fork()
    if outer == 0:  # a writer that forks a child and dies
        store = Store.open(home, write=True)
        inner = os.fork()
        if inner == 0:
            os.close(told)
            time.sleep(30)
            os._exit(0)
        os.write(told, json.dumps({"child": inner, "writable": store.writable}).encode())
        os._exit(0)
    os.close(told)
    child = json.loads(os.read(ready, 100))["child"]
    os.close(ready)
    os.waitpid(outer, 0)
    try:
        os.kill(child, 0)  # it is alive
        Store.open(home, write=True).close()
    finally:
        os.kill(child, 9)


def test_opening_does_not_drop_the_locks_of_this_process(filled: Callable[[], Path]) -> None:
    """POSIX drops a process's locks on a file when any descriptor of it is closed; another process, thinking itself
    the last, would then delete the log under an open reader.
    """
    home = filled()
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM meta').fetchall(); c.close()"
    )
    with Store.open(home) as reader:
        Store.open(home).close()
        schema.is_blank(home / "store.sqlite3")
        subprocess.run([sys.executable, "-c", program, str(home / "store.sqlite3")], check=True, timeout=60)
        assert (home / "store.sqlite3-wal").exists()
        assert reader.path_count == 30
    assert not (home / "store.sqlite3-wal").exists()
