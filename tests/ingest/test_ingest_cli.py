"""``python -m ingest`` as scripts see it: exit codes, JSON, one sentence for an error, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ingest.store import Store, schema
from tests.ingest.tiny_encoder import write_static

ROOT = Path(__file__).parents[2]
FIELDS = {
    *("files", "added", "changed", "moved", "removed", "unchanged", "quarantined", "chunks", "encoded"),
    *("characters_in", "characters_indexed", "seconds"),
}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# Fish\n\nThe red fish swims.\n")
    (folder / "b.txt").write_text("The blue sky.")
    return folder


@pytest.fixture
def encoder(tmp_path: Path) -> str:
    return str(write_static(tmp_path / "encoder"))


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "ingest", *map(str, arguments)]


def run(*arguments: str | Path, **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    values = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(command(*arguments), capture_output=True, text=True, env=values, timeout=120, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def report_of(output: str) -> dict[str, Any]:
    report = json.loads(output.splitlines()[-1])
    assert isinstance(report, dict)
    return report


def test_json_lines_and_codes(docs: Path, tmp_path: Path, encoder: str) -> None:
    home = tmp_path / "store"
    code, out, err = run(docs, "--store", home, "--encoder", encoder, "--json")
    report = report_of(out)
    assert code == 0 and set(report) >= FIELDS and (report["added"], report["files"]) == (2, 2)
    assert len(out.splitlines()) == 1
    assert "added       " + str(docs / "a.md") in err and "2 files: 2 added." in err

    (docs / "bad.pdf").write_bytes(b"%PDF-1.4 nonsense")
    (docs / "b.txt").unlink()
    (docs / "a.md").rename(docs / "z.md")
    code, out, err = run(docs, "--json", OPENBOOK_STORE=str(home))
    report = report_of(out)
    assert code == 1 and (report["moved"], report["removed"], report["added"]) == (1, 1, 0)
    assert [entry["path"] for entry in report["quarantined"]] == [str(docs / "bad.pdf")]
    assert f"quarantined {docs / 'bad.pdf'}: bad.pdf" in err
    assert f"moved       {docs / 'z.md'} (was {docs / 'a.md'})" in err and f"removed     {docs / 'b.txt'}" in err


def test_plan_makes_no_store(docs: Path, tmp_path: Path) -> None:
    code, out, err = run(docs, "--store", tmp_path / "store", "--plan", "--json")
    assert code == 0 and report_of(out)["added"] == 2 and not (tmp_path / "store").exists()
    assert "2 would be added" in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing"], "missing does not exist"),
        (["empty"], "There are no files that can be ingested in"),
        (["docs", "--encoder", "nowhere"], 'There is no encoder "nowhere"'),
        (["docs", "--store", "docs/b.txt"], "docs/b.txt"),
    ],
)
def test_errors_are_one_sentence_and_code_2(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    code, out, err = run(*arguments, "--json")
    assert code == 2 and sentence in err and len(err.strip().splitlines()) == 1
    assert sentence in report_of(out)["error"] and not (tmp_path / ".openbook").exists()


def test_store_of_another_encoder_busy_or_newer(docs: Path, tmp_path: Path, encoder: str) -> None:
    home = tmp_path / "store"
    run(docs, "--store", home, "--encoder", encoder)
    code, _, err = run(docs, "--store", home, "--encoder", "bundled")
    assert code == 2 and "--encoder bundled --rebuild" in err and len(err.splitlines()) == 1
    with Store.open(home, write=True):
        started = time.monotonic()
        code, _, err = run(docs, "--store", home)
        assert code == 2 and "is being written by process" in err and time.monotonic() - started < 20
    import sqlite3

    connection = sqlite3.connect(home / "store.sqlite3")
    schema.write_meta(connection, "format", 999)
    connection.commit()
    connection.close()
    code, _, err = run(docs, "--store", home, "--rebuild")
    assert code == 2 and "newer" in err and len(err.splitlines()) == 1


def test_names_cannot_drive_the_terminal(docs: Path, tmp_path: Path, encoder: str) -> None:
    (docs / "evil\x1b[2J\n名字.txt").write_text("red fish")
    code, _, err = run(docs, "--store", tmp_path / "store", "--encoder", encoder)
    assert code == 0 and "\x1b" not in err and "evil\\x1b[2J\\n名字.txt" in err


def test_second_run_loads_neither_torch_nor_a_parser(docs: Path, tmp_path: Path) -> None:
    home = tmp_path / "store"
    code = (
        "import sys; from ingest.__main__ import main; code = main(sys.argv[1:]); "
        "print(code, [name for name in ('torch', 'transformers', 'tokenizers', 'docx') if name in sys.modules])"
    )
    encoder = write_static(tmp_path / "encoder")
    run(docs, "--store", home, "--encoder", encoder)
    line = [sys.executable, "-c", code, str(docs), "--store", str(home)]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "0 []"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_is_clean(tmp_path: Path, encoder: str, number: signal.Signals) -> None:
    docs, home = tmp_path / "many", tmp_path / "store"
    docs.mkdir()
    for n in range(1500):
        (docs / f"{n:04}.txt").write_text(f"The red fish number {n}. " * 60)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    line = command(docs, "--store", home, "--encoder", encoder)
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    process.stderr.readline()  # the first batch has been committed
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "Interrupted; what was committed stays" in err and "Traceback" not in err
    with Store.open(home) as store:
        stored = store.path_count
    assert 0 < stored < 1500
    code, out, _ = run(docs, "--store", home, "--json")
    report = report_of(out)
    assert code == 0 and (report["unchanged"], report["added"]) == (stored, 1500 - stored)
