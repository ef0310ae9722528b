"""The child that parses: limits of time, memory and expansion, files that change, and what it may not import."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.limits import Budget
from ingest.parsers.package import Package
from ingest.sandbox import Limits, ParserPool, read_file
from ingest.types import IngestError


@pytest.fixture(scope="module")
def pool() -> Iterator[ParserPool]:
    with ParserPool() as opened:
        yield opened


def test_parses_and_hashes(pool: ParserPool, tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("# 标题\n\ntext 😀")
    result = pool.parse(path)
    assert (result.document.title, result.document.text) == ("标题", "# 标题\n\ntext 😀")
    assert result.document.sections[0].headings == ("标题",)
    assert result.digest == hashlib.blake2b(path.read_bytes(), digest_size=20).hexdigest()
    assert (result.size, result.mtime_ns) == (path.stat().st_size, path.stat().st_mtime_ns)


def test_one_worker_serves_many_files_and_survives_bad_ones(pool: ParserPool, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.txt", tmp_path / "bad.pdf"
    good.write_text("x" * 300_000)  # more than a pipe holds
    bad.write_bytes(b"%PDF-1.7 nothing")
    pool.parse(good)
    process = pool._worker
    with pytest.raises(IngestError, match=r"bad.pdf is not a PDF that can be read"):
        pool.parse(bad)
    assert pool.parse(good).document.characters_in == 300_000
    assert process is not None and pool._worker is process


def test_a_killed_worker_is_replaced(pool: ParserPool, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")
    pool.parse(path)
    assert pool._worker is not None
    os.kill(pool._worker.pid, signal.SIGKILL)
    pool._worker.wait()
    assert pool.parse(path).document.text == "text"


def test_time_is_limited_and_the_next_file_is_read(tmp_path: Path) -> None:
    slow, fine = tmp_path / "slow.html", tmp_path / "fine.txt"
    slow.write_text("<p>a" * 2_000_000)
    fine.write_text("fine")
    with ParserPool(Limits(seconds=1.0)) as pool:
        began = time.monotonic()
        with pytest.raises(IngestError, match=r"slow.html took longer than 1 seconds"):
            pool.parse(slow)
        assert time.monotonic() - began < 20
    with ParserPool(Limits(seconds=30)) as pool:
        assert pool.parse(fine).document.text == "fine"


def test_the_time_for_all_steps_of_a_file_is_limited(tmp_path: Path) -> None:
    path = tmp_path / "slow.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as package:
        for n in range(40):
            package.writestr(f"{n}.html", "<p>a" * 100_000)
    with ParserPool(Limits(seconds=30.0, total_seconds=1.0)) as pool:
        began = time.monotonic()
        with pytest.raises(IngestError, match=r"slow.zip took longer than 1 seconds"):
            pool.parse(path)
        assert time.monotonic() - began < 20


def test_memory_is_limited_and_the_next_file_is_read(tmp_path: Path) -> None:
    big, fine = tmp_path / "big.json", tmp_path / "fine.txt"
    big.write_text("[" + "[],[1]," * 3_000_000 + "1]")
    fine.write_text("fine")
    with ParserPool(Limits(memory=400 << 20)) as pool:
        with pytest.raises(IngestError, match=r"big.json .*memory|big.json crashed"):
            pool.parse(big)
        assert pool.parse(fine).document.text == "fine"


def bomb(megabytes: int) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("word/document.xml", bytes(megabytes << 20))
    return packed.getvalue()


def test_a_zip_bomb_is_named_with_its_ratio(pool: ParserPool, tmp_path: Path) -> None:
    path = tmp_path / "bomb.docx"
    path.write_bytes(bomb(20))
    with pytest.raises(IngestError, match=r"bomb.docx unpacks \d+-fold to 20 MiB"):
        pool.parse(path)


def test_a_directory_that_lies_about_sizes_does_not_help() -> None:
    data = bytearray(bomb(20))
    central = data.rindex(b"PK\x01\x02")
    data[central + 24 : central + 28] = (10).to_bytes(4, "little")
    with pytest.raises(IngestError):
        Package(bytes(data), Budget(packed=len(data)), "a package").read("word/document.xml")


def test_sizes_are_limited(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x" * 2000)
    with ParserPool(Limits(characters=1000)) as pool, pytest.raises(IngestError, match="2000 characters"):
        pool.parse(path)
    sparse = tmp_path / "sparse.txt"
    with sparse.open("wb") as stream:
        stream.truncate(10 << 30)
    with pytest.raises(IngestError, match="10240 MiB, over the limit"):
        read_file(sparse, Limits())


def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(IngestError, match="not a regular file"):
        read_file(tmp_path / "pipe.txt", Limits())


def test_a_folder_that_has_become_a_link_is_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "a", outside):
        folder.mkdir(parents=True)
        (folder / "b.txt").write_text(folder.name)
    assert read_file(root / "a/b.txt", Limits(), root)[0] == b"a"
    (root / "a").rename(root / "old")
    (root / "a").symlink_to(outside)
    with pytest.raises(IngestError, match="leads out of the folder; it was not read"):
        read_file(root / "a/b.txt", Limits(), root)
    assert read_file(root / "a/b.txt", Limits(), root / "a/b.txt")[0] == b"outside"  # named by hand


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match=r"gone.txt cannot be read \(No such file"):
        read_file(tmp_path / "gone.txt", Limits())


def test_a_file_that_changes_is_read_again_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    honest = os.fstat
    calls = 0

    def changing(descriptor: int) -> os.stat_result:
        nonlocal calls
        calls += 1
        if calls <= times:
            with path.open("a") as stream:
                stream.write("!")
            os.utime(path, ns=(calls, calls))
        return honest(descriptor)

    monkeypatch.setattr("ingest.sandbox.os.fstat", changing)
    times = 2
    assert read_file(path, Limits())[0] == b"one!!"
    calls, times = 0, 99
    with pytest.raises(IngestError, match="changed while being read; run ingest again"):
        read_file(path, Limits())


def confined(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python ``script`` in a process that has given up what the parsing process gives up."""
    lines = f"import sys, ingest.confine\ningest.confine.confine(2 << 30)\n{script}"
    return subprocess.run([sys.executable, "-c", lines, *arguments], capture_output=True, text=True, check=False)


def test_the_child_starts_light() -> None:
    script = (
        "import sys, json, ingest.worker, ingest.parsers\n"
        "print(json.dumps([m for m in ('torch', 'sentence_transformers', 'numpy', 'lxml', 'bs4') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX"])
def test_the_child_has_no_network(family: str) -> None:
    done = confined("import socket\nsocket.socket(getattr(socket, sys.argv[1]))", family)
    assert "PermissionError" in done.stderr, done.stderr


def test_the_filter_is_on_while_files_are_parsed(pool: ParserPool, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    pool.parse(tmp_path / "a.txt")
    assert pool._worker is not None
    status = Path(f"/proc/{pool._worker.pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status


def test_children_of_the_child_have_no_network_either() -> None:
    inner = "import socket; socket.socket()"
    done = confined("import subprocess\nprint(subprocess.run([sys.executable, '-c', sys.argv[1]]).returncode)", inner)
    assert done.stdout == "1\n" and "PermissionError" in done.stderr


def test_the_child_cannot_write_files(tmp_path: Path) -> None:
    done = confined("open(sys.argv[1], 'w', buffering=1).write('x\\n')", str(tmp_path / "out"))
    assert "File too large" in done.stderr


def test_the_memory_of_the_child_is_limited() -> None:
    assert "MemoryError" in confined("bytes(3 << 30)").stderr
