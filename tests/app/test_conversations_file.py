"""The conversations' file beside the store's: killed processes, two at once, and what `python -m ingest` does to it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from app.conversations import FILE, Conversations
from ingest.__main__ import main as ingest
from ingest.store import schema
from tests.app.app_samples import make_answer
from tests.ingest.tiny_encoder import write_static

ROOT = Path(__file__).parents[2]
# Asks and answers for ever, and says each id once it is stored.
WRITER = """
import sys
from app.conversations import Conversations
from tests.app.app_samples import make_answer
kept = Conversations(sys.argv[1])
id = sys.argv[2]
for n in range(int(sys.argv[3])):
    turn = kept.append("ann", id, f"question {n} of {sys.argv[4]}")
    kept.finish(turn.id, "done", make_answer("answer " * 50, [], []))
    print(turn.id, flush=True)
"""


def writer(path: Path, id: str, turns: int, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), id, str(turns), name]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def whole(path: Path) -> bool:
    with sqlite3.connect(path) as db:
        found = db.execute("PRAGMA integrity_check").fetchone()[0]
        db.execute("INSERT INTO search(search) VALUES('integrity-check')")
    db.close()
    return bool(found == "ok")


def test_a_killed_process_loses_nothing_it_had_stored(tmp_path: Path) -> None:
    kept = Conversations(tmp_path / FILE)
    for kill in range(3):
        id = kept.create("ann", f"{kill}").id
        process = writer(kept.path, id, 400, "one")
        assert process.stdout is not None
        said = [int(process.stdout.readline()) for _ in range(5 + 7 * kill)]
        process.send_signal(signal.SIGKILL)
        said += [int(line) for line in process.stdout.read().split()]
        process.wait(30)
        process.stdout.close()
        turns = {turn.id: turn for turn in kept.turns("ann", id)}
        assert len(said) < 400, "killed while it wrote"
        assert all(turns[number].answer is not None for number in said) and len(turns) <= len(said) + 1
    assert whole(kept.path)
    kept.close()


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    kept = Conversations(tmp_path / FILE)
    id = kept.create("ann").id
    processes = [writer(kept.path, id, 25, name) for name in ("one", "two")]
    for process in processes:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0 and len(out.split()) == 25
    turns = kept.turns("ann", id)
    assert len(turns) == 50 and all(turn.answer is not None for turn in turns)
    assert len(kept.list("ann", "question of two")) == 1 and whole(kept.path)
    kept.close()


@pytest.fixture
def store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A store with documents and a conversation; the conversation came first."""
    kept = Conversations(tmp_path / "store" / FILE)
    turn = kept.append("ann", kept.create("ann").id, "Whisperquestion?")
    kept.finish(turn.id, "done", make_answer("Whisperanswer.", [], []))
    kept.close()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("red fish")
    encoder = str(write_static(tmp_path / "encoder"))
    assert ingest([str(tmp_path / "docs"), "--store", str(tmp_path / "store"), "--encoder", encoder]) == 0
    return tmp_path / "store"


def test_ingest_leaves_conversations_alone(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (store / FILE).read_bytes()
    status = (store / FILE).stat()
    docs, where = str(tmp_path / "docs"), ["--store", str(store)]
    for command in (
        [docs, *where],
        [docs, "--rebuild", *where],
        ["verify", *where],
        ["repair", *where],
        ["status", *where],
        ["export", str(tmp_path / "out.obk"), *where],
    ):
        assert ingest(command) == 0, capsys.readouterr().err
        after = (store / FILE).stat()
        assert (store / FILE).read_bytes() == before, command
        assert (after.st_ino, after.st_mtime_ns, after.st_mode) == (status.st_ino, status.st_mtime_ns, status.st_mode)
    with zipfile.ZipFile(tmp_path / "out.obk") as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
        assert not any("conversation" in name for name in archive.namelist())
    assert b"red fish" in content and b"hisper" not in content


def test_a_damaged_store_is_repaired_around_them(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (store / FILE).read_bytes()
    with (store / schema.DATABASE).open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xa5" * 4096 * 2)
    assert ingest(["verify", "--store", str(store)]) != 0
    ingest(["repair", "--store", str(store)])
    assert (store / FILE).read_bytes() == before
    assert Conversations(store / FILE).list("ann", "whisperanswer")


def test_conversations_are_no_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder with conversations alone, inside the folder that is taken in."""
    Conversations(tmp_path / ".openbook" / FILE).create("ann", "Whisper")
    (tmp_path / "a.txt").write_text("red fish")
    encoder = str(write_static(tmp_path.parent / "other-encoder"))
    assert ingest([str(tmp_path), "--store", str(tmp_path / ".openbook"), "--encoder", encoder, "--json"]) == 0
    assert '"files": 1,' in capsys.readouterr().out
