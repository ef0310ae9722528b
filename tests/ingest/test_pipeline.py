"""The pipeline: the store matches the files, nothing is encoded twice, nothing stored is lost."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ingest import pipeline
from ingest.batch import audit
from ingest.pipeline import ingest, remove
from ingest.report import Event, IngestReport
from ingest.sandbox import ParserPool
from ingest.split import split
from ingest.store import Store, StoreBusy, StoreError
from ingest.types import Chunk, IngestError, Omission, ParsedDocument, Section
from tests.ingest.tiny_encoder import CountingEncoder, write_static

LONG = "\n\n".join(f"Paragraph {n} tells of the red fish number {n} in the blue sky. " * 8 for n in range(12))


@pytest.fixture
def encoder(tmp_path: Path) -> CountingEncoder:
    return CountingEncoder.made(tmp_path / "encoder")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.md").write_text("# Fish\n\nThe red fish swims.\n\n# Trees\n\nGreen trees stand.\n")
    (folder / "b.txt").write_text(LONG)
    (folder / "sub" / "c.txt").write_text("天空是蓝色的。鱼在水里游。")
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def no_parser(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(self: ParserPool, path: Path) -> object:
        raise AssertionError(f"{path} was parsed")

    monkeypatch.setattr(ParserPool, "parse", refuse)
    yield


def counts(report: IngestReport) -> tuple[int, int, int, int, int]:
    return report.added, report.changed, report.moved, report.removed, report.unchanged


def paths_in(home: Path) -> dict[str, str]:
    """File name -> stored text."""
    with Store.open(home) as store:
        return {Path(record.path).name: store.text(record.id) for record in store.documents()}


def test_first_run_stores_everything(docs: Path, home: Path, encoder: CountingEncoder) -> None:
    events: list[Event] = []
    report = ingest([docs], home, encoder=encoder, on_event=events.append)
    assert counts(report) == (3, 0, 0, 0, 0) and report.files == 3 and report.exit_code == 0
    assert report.encoded == len(encoder.seen) == len(set(encoder.seen))
    assert events[0].kind == "start" and events[-1].kind == "done"
    assert [event.status for event in events if event.kind == "file"] == ["added"] * 3
    with Store.open(home, encoder=encoder.stamp) as store:
        records = store.documents()
        assert report.chunks == len(store.chunk_ids()) == sum(record.chunk_count for record in records)
        assert report.characters_indexed == sum(len(store.text(record.id)) for record in records)
        omitted = sum(omission.characters for record in records for omission in record.omissions)
        assert report.characters_in == report.characters_indexed + omitted
        for record in records:
            text = store.text(record.id)
            chunks = store.chunks_of(record.id)
            assert all(text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
        vectors = encoder.encode([f"{chunk.header}\n{chunk.text}".strip() for chunk in chunks])
        assert np.allclose(store.vectors([chunk.id for chunk in chunks]), vectors, atol=1e-5)
        assert store.lexical("swims", 5) and store.lexical("蓝色", 5)


def test_second_run_reads_and_encodes_nothing(
    docs: Path, home: Path, encoder: CountingEncoder, no_parser: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    first = ingest([docs], home, encoder=encoder)
    monkeypatch.setattr(pipeline, "ReadAhead", None)
    monkeypatch.setattr("ingest.plan.file_digest", None)
    with Store.open(home) as store:
        before = store.generation
    report = ingest([docs], home, encoder=encoder)
    assert counts(report) == (0, 0, 0, 0, 3) and report.encoded == 0 and report.commits == 0
    assert (report.chunks, report.characters_in) == (first.chunks, first.characters_in)
    with Store.open(home) as store:
        assert store.generation == before


def test_move_touch_and_copy_encode_nothing(docs: Path, home: Path, encoder: CountingEncoder) -> None:
    ingest([docs], home, encoder=encoder)
    encoder.seen.clear()
    with Store.open(home) as store:
        old = store.find(str(docs / "b.txt"))
    (docs / "b.txt").rename(docs / "sub" / "b.txt")
    os.utime(docs / "a.md", ns=(1, 1))
    report = ingest([docs], home, encoder=encoder)
    assert counts(report) == (0, 0, 1, 0, 2) and report.encoded == 0 and encoder.seen == []
    with Store.open(home) as store:
        new = store.find(str(docs / "sub" / "b.txt"))
        touched = store.find(str(docs / "a.md"))
        assert old and new and new.id == old.id and touched and touched.mtime_ns == 1
    shutil.copy(docs / "sub" / "b.txt", docs / "b.txt")
    report = ingest([docs], home, encoder=encoder)
    assert counts(report) == (1, 0, 0, 0, 3) and report.encoded == 0 and encoder.seen == []


def test_edit_encodes_only_what_is_new(docs: Path, home: Path, encoder: CountingEncoder) -> None:
    first = ingest([docs], home, encoder=encoder)
    encoder.seen.clear()
    (docs / "b.txt").write_text(LONG + "\n\nA wholly new paragraph about a tree.")
    report = ingest([docs], home, encoder=encoder)
    assert counts(report) == (0, 1, 0, 0, 2)
    assert 0 < report.encoded == len(encoder.seen) <= 2 < first.encoded
    assert paths_in(home)["b.txt"].endswith("a tree.")


def test_renamed_and_edited_in_one_go_keeps_its_vectors(docs: Path, home: Path, encoder: CountingEncoder) -> None:
    # the title stays (it comes from a heading), so the chunks of the untouched section stay the same
    text = "# Title\n\n## One\n\n" + LONG + "\n\n## Two\n\nShort."
    (docs / "d.md").write_text(text)
    ingest([docs], home, encoder=encoder)
    encoder.seen.clear()
    (docs / "d.md").unlink()
    (docs / "e.md").write_text(text.replace("Short.", "Changed."))
    report = ingest([docs], home, encoder=encoder)
    assert counts(report) == (1, 0, 0, 1, 3) and 0 < report.encoded <= 2


def test_vanished_files_go_and_other_folders_stay(
    docs: Path, home: Path, encoder: CountingEncoder, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "o.txt").write_text("Other red fish.")
    ingest([docs, other], home, encoder=encoder)
    (docs / "a.md").unlink()
    report = ingest([docs], home, encoder=encoder)
    assert counts(report) == (0, 0, 0, 1, 2) and set(paths_in(home)) == {"b.txt", "c.txt", "o.txt"}
    for path in (docs / "b.txt", docs / "sub" / "c.txt"):
        path.unlink()
    report = ingest([docs], home, encoder=encoder)  # emptied: its documents go, with exit code 0
    assert counts(report) == (0, 0, 0, 2, 0) and report.exit_code == 0 and set(paths_in(home)) == {"o.txt"}
    with pytest.raises(IngestError, match="no files that can be ingested"):
        ingest([docs], home, encoder=encoder)


def test_a_single_file_adds_just_that_file(docs: Path, home: Path, encoder: CountingEncoder) -> None:
    report = ingest([docs / "a.md"], home, encoder=encoder)
    assert counts(report) == (1, 0, 0, 0, 0) and set(paths_in(home)) == {"a.md"}
    report = ingest([docs / "b.txt"], home, encoder=encoder)
    assert counts(report) == (1, 0, 0, 0, 0) and set(paths_in(home)) == {"a.md", "b.txt"}
    assert counts(ingest([docs], home, encoder=encoder)) == (1, 0, 0, 0, 2)


def test_bad_file_is_quarantined_and_its_stored_version_stays(docs: Path, home: Path, encoder: CountingEncoder) -> None:
    (docs / "bad.pdf").write_bytes(b"%PDF-1.7 not really")
    report = ingest([docs], home, encoder=encoder)
    assert counts(report) == (3, 0, 0, 0, 0) and report.exit_code == 1
    assert [Path(entry.path).name for entry in report.quarantined] == ["bad.pdf"]
    assert report.quarantined[0].reason.startswith("bad.pdf")
    (docs / "b.txt").write_text("")
    report = ingest([docs], home, encoder=encoder)
    reasons = {Path(entry.path).name: entry.reason for entry in report.quarantined}
    assert "earlier stays" in reasons["b.txt"] and "earlier" not in reasons["bad.pdf"]
    assert paths_in(home)["b.txt"] == LONG.strip() or paths_in(home)["b.txt"].startswith("Paragraph 0")


def test_only_bad_files_is_exit_2(tmp_path: Path, home: Path, encoder: CountingEncoder) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "empty.txt").write_text("")
    assert ingest([tmp_path / "docs"], home, encoder=encoder).exit_code == 2


@pytest.mark.parametrize("fault", ["vanishes", "unreadable"])
def test_file_that_cannot_be_read_is_quarantined(
    docs: Path, home: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    whole = ParserPool.parse
    real_open = os.open

    def denied(path, *rest, **named):  # type: ignore[no-untyped-def]
        if Path(os.fsdecode(path)).name == "b.txt":
            raise PermissionError(13, "Permission denied", str(path))
        return real_open(path, *rest, **named)

    def parse(self: ParserPool, path: Path, root: Path | None = None) -> object:
        if path.name == "b.txt" and fault == "vanishes":
            path.unlink()
        return whole(self, path, root)

    monkeypatch.setattr(ParserPool, "parse", parse)
    if fault == "unreadable":  # chmod would not stop tests that run as root
        monkeypatch.setattr(os, "open", denied)
    report = ingest([docs], home, encoder=encoder)
    monkeypatch.undo()
    assert counts(report) == (2, 0, 0, 0, 0) and report.exit_code == 1
    expected = "No such file" if fault == "vanishes" else "Permission denied"
    assert expected in report.quarantined[0].reason
    assert set(paths_in(home)) == {"a.md", "c.txt"}


def test_plan_changes_nothing_and_tells_the_truth(docs: Path, home: Path, encoder: CountingEncoder) -> None:
    planned = ingest([docs], home, encoder=encoder, plan=True)
    assert not home.exists() and counts(planned) == (3, 0, 0, 0, 0) and planned.plan
    ingest([docs], home, encoder=encoder)
    (docs / "a.md").write_text("# Changed")
    (docs / "b.txt").rename(docs / "z.txt")
    (docs / "sub" / "c.txt").unlink()
    (docs / "new.txt").write_text("New.")
    before = paths_in(home)
    planned = ingest([docs], home, plan=True)
    assert paths_in(home) == before
    assert counts(planned) == counts(ingest([docs], home, encoder=encoder)) == (1, 1, 1, 1, 0)


def test_newer_parser_reads_again_without_encoding(
    docs: Path, home: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest([docs], home, encoder=encoder)
    monkeypatch.setattr(pipeline, "VERSION", "9.9")
    report = ingest([docs], home, encoder=encoder)
    assert counts(report) == (0, 3, 0, 0, 0) and report.encoded == 0
    assert counts(ingest([docs], home, encoder=encoder)) == (0, 0, 0, 0, 3)


def test_cancel_keeps_what_was_committed(
    docs: Path, home: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.batch.FILES_PER_COMMIT", 1)
    monkeypatch.setattr("ingest.batch.COMMIT_SHARE", 0)
    cancel = threading.Event()

    def stop_after_first(event: Event) -> None:
        if event.kind == "commit":
            cancel.set()

    report = ingest([docs], home, encoder=encoder, cancel=cancel, on_event=stop_after_first)
    assert report.cancelled and report.commits == 1 and report.exit_code == 1 and report.added == 1
    assert len(paths_in(home)) == 1
    cancel.set()
    again = ingest([docs], home, encoder=encoder, cancel=cancel)
    assert again.cancelled and again.exit_code == 2 and len(paths_in(home)) == 1
    assert counts(ingest([docs], home, encoder=encoder)) == (2, 0, 0, 0, 1)


def test_failure_of_the_store_ends_the_run_and_is_no_quarantine(
    docs: Path, home: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Store, *arguments: object) -> int:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(Store, "put", full)
    monkeypatch.setattr("ingest.batch.FILES_PER_COMMIT", 1)
    monkeypatch.setattr("ingest.batch.COMMIT_SHARE", 0)
    with pytest.raises(StoreError, match="disk is full"):
        ingest([docs], home, encoder=encoder)
    monkeypatch.undo()
    assert counts(ingest([docs], home, encoder=encoder)) == (3, 0, 0, 0, 0)


def test_busy_store_is_told_at_once(docs: Path, home: Path, encoder: CountingEncoder) -> None:
    ingest([docs], home, encoder=encoder)
    with Store.open(home, write=True), pytest.raises(StoreBusy):
        ingest([docs], home, encoder=encoder)


def test_rebuild_with_another_encoder(docs: Path, home: Path, encoder: CountingEncoder, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "o.md").write_text("# One\n\nOther red fish.\n\n# Two\n\n" + LONG)
    ingest([docs, other], home, encoder=encoder)
    texts = paths_in(home)
    (docs / "b.txt").write_text("")  # unreadable now: its stored text must survive
    shutil.rmtree(other)  # so must documents whose files are gone, outside the folder given
    second = write_static(tmp_path / "second", dimension=5, seed=3)
    with pytest.raises(StoreError, match=f"--encoder {second} --rebuild"):
        ingest([docs], home, encoder=str(second))
    report = ingest([docs], home, encoder=str(second), rebuild=True)
    assert report.exit_code == 1 and [Path(e.path).name for e in report.quarantined] == ["b.txt"]
    assert paths_in(home) == texts and not (home / "rebuild").exists()
    with Store.open(home) as store:
        assert store.encoder.dimension == 5 and store.vectors(store.chunk_ids()).shape[1] == 5
        assert {chunk.headings for chunk in store.chunks(store.chunk_ids())} >= {("One",), ("Two",)}
    (docs / "b.txt").unlink()
    assert counts(ingest([docs], home)) == (0, 0, 0, 1, 2)  # without a name, the store's own encoder


def test_failed_rebuild_leaves_the_old_store_and_goes_on_later(
    docs: Path, home: Path, encoder: CountingEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest([docs], home, encoder=encoder)
    texts = paths_in(home)
    second = CountingEncoder.load(str(write_static(tmp_path / "second", dimension=5)))
    assert isinstance(second, CountingEncoder)
    second.seen = []

    def fail(*arguments: object) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(pipeline, "transfer", fail)
    with pytest.raises(StoreError, match="full"):
        ingest([docs], home, encoder=second, rebuild=True)
    monkeypatch.undo()
    with Store.open(home, encoder=encoder.stamp) as store:
        assert len(store.lexical("fish", 5)) and store.dense(encoder.encode(["red fish"])[0], 3)
    assert paths_in(home) == texts
    second.seen.clear()
    report = ingest([docs], home, encoder=second, rebuild=True)
    assert second.seen == [] and report.exit_code == 0 and paths_in(home) == texts


def test_remove_forgets_documents(docs: Path, home: Path, encoder: CountingEncoder) -> None:
    ingest([docs], home, encoder=encoder)
    assert remove([docs / "sub", docs / "a.md"], home).removed == 2
    assert set(paths_in(home)) == {"b.txt"} and (docs / "a.md").exists()
    with pytest.raises(IngestError, match="holds no document"):
        remove([docs / "sub"], home)


def document(text: str, characters_in: int, omissions: tuple[Omission, ...] = ()) -> ParsedDocument:
    return ParsedDocument(text, "t", "text", "en", (Section(0, len(text)),), characters_in, omissions)


def test_audit_is_loud_about_lost_characters(
    docs: Path, home: Path, encoder: CountingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = document("red fish", 9, (Omission("a mark", 1),))
    chunks = split(good, encoder.count_tokens)
    audit(good, chunks)
    with pytest.raises(IngestError, match="AUDIT FAILED: 9 characters were read but 8 are stored and 0"):
        audit(document("red fish", 9), chunks)
    with pytest.raises(IngestError, match="from character 3 on is in no chunk"):
        audit(good, [Chunk(0, 0, 3, "red", "")])
    with pytest.raises(IngestError, match="from character 0 on"):
        audit(good, [Chunk(0, 4, 8, "fish", "")])
    with pytest.raises(IngestError, match="in no chunk"):
        audit(good, [Chunk(0, 0, 8, "red fisH", "")])
    audit(document("  \n", 3), [])
    whole = ParserPool.parse
    monkeypatch.setattr(ParserPool, "parse", lambda self, *given: replace(whole(self, *given), chunks=[]))
    report = ingest([docs], home, encoder=encoder)
    assert len(report.quarantined) == 3 and "AUDIT FAILED" in report.quarantined[0].reason and report.exit_code == 2
