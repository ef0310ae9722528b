"""A folder of files that attack a reader: each is contained, the others are ingested, nothing outside is read.

One run over all of them; ``OPENBOOK_HOSTILE=1`` makes the endless line 50 MB (else 1) and adds the slowest bombs.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
import sys
import zlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from ingest.pipeline import ingest
from ingest.report import IngestReport
from ingest.store import Store
from tests.faults import hostile
from tests.ingest.tiny_encoder import write_static

FULL = bool(os.environ.get("OPENBOOK_HOSTILE"))
LINE = 50_000_000 if FULL else 1_000_000
GOOD = {"good.txt": "red fish", "sub/good.md": "# Tree\n\ngreen tree\n", "zz-last.txt": "blue sky"}
ODD_NAMES = (
    "new\nline.txt",
    "\u202etxt.evil.txt",
    "😀.txt",
    "-rf.txt",
    "$(reboot).txt",
    "a" * 251 + ".txt",
    "back\\slash.txt",
    " .txt",
)


@dataclass
class Outcome:
    root: Path
    report: IngestReport
    texts: dict[str, str] = field(default_factory=dict)
    omissions: dict[str, list[str]] = field(default_factory=dict)

    def reasons(self) -> dict[str, str]:
        entries = [*self.report.quarantined, *self.report.skipped]
        return {os.path.relpath(entry.path, self.root): entry.reason for entry in entries}


@cache
def expected() -> dict[str, tuple[bytes, str | None]]:
    """The attacks with a content of their own."""
    found = {**hostile.PDFS, **hostile.PACKAGES, **hostile.TEXTS}
    if FULL:
        bomb = hostile.stream(zlib.compress(b" " * (1 << 30), 1), b"/Filter /FlateDecode")
        found["gigabyte.pdf"] = (
            hostile.pdf([hostile.CATALOG, hostile.PAGES, hostile.PAGE, bomb]),
            "no text|memory|crashed|longer",
        )
        doubling = hostile.drawing(b"/F Do /F Do")
        found["doubling.pdf"] = (
            hostile.pdf([hostile.CATALOG, hostile.PAGES, hostile.PAGE, doubling]),
            "no text|memory|crashed|longer",
        )
    return found


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    home = tmp_path_factory.mktemp("hostile")
    root, outside = home / "docs", home / "outside"
    for folder in (root / "sub", outside / "folder"):
        folder.mkdir(parents=True)
    (outside / "secret.txt").write_text(hostile.SECRET)
    (outside / "folder/secret.txt").write_text(hostile.SECRET)
    for name, text in GOOD.items():
        (root / name).write_text(text)
    for name, (data, _) in expected().items():
        (root / name).write_bytes(data)
    for name, (data, _) in hostile.ENCODED.items():
        (root / name).write_bytes(data)
    for name, part, shape in (
        ("outside.docx", hostile.WORD, hostile.DOCUMENT),
        ("outside.odt", "content.xml", b"<o:d xmlns:o='o'><o:body><o:text><o:p>%s</o:p></o:text></o:body></o:d>"),
        ("outside.xlsx", "xl/workbook.xml", b"<w>%s</w>"),
        ("outside.epub", "META-INF/container.xml", b"<c>%s</c>"),
    ):
        (root / name).write_bytes(hostile.external(part, shape, str(outside / "secret.txt")))
    (root / "links.tar").write_bytes(
        hostile.tar_of(
            (hostile.member("a.txt", b"2", str(outside / "secret.txt")), b""),
            (hostile.member("b.txt", b"1", str(outside / "secret.txt")), b""),
            (hostile.member("pipe.txt", b"6"), b""),
            (hostile.member("device.txt", b"3"), b""),
            (hostile.member("fine.txt", size=8), b"in a tar"),
        )
    )
    (root / "line.txt").write_bytes(b"word " * (LINE // 5))
    with (root / "sparse.txt").open("wb") as stream:
        stream.truncate(10 << 30)
    special(root)
    links(root, outside)
    for name in ODD_NAMES:
        (root / name).write_text("odd name")
    with open(os.path.join(os.fsencode(root), b"bad\xff\xfe.txt"), "wb") as raw:  # noqa: PTH118, PTH123
        raw.write(b"odd name")
    (root / "unreadable.txt").write_text("nobody may read this")
    encoder = write_static(home / "encoder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", denying(root / "unreadable.txt"))  # chmod would not stop tests that run as root
        report = ingest([root], home / "store", encoder=str(encoder))
    result = Outcome(root, report)
    with Store.open(home / "store") as store:
        for document in store.documents():
            name = os.path.relpath(document.path, root)
            result.texts[name] = store.text(document.id)
            result.omissions[name] = [omission.reason for omission in document.omissions]
    return result


def special(root: Path) -> None:
    """A pipe, a socket and a device, with names of documents."""
    os.mkfifo(root / "pipe.txt")
    here = Path.cwd()
    os.chdir(root)  # the path of a socket may have 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket.txt")
    finally:
        os.chdir(here)
    try:
        os.mknod(root / "device.txt", 0o666 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        (root / "device.txt").symlink_to("/dev/zero")


def links(root: Path, outside: Path) -> None:
    (root / "out.txt").symlink_to(outside / "secret.txt")
    (root / "out").symlink_to(outside / "folder")
    (root / "host.txt").symlink_to("/etc/passwd")
    (root / "up").symlink_to(root.parent)
    (root / "sub/round").symlink_to(root)
    (root / "one.txt").symlink_to(root / "two.txt")
    (root / "two.txt").symlink_to(root / "one.txt")
    (root / "chain.txt").symlink_to(root / "out.txt")


def denying(path: Path):  # type: ignore[no-untyped-def]
    real = os.open

    def opened(given, *rest, **named):  # type: ignore[no-untyped-def]
        if os.fspath(given) == str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real(given, *rest, **named)

    return opened


def test_the_other_files_are_ingested(outcome: Outcome) -> None:
    assert {name: outcome.texts[name] for name in GOOD} == GOOD
    assert outcome.report.exit_code == 1


@pytest.mark.parametrize("name", expected())
def test_each_attack_is_contained(outcome: Outcome, name: str) -> None:
    reason = expected()[name][1]
    if reason is None:
        assert name in outcome.texts, outcome.reasons().get(name)
    else:
        assert name not in outcome.texts
        told = outcome.reasons()[name]
        assert re.search(reason, told) and told.startswith(name), told
        assert len(told) < 400 and "\n" not in told and "Traceback" not in told


def test_nothing_outside_the_folder_is_read(outcome: Outcome) -> None:
    everything = "\n".join(outcome.texts.values())
    assert hostile.SECRET not in everything
    assert "root:" not in everything
    reasons = outcome.reasons()
    for name in ("out.txt", "out", "host.txt", "up", "chain.txt"):
        assert reasons[name] == "a link that leads out of the folder"
    for name in ("outside.docx", "outside.odt", "outside.xlsx", "outside.epub"):
        assert "declares XML entities" in reasons[name]
    assert outcome.texts["links.tar"] == "in a tar"
    assert outcome.omissions["links.tar"] == [
        "a.txt, b.txt, pipe.txt, device.txt: a link, a device or a pipe, which is not followed"
    ]
    assert not Path("/tmp/escaped.txt").exists()


def test_loops_and_special_files_are_passed_over(outcome: Outcome) -> None:
    reasons = outcome.reasons()
    assert reasons["one.txt"] == reasons["two.txt"] == "a link to nothing, or to itself"
    assert "under its own name" in reasons["sub/round"]
    assert reasons["pipe.txt"] == "a named pipe" and reasons["socket.txt"] == "a socket"
    assert reasons["device.txt"] in ("a device", "a link that leads out of the folder")


def test_long_sparse_and_unreadable_files(outcome: Outcome) -> None:
    reasons = outcome.reasons()
    if not FULL or "line.txt" in outcome.texts:
        assert len(outcome.texts["line.txt"]) == LINE // 5 * 5
    else:  # 50 MB take longer than a minute on a busy machine
        assert "took longer than 60 seconds" in reasons["line.txt"]
    assert "10240 MiB, over the limit" in reasons["sparse.txt"]
    assert "Permission denied" in reasons["unreadable.txt"]


def test_odd_names(outcome: Outcome) -> None:
    assert all(outcome.texts[name] == "odd name" for name in ODD_NAMES)
    [(shown, reason)] = [(path, reason) for path, reason in outcome.reasons().items() if "\\xff" in path]
    assert shown == "bad\\xff\\xfe.txt" and "not valid UTF-8" in reason


def test_encodings(outcome: Outcome) -> None:
    for name, (_, text) in hostile.ENCODED.items():
        assert outcome.texts[name] == text, name


def test_orders_are_text(outcome: Outcome) -> None:
    assert outcome.texts["orders.md"] == f"# Note\n\n{hostile.ORDERS}\n"
    assert outcome.texts["orders.html"] == hostile.ORDERS


def test_what_is_stored_of_attacks_adds_up(outcome: Outcome) -> None:
    assert outcome.texts["deep.html"].count("x") == 10_000 and "bottom" in outcome.texts["deep.html"]
    assert outcome.texts["names.zip"] == "inside\n\ninside too"
    assert outcome.texts["endless-row.ods"] == "once"
    assert outcome.omissions["locked.zip"] == ["a.txt: is protected by a password; save an unprotected copy"]
    assert outcome.omissions["lying.zip"] == ["a.txt: is damaged and cannot be unpacked; save it again"]


def test_no_process_takes_more_memory_than_it_may(outcome: Outcome) -> None:
    """In a process of its own, whose children are those that parse."""
    code = (
        "import resource, sys; from pathlib import Path; from ingest.pipeline import ingest\n"
        "report = ingest([Path(sys.argv[1])], Path(sys.argv[2]))\n"
        "print(report.files, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    line = [sys.executable, "-c", code, str(outcome.root), str(outcome.root.parent / "measured")]
    done = subprocess.run(line, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    files, peak = done.stdout.split()[-2:]
    assert int(files) == outcome.report.files
    assert 10_000 < int(peak) < 2.1 * 2**20  # KiB


def test_the_store_serves_and_the_next_run_reads_only_what_was_refused(outcome: Outcome) -> None:
    again = ingest([outcome.root / "sub", outcome.root / "bomb.zip"], outcome.root.parent / "store")
    assert (again.added, again.changed, again.unchanged, len(again.quarantined)) == (0, 0, 1, 1)
