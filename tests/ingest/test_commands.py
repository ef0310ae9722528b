"""``python -m ingest status | verify | repair | export | import`` as they are typed."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ingest.__main__ import main
from ingest.store import Store
from tests.ingest.tiny_encoder import write_static


@pytest.fixture
def encoder(tmp_path: Path) -> str:
    return str(write_static(tmp_path / "encoder"))


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.md").write_text("# Fish\n\nred fish and blue fish\n")
    (folder / "deep" / "b.txt").write_text("green tree under a blue sky")
    (folder / "c.txt").write_text("天空是蓝色的，树是绿色的。")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    return folder


@pytest.fixture
def home(docs: Path, tmp_path: Path, encoder: str) -> Path:
    assert main([str(docs), "--store", str(tmp_path / "store"), "--encoder", encoder, "--collection", "zoo"]) == 1
    return tmp_path / "store"


Captured = pytest.CaptureFixture[str]


def told(capsys: Captured) -> tuple[list[str], dict[str, Any]]:
    """The lines for people, and the JSON that is the last."""
    *lines, last = capsys.readouterr().out.splitlines()
    return lines, json.loads(last)


def damage(home: Path, statement: str) -> None:
    with closing(sqlite3.connect(home / "store.sqlite3", isolation_level=None)) as connection:
        assert connection.execute(statement).rowcount


def test_status(home: Path, docs: Path, capsys: Captured) -> None:
    capsys.readouterr()
    assert main(["status", "--store", str(home), "--json"]) == 0
    lines, report = told(capsys)
    assert (report["documents"], report["chunks"], report["waiting"]) == (3, 3, 0)
    assert report["kinds"] == {"text": 2, "markdown": 1} and report["languages"] == {"en": 2, "zh": 1}
    assert report["roots"] == [str(docs)] and report["collections"] == {str(docs): "zoo"}
    assert [entry["path"] for entry in report["quarantined"]] == [str(docs / "broken.pdf")]
    assert {name: entry["state"] for name, entry in report["indexes"].items()} == {
        "lexical": "current",
        "vectors": "current",
    } or report["indexes"]["vectors"]["state"] == "behind"
    assert report["bytes"]["total"] >= report["bytes"]["database"] > 0 and report["encoder"]["dimension"] == 8
    assert any("Quarantined" in line and "broken.pdf" in line for line in lines)
    for path in (home / "lexical").rglob("manifest.json"):
        path.write_text("{}")
    main(["status", "--store", str(home), "--json"])
    assert told(capsys)[1]["indexes"]["lexical"]["state"] == "damaged"


def test_quarantine_ends_when_the_file_is_mended_or_gone(home: Path, docs: Path) -> None:
    (docs / "broken.pdf").unlink()
    assert main([str(docs), "--store", str(home)]) == 0
    with Store.open(home) as store:
        assert store.quarantined() == {}


def test_verify_and_repair_of_a_good_store(home: Path, capsys: Captured) -> None:
    capsys.readouterr()
    assert main(["verify", "--store", str(home), "--json"]) == 0
    lines, report = told(capsys)
    assert report["documents"] == 3 and report["problems"] == [] and "as they were written" in lines[0]
    assert main(["repair", "--store", str(home), "--json"]) == 0
    lines, report = told(capsys)
    assert report["problems"] == [] and lines[0].startswith("Nothing was damaged: 3 documents")


def test_repair_reads_a_damaged_document_again(home: Path, docs: Path, capsys: Captured) -> None:
    damage(home, "UPDATE documents SET title = 'x' WHERE path LIKE '%b.txt'")
    capsys.readouterr()
    assert main(["verify", "--store", str(home), "--json"]) == 1
    lines, report = told(capsys)
    assert all(line.endswith(f"; mend it: python -m ingest repair --store {home}") for line in lines)
    assert {problem["where"] for problem in report["problems"]} == {"database", "document"}
    assert main(["repair", "--store", str(home), "--json"]) == 0
    lines, report = told(capsys)
    assert report["reread"] == [str(docs / "deep" / "b.txt")] and report["kept"] == 2
    assert f"{docs / 'deep' / 'b.txt'} was read again from its file" in lines
    assert main(["verify", "--store", str(home)]) == 0
    with Store.open(home) as store:
        record = store.find(str(docs / "deep" / "b.txt"))
        assert record is not None and record.root == str(docs)  # as before, not a file that was named itself
        assert store.collections() == {str(docs): "zoo"} and list(store.quarantined()) == [str(docs / "broken.pdf")]
        assert len(store.lexical("sky", 5)) == 1
    assert main([str(docs), "--store", str(home), "--json"]) == 1
    assert told(capsys)[1]["unchanged"] == 3


def test_repair_without_the_file(home: Path, docs: Path, capsys: Captured) -> None:
    """What can be put together again is; what cannot is named, and the damaged database kept."""
    damage(home, "UPDATE chunks SET page = 9 WHERE doc_id = (SELECT id FROM documents WHERE path LIKE '%b.txt')")
    damage(home, "UPDATE documents SET text = 'y' || text WHERE path LIKE '%c.txt'")
    damage(home, "UPDATE documents SET size = size + 1 WHERE path LIKE '%a.md'")
    for path in docs.rglob("*.*"):
        path.unlink()
    capsys.readouterr()
    assert main(["repair", "--store", str(home), "--json"]) == 1
    lines, report = told(capsys)
    assert report["restored"] == [str(docs / "deep" / "b.txt")]
    assert [entry["path"] for entry in report["lost"]] == [str(docs / "a.md")]
    assert (home / "damaged.sqlite3").exists() and "is kept as" in lines[-2]
    with Store.open(home) as store:
        texts = sorted(store.text(record.id) for record in store.documents())
    assert texts == ["green tree under a blue sky", "天空是蓝色的，树是绿色的。"]
    assert main(["verify", "--store", str(home)]) == 0


def test_repair_makes_lost_vectors_again(home: Path, encoder: str, capsys: Captured) -> None:
    damage(home, "UPDATE vectors SET data = zeroblob(32)")
    capsys.readouterr()
    assert main(["repair", "--store", str(home), "--json"]) == 0
    report = told(capsys)[1]
    assert (report["kept"], report["encoded"]) == (3, 3)
    assert main(["verify", "--store", str(home)]) == 0


def test_repair_needs_the_encoder_only_for_vectors(home: Path, tmp_path: Path, encoder: str, capsys: Captured) -> None:
    damage(home, "UPDATE vectors SET data = zeroblob(32)")
    Path(encoder).rename(tmp_path / "moved")
    assert main(["repair", "--store", str(home)]) == 2
    assert "moved" not in (said := capsys.readouterr().err) and len(said.splitlines()) == 1
    assert main(["repair", "--store", str(home), "--encoder", str(tmp_path / "moved"), "--json"]) == 0
    assert told(capsys)[1]["encoded"] == 3


def test_damaged_indexes_are_named_and_made_again(home: Path, capsys: Captured) -> None:
    target = next(path for path in (home / "lexical").rglob("*.fieldnorm"))
    data = bytearray(target.read_bytes())
    data[0] ^= 1
    target.write_bytes(data)
    capsys.readouterr()
    assert main(["verify", "--store", str(home), "--json"]) == 1
    assert [problem["where"] for problem in told(capsys)[1]["problems"]] == ["index"]
    assert main(["repair", "--store", str(home)]) == 0
    assert main(["verify", "--store", str(home)]) == 0


@pytest.mark.parametrize("command", ["status", "verify", "repair", "export"])
def test_without_a_store(command: str, tmp_path: Path, capsys: Captured) -> None:
    arguments = [command, "--store", str(tmp_path / "none"), *(["file"] if command == "export" else [])]
    assert main([*arguments, "--json"]) == 2
    captured = capsys.readouterr()
    assert "There is no store in" in captured.err and len(captured.err.splitlines()) == 1
    assert "There is no store in" in json.loads(captured.out)["error"]
    assert not (tmp_path / "none").exists()


def test_a_busy_store_is_not_repaired(home: Path, capsys: Captured) -> None:
    with Store.open(home, write=True):
        assert main(["repair", "--store", str(home)]) == 2
        assert "is being written by process" in capsys.readouterr().err
        assert main(["verify", "--store", str(home)]) == 0  # looking is allowed


def test_export_and_import(home: Path, docs: Path, tmp_path: Path, encoder: str, capsys: Captured) -> None:
    capsys.readouterr()
    file = tmp_path / "all.openbook"
    assert main(["export", str(file), "--store", str(home), "--json"]) == 0
    lines, report = told(capsys)
    assert f"SHA-256 {report['sha256']}" == lines[1] and report["documents"] == 3
    line = ["import", str(file), "--store", str(tmp_path / "new"), "--root", str(docs), "--json"]
    assert main(line) == 2  # the bundled encoder is not this one
    assert "python -m ingest import" in json.loads(capsys.readouterr().out)["error"]
    assert main([*line, "--encoder", encoder, "--sha256", report["sha256"]]) == 0
    assert told(capsys)[1]["documents"] == 3
    assert main(["verify", "--store", str(tmp_path / "new")]) == 0
    assert main([str(docs), "--store", str(tmp_path / "new"), "--json"]) == 1
    assert told(capsys)[1]["encoded"] == 0
    assert main(["import", str(tmp_path / "none"), "--store", str(tmp_path / "other")]) == 2


def test_a_folder_named_like_a_command(
    tmp_path: Path, encoder: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    (tmp_path / "status").mkdir()
    (tmp_path / "status" / "a.txt").write_text("red fish")
    monkeypatch.chdir(tmp_path)
    assert main(["./status", "--store", "store", "--encoder", encoder]) == 0
    capsys.readouterr()
    assert main(["status", "--store", "store", "--json"]) == 0
    assert told(capsys)[1]["documents"] == 1
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "./NAME" in capsys.readouterr().out
