"""The account of every parser: text that it walks past stops the file instead of going missing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ingest.parsers import parse_file
from ingest.parsers.draft import Draft
from ingest.parsers.html import read_html
from ingest.parsers.ledger import Ledger
from ingest.parsers.ooxml import Flow
from ingest.types import IngestError
from tests.ingest.formats import made
from tests.ingest.formats.corpus import omitted, read
from tests.ingest.formats.made import LANGUAGES


def test_the_account_is_loud_about_lost_text(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = LANGUAGES["en"]["body"]

    def forgetful(self: Flow, node: object, text: str) -> None:
        if text != lost:
            self.draft.add(text)

    data = made.word(LANGUAGES["en"])
    monkeypatch.setattr("ingest.parsers.docx._Reader._paragraph", forgetful)
    with pytest.raises(IngestError, match="does not add up"):
        parse_file(Path("a.docx"), data)


def test_a_ledger_needs_both_sides_to_agree() -> None:
    ledger = Ledger()
    ledger.give("a b c")
    ledger.keep("a")
    ledger.leave("because", "b ")
    with pytest.raises(IngestError, match="of 3 characters 1 were kept and 1 left out, and 1 were written"):
        ledger.settle("a")
    ledger.keep("c")
    assert [(o.reason, o.characters) for o in ledger.settle(f"a{ledger.mark('-')} c")] == [("because", 2)]
    with pytest.raises(IngestError, match="does not add up"):
        ledger.settle("a")


@pytest.mark.parametrize("seed", range(40))
def test_no_text_is_walked_past_in_word(seed: int) -> None:
    """Elements of Word and others, nested at random: each token is written once, or left out by name."""
    generator = random.Random(seed)
    names = ["p", "r", "t", "tbl", "tr", "tc", "sdt", "sdtContent", "hyperlink", "ins", "del", "drawing", "txbxContent", "br",
             "instrText", "AlternateContent", "Choice", "Fallback", "smartTag", "rt", "footnoteReference", "unknown"]  # fmt: skip
    tokens: list[str] = []

    def grow(depth: int) -> str:
        name = generator.choice(names)
        inner = "".join(grow(depth + 1) for _ in range(generator.randrange(4))) if depth < 6 else ""
        tokens.extend(f"tok{len(tokens)}x" for _ in range(2))
        text = tokens[-2] if generator.random() < 0.6 else ""
        tail = tokens[-1] if generator.random() < 0.2 else ""
        return f"<w:{name}>{text}{inner}</w:{name}>{tail}"

    body = "".join(grow(0) for _ in range(12))
    parts: dict[str, str | bytes] = {
        "word/document.xml": f'<w:document xmlns:w="http://example.org/w"><w:body><w:p><w:r><w:t>start</w:t></w:r></w:p>{body}</w:body></w:document>'
    }
    document = read("a.docx", made.package(parts))
    present = [token for token in tokens if token in body]
    written = [token for token in present if token in document.text]
    assert all(document.text.count(token) == 1 for token in written)
    left = sum(len(token) for token in present) - sum(len(token) for token in written)
    assert left == sum(omitted(document).values())


@pytest.mark.parametrize("seed", range(20))
def test_no_text_is_walked_past_in_open_document(seed: int) -> None:
    generator = random.Random(seed)
    names = ["p", "h", "span", "list", "list-item", "table", "table-row", "table-cell", "note", "note-citation", "note-body", "frame",
             "text-box", "annotation", "section", "table-of-content", "a", "unknown"]  # fmt: skip
    tokens: list[str] = []

    def grow(depth: int) -> str:
        name = generator.choice(names)
        inner = "".join(grow(depth + 1) for _ in range(generator.randrange(4))) if depth < 6 else ""
        tokens.extend(f"tok{len(tokens)}x" for _ in range(2))
        text = tokens[-2] if generator.random() < 0.6 else ""
        tail = tokens[-1] if generator.random() < 0.2 else ""
        return f"<o:{name}>{text}{inner}</o:{name}>{tail}"

    body = "".join(grow(0) for _ in range(12))
    content = f'<o:document xmlns:o="http://example.org/o"><o:body><o:text><o:p>start</o:p>{body}</o:text></o:body></o:document>'
    document = read("a.odt", made.package({"content.xml": content}))
    present = [token for token in tokens if token in body]
    left = sum(len(token) for token in present if token not in document.text)
    assert left == sum(omitted(document).values())


def test_every_text_of_a_page_is_written_or_left_out() -> None:
    generator = random.Random(1)
    names = [
        "p",
        "div",
        "td",
        "tr",
        "table",
        "li",
        "ul",
        "pre",
        "h2",
        "nav",
        "script",
        "span",
        "b",
        "br",
        "title",
        "svg",
        "select",
    ]
    for _ in range(60):
        pieces = [
            generator.choice(
                [f"<{(n := generator.choice(names))}>", f"</{n}>", "word ", "- ", "|", "中文", "<!-- c -->"]
            )
            for _ in range(80)
        ]
        draft, ledger = Draft(), Ledger()
        read_html("".join(pieces), draft, ledger)
        draft.close_section()
        ledger.settle(draft.text())
