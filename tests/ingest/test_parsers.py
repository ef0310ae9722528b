"""Parsers: what text, title, headings and pages come out of each format, and that every character is accounted for."""

from __future__ import annotations

import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import docx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.parsers import parse_file
from ingest.split import split
from ingest.types import IngestError, ParsedDocument


def parse(name: str, data: bytes | str) -> ParsedDocument:
    document = parse_file(Path("/folder") / name, data.encode() if isinstance(data, str) else data)
    check(document)
    return document


def check(document: ParsedDocument) -> None:
    """The promises of ParsedDocument, which hold for every format."""
    assert document.characters_in == len(document.text) + sum(o.characters for o in document.omissions)
    assert all(omission.characters >= 0 for omission in document.omissions)
    position = 0
    for section in document.sections:
        assert document.text[position : section.start].strip() == ""
        assert position <= section.start <= section.end
        position = section.end
    assert document.text[position:].strip() == ""
    document.text.encode("utf-8")
    assert document.title


def parts(document: ParsedDocument) -> list[tuple[tuple[str, ...], str]]:
    return [(s.headings, document.text[s.start : s.end].strip()) for s in document.sections]


# ---------------------------------------------------------------- text-like formats


def test_text_is_kept_to_the_letter() -> None:
    document = parse("my_notes.txt", " a\r\n\tb \n")
    assert (document.text, document.title, document.kind, document.encoding) == (
        " a\n\tb \n",
        "my notes",
        "text",
        "utf-8",
    )
    assert parse("a.txt", "中文文本".encode("gb18030")).language == "zh"
    assert parse("run.log", "2024-01-01 started\n").kind == "log"
    assert parse("README", "hello").kind == "text"


def test_markdown_headings() -> None:
    source = (
        "---\ntitle: 'The guide'\n---\nintro\n\n# One #\n\nalpha\n\nSub [link](x)\n---\n\nbeta\n\n"
        "```sh\n# not a heading\n```\n~~~\n```\n## nor this\n~~~\n## Three `code`\n- item\n---\n#tag\n"
    )
    document = parse("guide.md", source)
    assert (document.text, document.title) == (source, "The guide")
    assert [headings for headings, _ in parts(document)] == [(), ("One",), ("One", "Sub link"), ("One", "Three code")]
    assert parts(document)[2][1].startswith("Sub [link](x)\n---")
    assert parse("a.md", "# 标题\n\n正文").title == "标题"
    assert parse("file_name.md", "no heading").title == "file name"


def test_html_text_headings_and_omissions() -> None:
    source = (
        "<html><head><title> The   page </title><style>p{}</style></head><body><nav>Menu</nav>"
        "<h1>Big</h1><p>Hello <b>bold</b>\nworld.</p><script>var x</script><ul><li>one<li>two</ul>"
        "<table><tr><th>A<th>B</tr><tr><td>1<td><p>2</p></tr></table><pre>a\n  b</pre>"
        '<div style="display: none">secret</div><h2>Sub</h2>text &amp; more<br>line<!-- note --></body></html>'
    )
    document = parse("a.html", source)
    assert document.title == "The page" and document.characters_in == len(source)
    assert parts(document) == [
        (("Big",), "Big\n\nHello bold world.\n\n- one\n- two\n\nA | B\n1 | 2\n\na\n  b"),
        (("Big", "Sub"), "Sub\n\ntext & more\nline"),
    ]
    left_out = {omission.reason: omission.characters for omission in document.omissions}
    assert left_out["navigation and hidden parts"] == len("Menu") + len("secret")
    assert left_out["scripts, styles and embedded objects"] == len("p{}" + "var x")


def test_html_in_a_declared_or_undeclared_encoding() -> None:
    body = "<p>" + "这是一个中文的网页，它有很多内容。" + "</p>"
    assert "中文的网页" in parse("a.html", ('<meta charset="gb2312">' + body).encode("gb18030")).text
    assert "中文的网页" in parse("a.html", ('<meta charset="utf-8">' + body).encode("gb18030")).text
    assert "中文的网页" in parse("a.html", body.encode("utf-16")).text


def test_deep_html_neither_crashes_nor_hangs() -> None:
    document = parse("deep.html", "<div>" * 10_000 + "bottom" + "</div>" * 10_000)
    assert document.text.strip() in ("bottom", "") or "bottom" in document.text


def test_csv_rows_name_their_columns() -> None:
    document = parse("people.csv", 'name,age,city\nAnn,3,"New\nYork"\n李,4,\n')
    assert document.text == "name: Ann; age: 3; city: New York\nname: 李; age: 4"
    assert parse("a.csv", "x;y\n1;2,5\n").text == "x: 1; y: 2,5"
    assert parse("a.tsv", "1\t2\n3\t4\n").text == "column 1: 1; column 2: 2\ncolumn 1: 3; column 2: 4"
    assert parse("a.csv", "only,header\n").text == "only: only; header: header"


def test_json_leaves_carry_their_path() -> None:
    document = parse("a.json", '{"name": "x", "deps": {"a": [1, 2], "b": [{"c": null}]}}')
    assert parts(document) == [((), "name: x"), (("deps",), "deps.a: 1, 2\ndeps.b[1].c: null")]
    assert parse("a.jsonl", '{"q": "一"}\n\n{"q": "two"}\n').text == "q: 一\n\nq: two"
    assert parse("a.json", "// comment\n{}").text == "// comment\n{}"
    assert parse("a.json", '"lone \\ud800 surrogate"').text == "lone \ufffd surrogate"


def test_json_too_deep_is_refused() -> None:
    for depth in (300, 100_000):
        with pytest.raises(IngestError, match=r"a.json is nested too deeply"):
            parse("a.json", "[[1]," * depth + "1" + "]" * depth)


def test_notebooks_keep_cells_and_drop_outputs() -> None:
    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "source": ["# Title\n", "words"]},
        {"cell_type": "code", "source": "# comment\nx = 1", "outputs": [{"text": ["out", "put"]}]},
        {"cell_type": "markdown", "source": "## Next\n\nmore"},
    ]
    document = parse("a.ipynb", json.dumps({"cells": cells, "metadata": {}}))
    assert parts(document) == [
        (("Title",), "# Title\nwords\n\n```python\n# comment\nx = 1\n```"),
        (("Title", "Next"), "## Next\n\nmore"),
    ]
    assert [(o.reason, o.characters) for o in document.omissions] == [("outputs of code cells", 6)]
    with pytest.raises(IngestError, match="is not a notebook"):
        parse("a.ipynb", '{"cells": 3}')


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("a.py", "import os\n\n# on f\n@dec\ndef f():\n    def inner(): ...\n\nclass A:\n    x = 1\n", ["f", "A"]),
        ("a.ts", "import x\nexport async function go() {}\nexport const f = (a) => a\nclass B {}\n", ["go", "f", "B"]),
        ("a.c", "#include <x.h>\nstatic int add(int a, int b)\n{\n  call(a);\n}\nstruct s {\n int x;\n};\n", ["add", "s"]),
        ("a.java", "package x;\npublic final class Foo {\n  void bar() {}\n}\n", ["Foo"]),
        ("a.go", "package x\n\nfunc (s *S) Do() {}\n\ntype T struct{}\n", ["Do", "T"]),
        ("a.rs", "use x;\npub async fn go() {}\nimpl<T> Foo for Bar<T> {\n fn x() {}\n}\n", ["go", "impl<T> Foo for Bar<T>"]),
        ("a.rb", "class Foo\n  def bar?\n  end\nend\n", ["Foo", "bar?"]),
        ("a.sh", "set -e\nbuild() {\n  make\n}\n", ["build"]),
        ("a.sql", "CREATE TABLE IF NOT EXISTS users (\n id int\n);\n", ["users"]),
        ("a.toml", "x = 1\n[tool.ruff]\ny = 2\n", ["tool.ruff"]),
        ("a.yaml", "a: 1\njobs:\n  x: 1\n", ["jobs"]),
    ],
)  # fmt: skip
def test_code_headings(name: str, source: str, expected: list[str]) -> None:
    document = parse(name, source)
    assert document.text == source and document.title == name
    assert [headings[0] for headings, _ in parts(document) if headings] == expected


def test_comments_above_a_definition_go_with_it() -> None:
    document = parse("a.py", "x = 1\n\n# about f\n@dec\ndef f():\n    pass\n")
    assert parts(document)[1][1].startswith("# about f\n@dec\ndef f")


# ---------------------------------------------------------------- Word


def word(build: Any) -> bytes:
    document = docx.Document()
    build(document)
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def test_docx_headings_lists_tables_and_footers() -> None:
    def build(document: Any) -> None:
        document.core_properties.title = "Report"
        document.add_heading("Results", 1)
        document.add_paragraph("We found 三 things.")
        document.add_paragraph("first", style="List Bullet")
        table = document.add_table(2, 2)
        table.cell(0, 0).text, table.cell(0, 1).text = "a", "b"
        table.cell(1, 0).merge(table.cell(1, 1)).text = "merged"
        document.add_heading("Detail", 2)
        document.add_paragraph("More.")
        document.sections[0].footer.paragraphs[0].text = "page 1"

    document = parse("r.docx", word(build))
    assert document.title == "Report"
    assert parts(document) == [
        (("Results",), "Results\n\nWe found 三 things.\n- first\n\na | b\nmerged"),
        (("Results", "Detail"), "Detail\n\nMore."),
    ]
    assert [(o.reason, o.characters) for o in document.omissions] == [("headers and footers of pages", 6)]


def test_docx_that_is_none() -> None:
    for data, message in (
        (b"PK\3\4junk", "is damaged and cannot be unpacked"),
        (b"junk", "is not a Word file"),
        (b"\xd0\xcf\x11\xe0old", "is an old or password-protected"),
    ):
        with pytest.raises(IngestError, match=rf"a.docx {message}"):
            parse("a.docx", data)
    with pytest.raises(IngestError, match="has no text"):
        parse("a.docx", word(lambda document: None))


# ---------------------------------------------------------------- PDF


def pdf(pages: list[list[str]], title: str = "", encrypt: bool = False) -> bytes:
    """A minimal PDF, one line of text under another, in Helvetica."""
    count = len(pages)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%s] >>" % (count, b" ".join(b"%d 0 R" % (4 + 2 * n) for n in range(count))),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for n, lines in enumerate(pages):
        shown = b"".join(
            b"BT /F1 12 Tf 72 %d Td (%s) Tj ET\n" % (720 - 14 * i, line.encode("cp1252"))
            for i, line in enumerate(lines)
        )
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % (5 + 2 * n)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(shown), shown))
    objects.append(b"<< /Title (%s) >>" % title.encode("ascii"))
    trailer = b"/Root 1 0 R /Info %d 0 R" % len(objects)
    if encrypt:
        objects.append(b"<< /Filter /Standard /V 1 /R 2 /Length 40 /P -4 /O <%s> /U <%s> >>" % (b"00" * 32, b"11" * 32))
        trailer += b" /Encrypt %d 0 R /ID [<00> <00>]" % len(objects)
    out = b"%PDF-1.4\n"
    offsets = []
    for n, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (n, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return out + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d %s >>\nstartxref\n%d\n%%%%EOF" % (
        size, table, size, trailer, len(out),
    )  # fmt: skip


def test_pdf_pages_title_and_empty_pages() -> None:
    document = parse("paper_one.pdf", pdf([["Hello from page one.", "Second line."], [], ["Page three."]], "A Study"))
    assert document.title == "A Study"
    assert [(s.page, document.text[s.start : s.end]) for s in document.sections] == [
        (1, "Hello from page one.\nSecond line."),
        (3, "Page three."),
    ]
    assert [(o.reason, o.characters) for o in document.omissions] == [("page 2 without text", 0)]
    assert parse("paper_one.pdf", pdf([["x y z"]], "Microsoft Word - draft.doc")).title == "paper one"
    assert parse("named.txt", pdf([["x y z"]])).kind == "pdf"


def test_pdf_words_broken_at_line_ends_are_rejoined() -> None:
    lines = ["The trans-", "port of well-", "known goods and a well-known port. A re-", "Entry stays."]
    document = parse("a.pdf", pdf([lines]))
    assert "transport of" in document.text
    assert "well-known goods" in document.text
    assert "Entry stays" in document.text


def test_pdf_without_text_or_damaged_or_locked() -> None:
    with pytest.raises(IngestError, match=r"a.pdf has no text: its 2 page\(s\) are empty or hold no letters"):
        parse("a.pdf", pdf([[], []]))
    with pytest.raises(IngestError, match="is not a PDF that can be read"):
        parse("a.pdf", b"%PDF-1.4 junk")
    with pytest.raises(IngestError, match="protected by a password"):
        parse("a.pdf", pdf([["secret"]], encrypt=True))


def test_damaged_pdfs_never_raise_anything_else() -> None:
    whole = pdf([["Hello from page one."], ["Page two."]])
    for cut in range(20, len(whole), 41):
        for data in (whole[:cut], whole[:cut] + b"\xff\x00" + whole[cut + 2 :]):
            try:
                parse("a.pdf", data)
            except IngestError as error:
                assert str(error).startswith("a.pdf ")


# ---------------------------------------------------------------- everywhere


@pytest.mark.parametrize(
    "piece", ["#", "# ", "a b ", "[", "[a](", "<b", "<", "a,", '"', "a ", "=", "-", "(", "int f", "\\", "&"]
)
def test_one_endless_line_takes_linear_time(piece: str) -> None:
    """A quadratic rule would need minutes for these 300,000 characters."""
    source = "x" + piece * (300_000 // len(piece)) + "x"
    for name in (
        "a.md",
        "a.html",
        "a.c",
        "a.js",
        "a.rs",
        "a.csv",
        "a.java",
        "a.sql",
        "a.yaml",
        "a.rst",
        "a.adoc",
        "a.tex",
    ):
        began = time.perf_counter()
        parse(name, source)
        assert time.perf_counter() - began < 20, name


def test_entities_of_a_docx_are_not_expanded() -> None:
    buffer = io.BytesIO()
    levels = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    harmless = io.BytesIO(word(lambda document: document.add_paragraph("hello")))
    with zipfile.ZipFile(harmless) as good, zipfile.ZipFile(buffer, "w") as evil:
        for item in good.namelist():
            data = good.read(item)
            if item == "word/document.xml":
                head, body = data.split(b"?>", 1)
                data = head + f'?><!DOCTYPE x [<!ENTITY l0 "lol">{levels}]>'.encode() + body
                data = data.replace(b"hello", b"hello &l11;")
            evil.writestr(item, data)
    try:
        assert len(parse("a.docx", buffer.getvalue()).text) < 100
    except IngestError as error:
        assert "declares XML entities" in str(error)


def test_files_without_text_are_refused() -> None:
    for name, data in (("a.txt", " \n\t"), ("a.md", ""), ("a.html", "<p> </p>"), ("a.csv", ""), ("a.json", "[]")):
        with pytest.raises(IngestError, match=rf"{name} has no text"):
            parse(name, data)


def test_unknown_kinds_are_named_with_advice() -> None:
    with pytest.raises(IngestError, match=r"a.xls: files of type .xls are not read: save it as .xlsx"):
        parse("a.xls", b"PK")


_PIECES = st.sampled_from(
    ["# h\n", "text ", "中文。", "\n", "\n\n", "<p>", "</p>", "<h2>", "</h2>", "<li>", "<td>", "<table>", "<tr>", "<pre>",
     "<script>", "</script>", "&amp;", "```\n", "---\n", "===\n", "a,b\n", '"', "def f():\n", "class A:\n", "{", "}", "[1]",
     "\\section{", "}", "$", "%", "\\begin{verbatim}", "\\end{verbatim}", "~~~\n", "== ", "Subject: s\n\n", ":", "\t", "@x\n", "# c\n", "<br>", "<nav>", "</nav>", "\u2028", "\x0c", "<!--", "-->", "-", " | "]
)  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(
    st.lists(st.one_of(_PIECES, st.text(max_size=5)), max_size=40).map("".join),
    st.sampled_from(
        [
            "a.txt",
            "a.md",
            "a.html",
            "a.csv",
            "a.json",
            "a.py",
            "a.c",
            "a.js",
            "a.yaml",
            "a.rst",
            "a.adoc",
            "a.tex",
            "a.eml",
        ]
    ),
)
def test_every_character_is_accounted_for(source: str, name: str) -> None:
    try:
        document = parse(name, source.encode("utf-8", "replace"))
    except IngestError:
        return
    covered = bytearray(len(document.text))
    for chunk in split(document, lambda texts: [len(text) // 3 for text in texts], 40):
        covered[chunk.start : chunk.end] = b"\1" * (chunk.end - chunk.start)
    assert not [c for c, seen in zip(document.text, covered, strict=True) if not seen and not c.isspace()]
