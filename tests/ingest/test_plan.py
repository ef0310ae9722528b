"""The plan: what is opened, and what the store must do, for every way in which files change."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.discover import Discovery, FoundFile, discover
from ingest.plan import Plan, file_digest, in_scope, make_plan
from ingest.store.records import DocumentRecord

VERSION = "1.1"


class Reads:
    """`file_digest` that remembers what it opened."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, path: Path) -> str:
        self.names.append(path.name)
        return file_digest(path)


def record_of(number: int, found: FoundFile, **changes: object) -> DocumentRecord:
    values: dict[str, object] = {
        "id": number,
        "path": str(found.path),
        "root": str(found.root),
        "title": "t",
        "kind": "text",
        "language": "en",
        "size": found.size,
        "mtime_ns": found.mtime_ns,
        "digest": file_digest(found.path),
        "encoding": "utf-8",
        "characters_in": 1,
        "characters": 1,
        "chunk_count": 1,
        "omissions": (),
        "metadata": {},
        "parser_version": VERSION,
    }
    return DocumentRecord(**(values | changes))  # type: ignore[arg-type]


def stored(folder: Path) -> list[DocumentRecord]:
    return [record_of(number, found) for number, found in enumerate(discover([folder]).files, 1)]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "deep").mkdir(parents=True)
    for name, text in (("a.txt", "alpha"), ("b.txt", "beta!"), ("deep/c.md", "# gamma")):
        (folder / name).write_text(text)
    return folder


def plan_of(folder: Path, records: list[DocumentRecord], **options: bool) -> tuple[Plan, list[str]]:
    reads = Reads()
    return make_plan(discover([folder]), records, VERSION, digest=reads, **options), reads.names


def test_new_folder_is_all_puts_and_opens_nothing(docs: Path) -> None:
    plan, reads = plan_of(docs, [])
    assert [put.found.relpath for put in plan.puts] == ["a.txt", "b.txt", "deep/c.md"]
    assert all(put.record is None for put in plan.puts) and reads == []


def test_nothing_changed_opens_nothing(docs: Path) -> None:
    plan, reads = plan_of(docs, stored(docs))
    assert plan.empty and len(plan.unchanged) == 3 and reads == []


def test_touched_file_is_hashed_and_unchanged(docs: Path) -> None:
    records = stored(docs)
    os.utime(docs / "a.txt", ns=(1, 1))
    plan, reads = plan_of(docs, records)
    assert reads == ["a.txt"] and not plan.puts
    assert [(move.record.id, move.found.mtime_ns) for move in plan.touched] == [(1, 1)]


@pytest.mark.parametrize(("text", "opened"), [("ALPHA", ["a.txt"]), ("much longer", [])])
def test_edited_file_is_put(docs: Path, text: str, opened: list[str]) -> None:
    records = stored(docs)
    (docs / "a.txt").write_text(text)
    os.utime(docs / "a.txt", ns=(1, 1))
    plan, reads = plan_of(docs, records)
    assert [(put.found.relpath, put.record and put.record.id) for put in plan.puts] == [("a.txt", 1)]
    assert reads == opened  # another size needs no hash


def test_renamed_file_is_moved_and_only_it_is_hashed(docs: Path) -> None:
    records = stored(docs)
    (docs / "new.txt").write_text("something else entirely")
    (docs / "a.txt").rename(docs / "deep" / "z.txt")
    plan, reads = plan_of(docs, records)
    assert [(move.record.id, move.found.relpath) for move in plan.moves] == [(1, "deep/z.txt")]
    assert [put.found.relpath for put in plan.puts] == ["new.txt"] and not plan.removes
    assert reads == ["z.txt"]


def test_rename_to_another_kind_of_file_is_parsed_again(docs: Path) -> None:
    records = stored(docs)
    (docs / "a.txt").rename(docs / "a.md")
    plan, _ = plan_of(docs, records)
    assert [put.found.relpath for put in plan.puts] == ["a.md"]
    assert [record.id for record in plan.removes] == [1] and not plan.moves


def test_copy_is_added_while_the_original_stands(docs: Path) -> None:
    records = stored(docs)
    (docs / "copy.txt").write_text("alpha")
    plan, reads = plan_of(docs, records)
    assert [put.found.relpath for put in plan.puts] == ["copy.txt"] and not plan.moves and reads == []


def test_of_two_copies_one_is_the_move(docs: Path) -> None:
    records = stored(docs)
    (docs / "a.txt").unlink()
    for place in ("deep/other.txt", "deep/a.txt"):
        (docs / place).write_text("alpha")
    plan, _ = plan_of(docs, records)
    assert len(plan.moves) == 1 and len(plan.puts) == 1 and not plan.removes


def test_two_vanished_copies_prefer_the_same_name(docs: Path) -> None:
    (docs / "same.txt").write_text("alpha")
    records = stored(docs)
    (docs / "a.txt").unlink()
    (docs / "same.txt").rename(docs / "deep" / "same.txt")
    plan, _ = plan_of(docs, records)
    moved = plan.moves[0].record.path
    assert Path(moved).name == "same.txt" and [Path(record.path).name for record in plan.removes] == ["a.txt"]


def test_deleted_file_is_removed_but_other_folders_stay(docs: Path, tmp_path: Path) -> None:
    other = tmp_path / "docs2"
    other.mkdir()
    (other / "x.txt").write_text("other")
    records = [*stored(docs), record_of(9, discover([other]).files[0])]
    (docs / "b.txt").unlink()
    plan, _ = plan_of(docs, records)
    assert [Path(record.path).name for record in plan.removes] == ["b.txt"]
    single = make_plan(discover([docs / "a.txt"]), records, VERSION)
    assert not single.removes and len(single.unchanged) == 1


def test_move_between_folders_when_only_the_new_one_is_given(docs: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    records = stored(docs)
    (docs / "a.txt").rename(other / "a.txt")
    plan, _ = plan_of(other, records)
    assert [move.record.id for move in plan.moves] == [1] and not plan.puts and not plan.removes


def test_a_disk_that_is_not_mounted_is_not_a_move(docs: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    records = stored(docs)
    (other / "a.txt").write_text("alpha")
    docs.rename(tmp_path / "unplugged")
    plan, _ = plan_of(other, records)
    assert not plan.moves and len(plan.puts) == 1 and not plan.removes


def test_newer_parser_reads_everything_again(docs: Path) -> None:
    records = [record_of(n, found, parser_version="0.9") for n, found in enumerate(discover([docs]).files, 1)]
    plan, reads = plan_of(docs, records)
    assert len(plan.puts) == 3 and all(put.record for put in plan.puts) and reads == []
    forced, _ = plan_of(docs, stored(docs), force=True)
    assert len(forced.puts) == 3


@pytest.mark.parametrize(
    "change", [lambda path: path.write_text("ALPHA"), lambda path: path.rename(path.parent / "n.txt")]
)
def test_unreadable_file_is_quarantined(docs: Path, change: Callable[[Path], object]) -> None:
    records = stored(docs)
    change(docs / "a.txt")

    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    os.utime(docs / ("a.txt" if (docs / "a.txt").exists() else "n.txt"), ns=(1, 1))
    plan = make_plan(discover([docs]), records, VERSION, digest=refuse)
    assert len(plan.quarantined) == 1 and not plan.puts
    assert "cannot be read (Permission denied)" in plan.quarantined[0].reason


def test_documents_in_a_folder_that_cannot_be_opened_stay(docs: Path) -> None:
    records = stored(docs)
    seen = discover([docs])
    closed = Discovery(seen.roots, seen.files[:2], [(str(docs / "deep"), "cannot be opened (Permission denied)")])
    plan = make_plan(closed, records, VERSION)
    assert not plan.removes and "deep cannot be opened" in plan.quarantined[0].reason
    ignored = Discovery(seen.roots, seen.files[:2], [(str(docs / "deep"), "a virtual environment")])
    plan = make_plan(ignored, records, VERSION)
    assert [record.id for record in plan.removes] == [3] and not plan.quarantined and len(plan.skipped) == 1


def test_scope_is_by_folder_not_by_prefix() -> None:
    assert in_scope("/a/b/c.txt", [Path("/a/b")]) and in_scope("/a/b", [Path("/a/b")]) and in_scope("/a", [Path("/")])
    assert not in_scope("/a/bc.txt", [Path("/a/b")]) and not in_scope("/a/b", [])
