"""Finding files: order, what is passed over and why, links, and names that are not text."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.discover import discover
from ingest.types import IngestError


def write(path: Path, text: str = "text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def names(root: Path) -> list[str]:
    return [file.relpath for file in discover([root]).files]


def reasons(root: Path) -> dict[str, str]:
    return {os.path.relpath(path, root): reason for path, reason in discover([root]).skipped}


def test_files_come_in_order_with_size_and_time(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.md", "a/y.md", "c/d/e.pdf"):
        write(tmp_path / name)
    found = discover([tmp_path])
    assert [file.relpath for file in found.files] == ["b.txt", "a/y.md", "a/z.md", "c/d/e.pdf"]
    first = found.files[0]
    assert (first.path, first.root, first.size) == (tmp_path / "b.txt", tmp_path, 4)
    assert first.mtime_ns == (tmp_path / "b.txt").stat().st_mtime_ns
    assert found.roots == [tmp_path] and found.skipped == []


def test_what_is_no_document_is_skipped_with_a_reason(tmp_path: Path) -> None:
    for name in (".hidden.txt", ".git/a.txt", "node_modules/a.md", "__pycache__/a.py", "env/pyvenv.cfg", "env/a.py"):
        write(tmp_path / name)
    for name in ("store/store.sqlite3", "store/a.txt", "photo.gif", "sheet.XLS", "README", "kept.txt"):
        write(tmp_path / name)
    assert names(tmp_path) == ["README", "kept.txt"]
    found = reasons(tmp_path)
    assert set(found) == {
        ".hidden.txt", ".git", "node_modules", "__pycache__", "env", "store", "photo.gif", "sheet.XLS",
    }  # fmt: skip
    assert found["store"] == "a store of Openbook"
    assert found["sheet.XLS"] == "files of type .xls are not read: save it as .xlsx"


def test_a_hidden_folder_may_be_named(tmp_path: Path) -> None:
    write(tmp_path / ".notes/a.txt")
    assert names(tmp_path / ".notes") == ["a.txt"]


def test_a_named_file_is_its_own_root(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt")
    [file] = discover([path]).files
    assert (file.root, file.relpath) == (path, "a.txt")
    assert len(discover([path, tmp_path, path]).files) == 1


def test_bad_paths_are_named(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match=r"gone does not exist; check the spelling"):
        discover([tmp_path / "gone"])
    with pytest.raises(IngestError, match=r"a.gif is of a kind that cannot be read; files of type .gif"):
        discover([write(tmp_path / "a.gif")])
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(IngestError, match=r"pipe.txt is a named pipe"):
        discover([tmp_path / "pipe.txt"])
    with pytest.raises(IngestError, match="cannot be read"):
        discover([Path("a\0b")])


def test_pipes_and_sockets_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.txt")
        found = reasons(tmp_path)
    assert found == {"pipe.txt": "a named pipe", "socket.txt": "a socket"}


def test_links_stay_inside_and_loops_end(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside/secret.txt")
    root = tmp_path / "root"
    inside = write(root / "a.txt")
    write(root / ".annex/b.txt")
    (root / "out.txt").symlink_to(outside)
    (root / "outdir").symlink_to(outside.parent)
    (root / "again.txt").symlink_to(inside)
    (root / "annexed.txt").symlink_to(root / ".annex/b.txt")
    (root / "loop").symlink_to(root)
    (root / "self.txt").symlink_to(root / "self.txt")
    (root / "dead.txt").symlink_to(root / "nothing.txt")
    assert names(root) == ["a.txt", "annexed.txt"]
    found = reasons(root)
    assert found["out.txt"] == found["outdir"] == "a link that leads out of the folder"
    assert "under its own name" in found["again.txt"] and "under its own name" in found["loop"]
    assert found["dead.txt"] == found["self.txt"] == "a link to nothing, or to itself"


def test_a_sibling_with_the_same_beginning_is_outside(tmp_path: Path) -> None:
    other = write(tmp_path / "root-other/a.txt")
    write(tmp_path / "root/b.txt")
    (tmp_path / "root/link.txt").symlink_to(other)
    assert names(tmp_path / "root") == ["b.txt"]


def test_odd_names(tmp_path: Path) -> None:
    for name in ("new\nline.txt", "中文.md", "😀.txt"):
        write(tmp_path / name)
    with open(os.path.join(os.fsencode(tmp_path), b"bad\xff.txt"), "wb"):  # noqa: PTH118, PTH123
        pass
    found = discover([tmp_path])
    assert {file.relpath for file in found.files} == {"new\nline.txt", "中文.md", "😀.txt"}
    [(shown, reason)] = found.skipped
    assert shown.endswith(r"bad\xff.txt") and "not valid UTF-8" in reason
    shown.encode("utf-8")


@pytest.fixture
def deep_root(tmp_path: Path) -> Iterator[Path]:
    """A folder whose tree is removed afterwards by hand: shutil.rmtree, which pytest uses, recurses and fails."""
    root = tmp_path / "deep"
    root.mkdir()
    yield root
    folders = [root]  # breadth first, so that reversed every folder comes after what it holds
    for folder in folders:
        for entry in folder.iterdir():
            if entry.is_dir():
                folders.append(entry)
            else:
                entry.unlink()
    for folder in reversed(folders):
        folder.rmdir()


def test_deep_folders(deep_root: Path) -> None:
    folder = deep_root
    for _ in range(1200):
        folder = folder / "d"
        folder.mkdir()
    write(folder / "deep.txt")
    assert len(names(deep_root)) == 1
