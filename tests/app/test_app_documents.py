"""The documents panel and the first view."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app import adding, documents
from app.hero import hero, questions
from app.workspace import Heading, Workspace
from ingest.report import Event, IngestReport, Quarantined
from ingest.types import IngestError, Omission
from tests.app.app_samples import Page


def record(path: str = "/docs/a.md", **fields: Any) -> Any:
    values = {"id": 1, "path": path, "root": "/docs", "chunk_count": 3, "omissions": (), "title": "A", "language": "en"}
    return SimpleNamespace(**(values | fields))


class Stub(Workspace):
    """A workspace whose store is a list and whose ingestion is a script."""

    def __init__(self, folder: Path, records: list[Any], events: Sequence[Event | Exception] = ()) -> None:
        super().__init__(folder)
        self.records = records
        self.events = events

    def documents(self) -> list[Any]:
        return self.records

    def headings(self, limit: int = 60) -> list[Heading]:
        return [Heading("Locks and latches", "en"), Heading("锁的顺序", "zh")]

    def ingest(self, paths: list[Path], on_event: Callable[[Event], None]) -> IngestReport:
        report = IngestReport(files=len(paths), chunks=4, seconds=0.25)
        for event in self.events:
            if isinstance(event, Exception):
                raise event
            on_event(event)
            if event.status == "quarantined":
                report.quarantined.append(Quarantined(event.path, event.message))
        return report


@pytest.fixture
def upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], str]]:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(inbox))

    def put(name: str, text: str = "text") -> str:
        (inbox / name).write_text(text)
        return str(inbox / name)

    yield put


def test_a_hostile_file_name_is_inert(tmp_path: Path) -> None:
    name = '"><img src=x onerror=alert(1)>.md'
    page = Page(documents.listing(Stub(tmp_path, [record(f"/docs/{name}")])))
    assert page.inert
    assert name in page.text


def test_what_was_left_out_is_told(tmp_path: Path) -> None:
    html = documents.listing(Stub(tmp_path, [record(omissions=(Omission("page 2 has no text", 12),))]))
    assert "12 characters were left out: page 2 has no text" in html


def test_a_long_list_is_counted_not_cut_silently(tmp_path: Path) -> None:
    records = [record(f"/docs/{number}.md", id=number) for number in range(documents.SHOWN + 7)]
    html = documents.listing(Stub(tmp_path, records))
    assert "and 7 more" in html
    assert html.count('ob-doc"') == documents.SHOWN


def test_progress_tells_each_file_its_fate(tmp_path: Path, upload: Callable[..., str]) -> None:
    files = [upload("good.md"), upload("bad.pdf"), upload("empty.txt", "")]
    events = [
        Event("start", total=2),
        Event("file", "/x/bad.pdf", "quarantined", message="bad.pdf is <broken>."),
        Event("encode", done=2, total=4),
        Event("file", "/x/good.md", "added", done=2, total=2, chunks=4),
        Event("commit"),
    ]
    frames = list(adding.add(Stub(tmp_path, [], events), files))
    assert "Reading 2 files" in frames[0]
    last = Page(frames[-1]).text
    assert "good.mdadded" in last
    assert ": bad.pdf is <broken>." in last
    assert "The file is empty." in last
    assert "4 passages" in last
    assert "<broken>" not in frames[-1]


def test_a_run_that_fails_says_why(tmp_path: Path, upload: Callable[..., str]) -> None:
    frames = list(adding.add(Stub(tmp_path, [], [IngestError("The store is <locked>.")]), [upload("a.md")]))
    assert "The store is &lt;locked&gt;." in frames[-1]


@pytest.mark.parametrize("files", [None, [], "x", 3])
def test_no_files_no_work(tmp_path: Path, files: object) -> None:
    assert list(adding.add(Stub(tmp_path, []), files)) == []


@pytest.mark.parametrize("data", [None, {}, {"id": "one"}, {"id": True}, {"id": [1]}, "1", {"id": 99}])
def test_only_the_number_of_a_document_removes_it(tmp_path: Path, data: object) -> None:
    assert "no longer in the index" in adding.remove(Stub(tmp_path, [record()]), data)


def test_starters_prefer_the_language_of_the_page() -> None:
    headings = [
        Heading("1.2 Locks and latches", "en"), Heading("锁的顺序", "zh"), Heading("Why not Redis?", "en"),
        Heading("2024", "en"), Heading("x" * 80, "en"), Heading("Locks and latches", "en"), Heading("Tests", "en"),
    ]  # fmt: skip
    assert questions(headings, "en") == [
        ("Why not Redis?", "en"),
        ("What do the documents say about “Locks and latches”?", "en"),
        ("What do the documents say about “Tests”?", "en"),
    ]
    assert questions([Heading("怎么添加文档", "zh")], "en") == [("怎么添加文档？", "zh")]
    assert questions(headings, "zh")[0] == ("关于“锁的顺序”，文档里是怎么说的？", "zh")


def test_the_first_view_of_an_empty_index_says_how_to_add_documents(tmp_path: Path) -> None:
    html = hero(Stub(tmp_path, []))
    assert "No documents yet" in html
    assert "还没有文档" in html
    assert f"python -m ingest docs/ --store {tmp_path}" in html


def test_the_first_view_offers_questions_in_both_languages(tmp_path: Path) -> None:
    page = Page(hero(Stub(tmp_path, [record()])))
    assert page.text.count("Locks and latches") == 2  # one group of starters per language of the page
    assert page.text.count("锁的顺序") == 2


@pytest.mark.parametrize("data", [None, {}, {"id": True}, {"id": 99}])
def test_only_the_number_of_a_document_reads_it_again(tmp_path: Path, data: object) -> None:
    assert "no longer in the index" in next(adding.reread(Stub(tmp_path, [record()]), data))


def test_a_file_that_is_gone_cannot_be_read_again(tmp_path: Path) -> None:
    said = next(adding.reread(Stub(tmp_path, [record(str(tmp_path / "<gone>.md"))]), {"id": "1"}))
    assert "no longer where it was read from" in said
    assert "&lt;gone&gt;" in said


def test_files_of_one_name_are_told_apart_where_they_are_named(tmp_path: Path) -> None:
    records = [record("/docs/en/a b.md", id=1), record("/docs/zh/a b.md", id=2), record("/docs/en/c.md", id=3)]
    page = Page(documents.listing(Stub(tmp_path, records)))
    named = [attributes["data-mention"] for _, attributes in page.tags if "data-mention" in attributes]
    assert named == ['@"en/a b.md"', '@"zh/a b.md"', "@c.md", "@en/"]
