"""Uploads: nothing leaves its folder, nothing half-copied is ingested, every refusal has its reason."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import uploads
from app.uploads import MAX_FILES, accept, safe_name


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def put(folder: Path, name: str, text: str = "text") -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


@given(st.text(max_size=300))
def test_any_name_becomes_a_plain_visible_one(name: str) -> None:
    safe = safe_name(name)
    assert PurePosixPath(safe).name == safe == PureWindowsPath(safe).name
    assert safe not in ("", ".", "..")
    assert not safe.startswith(".")
    assert len(safe.encode()) <= 200
    assert safe_name(safe) == safe


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        (".bashrc", "bashrc"),
        ("报告 2024（终稿）.pdf", "报告 2024_终稿_.pdf"),
        ("a\x00b\n<c>.md", "a_b_c_.md"),
        ("nul.txt", "_nul.txt"),
        ("x" * 400 + ".md", "x" * 147 + ".md"),
        ("...", "document"),
    ],
)
def test_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_files_are_copied_below_the_store(tmp_path: Path, inbox: Path) -> None:
    result = accept([put(inbox, "a/one.md"), put(inbox, "b/二.txt")], tmp_path / "store", inbox)
    assert [path.relative_to(tmp_path).as_posix() for path in result.paths] == [
        "store/uploads/one.md",
        "store/uploads/二.txt",
    ]
    assert not result.refused
    assert [path.read_text() for path in result.paths] == ["text", "text"]


def test_the_same_name_replaces_an_earlier_upload(tmp_path: Path, inbox: Path) -> None:
    for text in ("old", "new"):
        result = accept([put(inbox, "a.md", text)], tmp_path, inbox)
    assert [path.name for path in (tmp_path / "uploads").iterdir()] == ["a.md"]
    assert result.paths[0].read_text() == "new"


def test_the_same_name_twice_in_one_upload_keeps_both(tmp_path: Path, inbox: Path) -> None:
    result = accept([put(inbox, "1/a.md", "one"), put(inbox, "2/A.md", "two")], tmp_path, inbox)
    assert [path.name for path in result.paths] == ["a.md", "A (2).md"]


def test_paths_from_elsewhere_are_refused(tmp_path: Path, inbox: Path) -> None:
    secret = put(tmp_path, "secret.txt")
    link = inbox / "link.txt"
    link.symlink_to(secret)
    result = accept([secret, str(link), str(inbox / ".." / "secret.txt")], tmp_path / "store", inbox)
    assert not result.paths
    assert all("did not come through the upload button" in reason for _, reason in result.refused)


def test_empty_missing_and_large_files_are_refused(
    tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_MEGABYTES", 1)
    large = put(inbox, "large.txt", "x" * (2**20 + 1))
    result = accept([put(inbox, "empty.txt", ""), str(inbox / "gone.txt"), large], tmp_path / "store", inbox)
    assert not result.paths
    assert ["empty" in r or "whole" in r or "at most 1 MB" in r for _, r in result.refused] == [True] * 3


def test_types_that_no_parser_reads_are_refused_before_they_are_copied(tmp_path: Path, inbox: Path) -> None:
    result = accept([put(inbox, "film.mp4"), put(inbox, "a.md")], tmp_path, inbox)
    assert [path.name for path in result.paths] == ["a.md"]
    assert [(name, "“.mp4”" in reason) for name, reason in result.refused] == [("film.mp4", True)]


def test_too_many_files_are_counted_not_dropped_silently(tmp_path: Path, inbox: Path) -> None:
    names = [put(inbox, f"{number}.txt") for number in range(MAX_FILES + 3)]
    result = accept(names, tmp_path / "store", inbox)
    assert len(result.paths) == MAX_FILES
    assert [name for name, _ in result.refused] == ["+3"]


def test_a_failed_copy_leaves_nothing(tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: object, target: str) -> None:
        Path(target).write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.uploads.shutil.copyfile", full)
    with pytest.raises(OSError, match="No space"):
        accept([put(inbox, "a.md")], tmp_path / "store", inbox)
    assert not list((tmp_path / "store" / "uploads").iterdir())
