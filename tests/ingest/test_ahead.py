"""Reading ahead: in order, within bounds, the same chunks as here, and ended at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ingest import ahead
from ingest.ahead import ReadAhead
from ingest.count import TokenCounter, read_tokenizer
from ingest.discover import discover
from ingest.fold import indexed
from ingest.limits import Limits
from ingest.plan import Put
from ingest.sandbox import ParseResult, ParserPool, Splitting
from ingest.split import split
from ingest.types import IngestError
from tests.ingest.tiny_encoder import write_static


def puts(folder: Path) -> list[Put]:
    return [Put(found, None) for found in discover([folder]).files]


def make_files(folder: Path, count: int) -> list[Put]:
    folder.mkdir()
    for n in range(count):
        (folder / f"{n:03}.txt").write_text(f"File {n} of the red fish. " * (1 + n % 7))
    return puts(folder)


def nothing() -> None:
    pass


def test_results_come_in_order_and_a_bad_file_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "cores", lambda: 2)
    monkeypatch.setattr(ahead, "BYTES_PER_PROCESS", 1)
    wanted = make_files(tmp_path / "docs", 20)
    (tmp_path / "docs" / "007.txt").write_text("")
    with ReadAhead(wanted, None, nothing) as reading:
        assert reading.processes == 2
        found = list(reading)
    assert [put for put, _ in found] == wanted
    assert [n for n, (_, outcome) in enumerate(found) if isinstance(outcome, IngestError)] == [7]
    texts = [outcome.document.text for _, outcome in found if isinstance(outcome, ParseResult)]
    assert all(f"File {n} " in text for n, text in zip([*range(7), *range(8, 20)], texts, strict=True))


def test_the_process_splits_as_this_one_does(tmp_path: Path) -> None:
    encoder = write_static(tmp_path / "encoder")
    path = tmp_path / "a.md"
    path.write_text("# Fish\n\n" + "The red fish swims. 红色的鱼。\n\n" * 40 + "\n\n# Lone \\ud800 sky\n\nBlue.\n")
    with ParserPool(Limits(), Splitting(str(encoder / "tokenizer.json"), 60)) as parser:
        result = parser.parse(path)
    counter = TokenCounter(read_tokenizer(encoder / "tokenizer.json"))
    expected = split(result.document, counter, 60)
    assert result.chunks == expected and len(expected) > 5
    assert list(result.bodies) == [indexed(chunk.embed_text) for chunk in expected]


def test_reading_waits_for_whoever_takes_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = make_files(tmp_path / "docs", 30)
    started: list[str] = []

    def parse(self: ParserPool, path: Path, root: Path | None = None) -> object:
        started.append(path.name)
        raise IngestError("not today")

    monkeypatch.setattr(ParserPool, "parse", parse)
    monkeypatch.setattr(ahead, "MOST_FILES", 4)
    with ReadAhead(wanted, None, nothing) as reading:
        for taken, _ in enumerate(reading, 1):
            assert len(started) <= taken + 4
    started.clear()
    monkeypatch.setattr(ahead, "MOST_FILES", 100)
    monkeypatch.setattr(ahead, "MOST_BYTES", 1)  # always one at least
    with ReadAhead(wanted, None, nothing) as reading:
        for taken, _ in enumerate(reading, 1):
            assert len(started) <= taken + 1
    assert len(started) == 30


def test_leaving_ends_what_is_being_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = make_files(tmp_path / "docs", 5)
    ended = threading.Event()

    def parse(self: ParserPool, path: Path, root: Path | None = None) -> object:
        assert ended.wait(60)
        raise IngestError("ended")

    class Stop(Exception):
        pass

    def check() -> None:
        raise Stop

    monkeypatch.setattr(ParserPool, "parse", parse)
    monkeypatch.setattr(ParserPool, "abort", lambda self: ended.set())
    with pytest.raises(Stop), ReadAhead(wanted, None, check) as reading:
        list(reading)
    assert ended.is_set()


def test_an_aborted_parser_starts_no_other_process(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("red fish")
    with ParserPool() as parser:
        assert parser.parse(path).document.text == "red fish"
        parser.abort()
        for _ in range(2):
            with pytest.raises(IngestError):
                parser.parse(path)
