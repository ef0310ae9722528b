"""Searchable early: words before vectors, and a stopped run goes on with the vectors alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest import batch
from ingest.encode import Encoder
from ingest.pipeline import ingest
from ingest.report import Event
from ingest.store import Store
from tests.ingest.tiny_encoder import CountingEncoder, write_static

FILES = 40


@pytest.fixture
def encoder(tmp_path: Path) -> CountingEncoder:
    return CountingEncoder.made(tmp_path / "encoder")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for n in range(FILES):
        (folder / f"{n:02}.txt").write_text(f"The red fish number{n} swims. " * 3)
    return folder


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every encoder counts as one that does not keep up, a few chunks tell so, and commits come often."""
    monkeypatch.setattr(batch, "KEEPS_UP", float("inf"))
    monkeypatch.setattr(batch, "PROBE", 3)
    monkeypatch.setattr(batch, "FEWEST_WAITING", 10)
    monkeypatch.setattr(batch, "WAITING_SECONDS", 0)
    monkeypatch.setattr(batch, "COMMIT_SHARE", 0)
    monkeypatch.setattr(batch, "FILES_PER_COMMIT", 8)
    yield


@pytest.mark.usefixtures("slow")
def test_a_reader_finds_words_before_there_are_vectors(docs: Path, tmp_path: Path, encoder: CountingEncoder) -> None:
    home = tmp_path / "store"
    seen: list[tuple[bool, int, int]] = []

    def look(event: Event) -> None:
        if event.kind == "commit":
            with Store.open(home) as reader:
                found = reader.lexical("number0", 1)
                nearest = reader.dense(Encoder.load(str(tmp_path / "encoder")).encode(["red fish"])[0], 100)
                seen.append((bool(found), reader.waiting_count, len(nearest)))

    report = ingest([docs], home, encoder=encoder, on_event=look)
    assert seen[0][0] and seen[0][1] > 0 and all(found for found, _, _ in seen)
    assert all(waiting + nearest >= 1 for _, waiting, nearest in seen)
    assert (report.added, report.encoded, report.waiting, report.exit_code) == (FILES, FILES, 0, 0)
    assert seen[-1] == (True, 0, FILES) and len(encoder.seen) == len(set(encoder.seen)) == FILES


@pytest.mark.usefixtures("slow")
def test_a_stopped_run_goes_on_with_the_vectors_alone(docs: Path, tmp_path: Path, encoder: CountingEncoder) -> None:
    home, cancel = tmp_path / "store", threading.Event()

    def stop(event: Event) -> None:
        if event.kind == "commit":
            with Store.open(home) as reader:
                if reader.path_count == FILES and 0 < reader.waiting_count < 30:
                    cancel.set()

    report = ingest([docs], home, encoder=encoder, on_event=stop, cancel=cancel)
    assert report.cancelled and report.added == FILES and 0 < report.waiting < 30 and report.exit_code == 1
    assert "still without a vector" in report.summary()
    encoder.seen.clear()
    again = ingest([docs], home, encoder=encoder)
    assert (again.unchanged, again.encoded, again.waiting, again.exit_code) == (FILES, report.waiting, 0, 0)
    assert len(encoder.seen) == report.waiting
    encoder.seen.clear()
    assert ingest([docs], home, encoder=encoder).commits == 0 and encoder.seen == []


@pytest.mark.usefixtures("slow")
def test_rebuild_behind_a_slow_encoder_ends_with_every_vector(
    docs: Path, tmp_path: Path, encoder: CountingEncoder
) -> None:
    home = tmp_path / "store"
    ingest([docs], home, encoder=encoder)
    second = write_static(tmp_path / "second", dimension=5, seed=3)
    report = ingest([docs], home, encoder=str(second), rebuild=True)
    assert report.waiting == 0
    with Store.open(home) as store:
        assert store.waiting_count == 0 and store.vectors(store.chunk_ids()).shape == (FILES, 5)


def test_an_encoder_that_keeps_up_gives_vectors_with_the_first_commit(
    docs: Path, tmp_path: Path, encoder: CountingEncoder
) -> None:
    waiting: list[int] = []

    def look(event: Event) -> None:
        if event.kind == "commit":
            with Store.open(tmp_path / "store") as reader:
                waiting.append(reader.waiting_count)

    report = ingest([docs], tmp_path / "store", encoder=encoder, on_event=look)
    assert set(waiting) == {0} and report.encoded == FILES == len(encoder.seen)


def test_one_edited_paragraph_encodes_one_chunk_and_a_moved_file_none(
    docs: Path, tmp_path: Path, encoder: CountingEncoder
) -> None:
    paragraphs = [
        f"Paragraph {n} tells of the red fish in the blue sky. " * 2 + f"It ends with {n}." for n in range(80)
    ]
    (docs / "long.txt").write_text("\n\n".join(paragraphs))
    first = ingest([docs], tmp_path / "store", encoder=encoder)
    encoder.seen.clear()
    paragraphs[40] = paragraphs[40].replace("red fish", "green tree", 1)
    (docs / "long.txt").write_text("\n\n".join(paragraphs))
    (docs / "00.txt").rename(docs / "renamed.txt")
    report = ingest([docs], tmp_path / "store", encoder=encoder)
    assert (report.changed, report.moved, report.encoded, len(encoder.seen)) == (1, 1, 1, 1)
    assert "green tree" in encoder.seen[0] and first.encoded > FILES + 8
