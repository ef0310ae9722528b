"""Archives and messages: each member is read as it would be alone, and every citation can name it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile

import pytest

from ingest.split import split
from tests.ingest.formats import compound, made, made_text
from tests.ingest.formats.corpus import MAKERS, omitted, read, words
from tests.ingest.formats.made import LANGUAGES


def tar(members: dict[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_archives_of_every_format(kind: str, language: str) -> None:
    facts = LANGUAGES[language]
    members = {
        f"文件/{name}": data.encode() if isinstance(data := make(facts), str) else data for name, make in MAKERS.items()
    }
    members["photo.heic"] = b"x"
    modes = {"tar": "w", "tar.gz": "w:gz", "tgz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}
    document = read(f"all.{kind}", made.package(members) if kind == "zip" else tar(members, modes[kind]))  # type: ignore[arg-type]
    alone = {name: read(name, make(facts)) for name, make in MAKERS.items()}
    assert document.characters_in == sum(one.characters_in for one in alone.values()) + 2 * (len(alone) - 1)
    chunks = split(document, words, 60)
    for name, one in alone.items():
        label = f"all.{kind}!/文件/{name}"
        inside = [chunk for chunk in chunks if chunk.headings[0] == label]
        assert facts["body"] in "\n".join(chunk.text for chunk in inside)
        assert {chunk.page for chunk in inside} == {section.page for section in one.sections}
    assert "photo.heic: files of type .heic are not read: save it as .png if it is a picture of text" in omitted(
        document
    )


def test_members_never_share_a_chunk() -> None:
    document = read(
        "a.zip", made.package({"one.md": "# Only a heading\n", "two.txt": "tiny", "three.py": "def f():\n    pass\n"})
    )
    chunks = split(document, words, 254)
    assert [chunk.headings for chunk in chunks] == [
        ("a.zip!/one.md", "Only a heading"),
        ("a.zip!/two.txt",),
        ("a.zip!/three.py", "f"),
    ]
    assert [section.kind for section in document.sections] == ["markdown", "text", "code"]


def test_archives_in_archives_and_messages_in_messages() -> None:
    facts = LANGUAGES["en"]
    letter = made_text.message(facts, {"notes.zip": made.package({"deep/b.md": "# B\n\nat the bottom"})})
    document = read("outer.zip", made.package({"mail/a.eml": letter, "c.tar": tar({"d.txt": b"in a tar"})}))
    found = {section.headings[0]: document.text[section.start : section.end] for section in document.sections}
    assert "at the bottom" in found["outer.zip!/mail/a.eml!/notes.zip!/deep/b.md"]
    assert "in a tar" in found["outer.zip!/c.tar!/d.txt"]
    assert facts["body"] in found["outer.zip!/mail/a.eml"]


def test_attachments_of_both_kinds_of_mail() -> None:
    facts = LANGUAGES["zh"]
    attached = {"报告.docx": made.word(facts), "raw.bin": b"\0\1"}
    for name, data in (
        ("a.eml", made_text.message({**facts, "body": "见附件"}, attached)),
        ("a.msg", compound.outlook(facts["title"], "见附件", attached)),
    ):
        document = read(name, data)
        [section] = [
            s for s in document.sections if s.headings[0] == f"{name}!/报告.docx" and s.headings[-1] == facts["first"]
        ]
        assert facts["body"] in document.text[section.start : section.end]
        assert any(reason.startswith("raw.bin: ") for reason in omitted(document))
        assert "见附件" in document.text


def test_a_message_in_html_alone() -> None:
    data = compound.outlook("S", "", {}, html="<p>the <b>body</b></p>")
    assert "the body" in read("a.msg", data).text


def test_one_packed_file() -> None:
    text = "一份压缩的文本。" * 3
    for name, pack in (("a.txt.gz", gzip.compress), ("a.txt.bz2", bz2.compress), ("a.txt.xz", lzma.compress)):
        document = read(name, pack(text.encode()))
        assert document.text == text
        assert document.sections[0].headings == (f"{name}!/a.txt",)


def test_a_member_that_cannot_be_read_costs_only_itself() -> None:
    members: dict[str, str | bytes] = {"bad.docx": b"PK junk", "good.txt": "fine", "empty.txt": "", ".hidden.txt": "x"}
    document = read("a.zip", made.package(members))
    assert document.text == "fine"
    told = omitted(document)
    assert {
        "bad.docx: is damaged and cannot be unpacked; save it again as a Word file (.docx)",
        ".hidden.txt: hidden",
    } <= set(told)
    assert "empty.txt: has no text; leave it out, or add some" in told


def test_names_in_archives_lead_nowhere() -> None:
    members: dict[str, str | bytes] = {
        "../../etc/passwd.txt": "one",
        "/root/x.txt": "two",
        "a\nb\u202e.txt": "three",
        "x.txt": "four",
    }
    document = read("a.zip", made.package(members))
    names = [section.headings[0] for section in document.sections]
    assert names == ["a.zip!/etc/passwd.txt", "a.zip!/root/x.txt", "a.zip!/a\ufffdb\ufffd.txt", "a.zip!/x.txt"]


def test_chinese_names_of_old_archives() -> None:
    data = made.package({"placeholder-.txt": "文本"})
    data = data.replace(b"placeholder-.txt", "说明书文件.txt".encode("gb18030").ljust(16, b" "))
    [section] = read("a.zip", data.replace(b".txt  ", b"__.txt")).sections
    assert section.headings[0].startswith("a.zip!/说明书文件")
