"""Stored text and file names that would drive the terminal of whoever reads them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.__main__ import main as ingest_main
from ingest.pipeline import ingest
from ingest.terminal import harmless, tamed
from rag.__main__ import main as rag_main

CLEAR, TITLE, C1, TURNED = "\x1b[2J\x1b[1;1H", "\x1b]0;owned\x07", "\x9b31m", "\u202egpj.exe"
TEXT = (
    f"# The mill{CLEAR} of Brandt\n\nThe mill of Brandt {TITLE}grinds rye{C1} on Thursdays.{TURNED}\n"
    "It belongs to the parish, and whoever brings a sack pays one penny.\n"
)
WILD = set(map(chr, range(32))) - {"\n", "\t"} | {"\x7f", "\x9b", "\u202e"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wild")
    (folder / "files").mkdir()
    (folder / "files" / "mill\x1b[31m\x9b2J.md").write_text(TEXT, encoding="utf-8")
    (folder / "files" / "broken\x1b[2J.pdf").write_bytes(b"%PDF-1.4 nothing")
    assert ingest([folder / "files"], folder / "store").added == 1
    return folder / "store"


COMMANDS: list[tuple[Callable[[list[str]], int], list[str]]] = [
    (rag_main, ["search", "When does the mill grind?"]),
    (rag_main, ["search", "When does the mill grind?", "--json"]),
    (rag_main, ["ask", "When does the mill of Brandt grind rye?", "--model", "none"]),
    (rag_main, ["ask", "When does the mill of Brandt grind rye?", "--model", "none", "--json"]),
    (ingest_main, ["status"]),
    (ingest_main, ["status", "--json"]),
]


@pytest.mark.parametrize(
    ("main", "arguments"), COMMANDS, ids=lambda value: "-".join(value[:1]) if isinstance(value, list) else ""
)
def test_nothing_stored_drives_the_terminal(
    main: Callable[[list[str]], int], arguments: list[str], store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--store", str(store)]) in (0, 1)
    said = capsys.readouterr()
    assert not WILD & set(said.out)
    assert not (WILD - {"\r"}) & set(said.err)
    assert "\\u001b" in said.out
    if "--json" in arguments:
        text = json.dumps(json.loads(said.out.splitlines()[-1]), ensure_ascii=True)
        assert "\\u001b" in text, "in JSON the text is as it is stored"


def test_without_the_guard_it_would(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = rag_main.__wrapped__  # type: ignore[attr-defined]
    assert bare(["search", "When does the mill grind?", "--store", str(store)]) == 0
    assert CLEAR in capsys.readouterr().out


@pytest.mark.parametrize("text", ["plain", "二十\t四\n", "naïve – “quoted”", ""])
def test_ordinary_text_stays(text: str) -> None:
    assert harmless(text) == text


def test_the_streams_come_back() -> None:
    out, err = sys.stdout, sys.stderr
    with pytest.raises(KeyError), tamed():
        assert sys.stdout.isatty() in (True, False)
        raise KeyError
    assert (sys.stdout, sys.stderr) == (out, err)
    assert harmless(TITLE) == "\\u001b]0;owned\\u0007"
