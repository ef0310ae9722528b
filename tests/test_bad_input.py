"""Bad input at the real command lines: one clear sentence, the right exit code, and nothing that was stored is lost."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ingest.store import Store, schema
from tests.ingest.tiny_encoder import write_static

ROOT = Path(__file__).parents[1]
GBK = "这是一份旧的中文文档，用的是国标编码。" * 5
MANY = 100_000
TEMPERATURES = ["nan", "-0.1", "2.1", "warm"]


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENBOOK_")}
    environment = {**kept, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"}
    line = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, env=environment, timeout=120, check=False)


def refused(*arguments: str | Path) -> str:
    """The one sentence with which a command declined to do anything."""
    done = command(*arguments)
    told = done.stderr.strip()
    assert done.returncode == 2, (done.returncode, told, done.stdout)
    assert len(told) > 20 and len(told.splitlines()) == 1 and "Traceback" not in told, told
    assert "Error(" not in told and "errno" not in told.lower(), told
    return told


def report_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert "Traceback" not in done.stderr, done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def bomb() -> bytes:
    """A Word file of some 60 kB that unpacks to 64 MiB."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("[Content_Types].xml", "<Types/>")
        package.writestr("word/document.xml", b"<a/>" * (16 << 20))
    return packed.getvalue()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound store of one document, made with a tiny encoder."""
    home = tmp_path_factory.mktemp("sound")
    write_static(home / "encoder")
    (home / "docs").mkdir()
    (home / "docs" / "fish.md").write_text("# Fish\n\nThe red fish swims under the bridge.\n", encoding="utf-8")
    done = command("ingest", home / "docs", "--store", home / "store", "--encoder", home / "encoder")
    assert done.returncode == 0, done.stderr
    return home / "store"


def stored(store: Path) -> dict[str, str]:
    """The text of every document of a store, by file name."""
    with Store.open(store) as opened:
        return {Path(document.path).name: opened.text(document.id) for document in opened.documents()}


# ------------------------------------------------------------------- ingest


def test_bad_files_are_quarantined_and_the_others_go_on(tmp_path: Path) -> None:
    docs, home = tmp_path / "docs", tmp_path / "store"
    docs.mkdir()
    encoder = write_static(tmp_path / "encoder")
    (docs / "first.md").write_text("The red fish.", encoding="utf-8")
    (docs / "torn.txt").write_text("The first version of a file.", encoding="utf-8")
    assert command("ingest", docs, "--store", home, "--encoder", encoder).returncode == 0

    (docs / "torn.txt").write_bytes(b"\xef\xbb\xbfThe second version, torn: \xff\xfe\xff")
    (docs / "binary.txt").write_bytes(bytes(range(256)) * 64)
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7\n1 0 obj << /Type /Catalog >>\nstartxref\n99999\n%%EOF")
    (docs / "bomb.docx").write_bytes(bomb())
    (docs / "no-package.docx").write_bytes(b"PK\x03\x04 cut off")
    (docs / "old.txt").write_bytes(GBK.encode("gb18030"))
    (docs / "folder.txt").mkdir()
    (docs / "folder.txt" / "inside.md").write_text("The blue sky.", encoding="utf-8")
    os.mkfifo(docs / "pipe.txt")
    locked = docs / "locked.txt"
    locked.write_text("The green tree.", encoding="utf-8")
    locked.chmod(0)
    permitted = os.access(locked, os.R_OK)  # root reads whatever the mode says

    done = command("ingest", docs, "--store", home, "--json")
    report = report_of(done)
    reasons = {Path(entry["path"]).name: entry["reason"] for entry in report["quarantined"]}
    expected = {
        "torn.txt": "damaged at byte",
        "binary.txt": "binary",
        "broken.pdf": "PDF",
        "bomb.docx": "unpacks",
        "no-package.docx": "damaged",
    }
    if not permitted:
        expected["locked.txt"] = "permission"
    assert done.returncode == 1 and set(reasons) == set(expected), reasons
    for name, words in expected.items():
        assert words.lower() in reasons[name].lower() and name in reasons[name], reasons[name]
        assert len(reasons[name].splitlines()) == 1 and reasons[name].endswith("."), reasons[name]
    assert [Path(entry["path"]).name for entry in report["skipped"]] == ["pipe.txt"]

    texts = stored(home)
    assert set(texts) == {"first.md", "torn.txt", "old.txt", "inside.md"} | ({"locked.txt"} if permitted else set())
    assert (
        texts["torn.txt"] == "The first version of a file."
    )  # an unreadable new version does not push out the old one
    assert texts["old.txt"] == GBK


def test_only_bad_files_is_nothing_done(tmp_path: Path) -> None:
    encoder = write_static(tmp_path / "encoder")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "broken.pdf").write_bytes(b"%PDF-1.4 nonsense")
    done = command("ingest", tmp_path / "docs", "--store", tmp_path / "store", "--encoder", encoder, "--json")
    assert done.returncode == 2 and len(report_of(done)["quarantined"]) == 1


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    docs, home = tmp_path / "docs", tmp_path / "store"
    docs.mkdir()
    encoder = write_static(tmp_path / "encoder")
    busy = docs / "busy.txt"
    busy.write_text("The first version.", encoding="utf-8")
    assert command("ingest", docs, "--store", home, "--encoder", encoder).returncode == 0

    # Large enough that reading takes a multiple of the pause between two writes; zero bytes, so that a run that
    # read it in peace would say "binary" and fail this test instead of indexing it.
    busy.write_bytes(bytes(64 << 20))
    (docs / "calm.txt").write_text("The red fish.", encoding="utf-8")
    stop = threading.Event()

    def scribble() -> None:
        with busy.open("ab", buffering=0) as file:
            while not stop.wait(0.0005):
                file.write(b"\0")

    writer = threading.Thread(target=scribble)
    writer.start()
    try:
        done = command("ingest", docs, "--store", home, "--json")
    finally:
        stop.set()
        writer.join()
    report = report_of(done)
    assert done.returncode == 1 and report["added"] == 1
    [reason] = [entry["reason"] for entry in report["quarantined"]]
    assert reason == "busy.txt changed while being read; run ingest again; the version stored earlier stays."
    assert stored(home) == {"busy.txt": "The first version.", "calm.txt": "The red fish."}


def test_paths_that_cannot_be_ingested(store: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.txt")
    assert "does not exist" in refused("ingest", tmp_path / "missing", "--store", store)
    assert "no files" in refused("ingest", tmp_path / "empty", "--store", tmp_path / "new")
    assert "named pipe" in refused("ingest", tmp_path / "pipe.txt", "--store", store)
    assert "PATH" in refused("ingest")
    assert not (tmp_path / "new").exists() and set(stored(store)) == {"fish.md"}


def test_a_store_of_another_encoder_a_busy_one_and_a_newer_one(store: Path, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "tree.md").write_text("The green tree.", encoding="utf-8")
    told = refused("ingest", docs, "--store", store, "--encoder", "bundled")
    assert "--rebuild" in told and "bundled" in told

    with Store.open(store, write=True):
        assert "is being written by process" in refused("ingest", docs, "--store", store)
        search = command("rag", "search", "red fish", "--store", store, "--json")  # reading goes on meanwhile
    assert search.returncode == 0 and "red fish" in report_of(search)["hits"][0]["text"]
    assert set(stored(store)) == {"fish.md"}

    newer = tmp_path / "newer"
    assert command("ingest", docs, "--store", newer, "--encoder", write_static(tmp_path / "encoder")).returncode == 0
    connection = sqlite3.connect(newer / "store.sqlite3")
    schema.write_meta(connection, "format", 999)
    connection.commit()
    connection.close()
    for line in (["ingest", docs], ["rag", "ask", "tree?"]):
        assert "newer" in refused(*line, "--store", newer)


def test_an_encoder_that_is_gone(tmp_path: Path) -> None:
    encoder, docs, home = write_static(tmp_path / "encoder"), tmp_path / "docs", tmp_path / "store"
    docs.mkdir()
    (docs / "fish.md").write_text("The red fish.", encoding="utf-8")
    assert command("ingest", docs, "--store", home, "--encoder", encoder).returncode == 0
    shutil.rmtree(encoder)
    for line in (["ingest", docs], ["rag", "search", "red fish"]):
        told = refused(*line, "--store", home)
        assert str(encoder) in told and "--encoder bundled --rebuild" in told
    assert stored(home) == {"fish.md": "The red fish."}


# ---------------------------------------------------------------- questions


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_temperatures_outside_the_range_at_ask(store: Path, temperature: str) -> None:
    told = refused("rag", "ask", "What swims?", "--store", store, f"--temperature={temperature}")
    assert "temperature is" in told and temperature in told and "0" in told and "2" in told


def test_a_temperature_outside_the_range_at_generate() -> None:
    told = refused("gpt", "generate", "Once", "--temperature=nan")
    assert "temperature is nan" in told


def test_questions_that_are_none(store: Path) -> None:
    for question in ("", " \t\n"):
        assert "empty" in refused("rag", "ask", question, "--store", store)
    told = refused("rag", "ask", "why " * (MANY // 4), "--store", store)
    assert f"{MANY - 1:,}" in told and "10,000" in told
    assert "empty" in refused("rag", "search", "", "--store", store)


def test_models_that_cannot_be_used(store: Path, tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text(json.dumps({"model_type": "gpt2"}), encoding="utf-8")
    (pickled / "pytorch_model.bin").write_bytes(b"\x80\x02X\x04\x00\x00\x00evil.")
    ask = ("rag", "ask", "What swims?", "--store", store, "--model")
    assert "no-such-model" in refused(*ask, "no-such-model")
    assert "pickle" in refused(*ask, pickled)
    assert "pickle" in refused("gpt", "generate", "Once", "--model", pickled / "pytorch_model.bin")


def test_stores_that_cannot_be_asked(tmp_path: Path) -> None:
    told = refused("rag", "ask", "What swims?", "--store", tmp_path / "none")
    assert "python -m ingest" in told and not (tmp_path / "none").exists()
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "store.sqlite3").write_bytes(b"not a database at all, but long enough to be taken for one" * 40)
    assert str(damaged) in refused("rag", "search", "What swims?", "--store", damaged)


# --------------------------------------------------------------------- chat


def test_a_port_in_use_and_one_that_is_none(store: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Port {port}" in refused("app", "--store", store, "--port", str(port))
    assert "--port" in refused("app", "--store", store, "--port", "chat")


def test_ctrl_c_ends_a_conversation_without_a_traceback(store: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "rag", "chat", "--store", str(store), "--model", "none"]
    process = subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    assert process.stdout.read(1) == ">"  # it waits for a question
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 2 and told.strip() == "Stopped.", told
