"""The document behind a passage: every character kept, marks exact in all formats, boxes over the words of a PDF."""

from __future__ import annotations

import io
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.original import blocks, pages, viewer
from app.original.blocks import Mark, render
from app.original.draw import draw, key
from app.original.parts import MOST, Part, at, divide
from app.turns import Turn
from app.workspace import Workspace
from ingest.parsers import parse_file
from ingest.pipeline import ingest
from ingest.store import Store
from tests.app.original_samples import HOSTILE, answer, cited, pdf, write
from tests.ingest.tiny_encoder import write_static

QUOTES = {
    "locks.md": ("A lock **is held** by `one thread`.", "lock | **2** rooms", "先取得锁，再读取数据。", HOSTILE),
    "rivers.html": ("Rivers rise in spring.", "12 miles <long>", "keep   this"),
    "dam.txt": ("A dam holds\nthem back.", "Nobody knows the rest.\n第二段"),
    "code.py": ('"""Doc <b>"""', "return x | 2"),
    "table.csv": ("name: latch; value: 3",),
    "tea.docx": ("Tea is picked before 5 April.", "Longjing | 9 <crowns>", "茶叶装在陶罐里。"),
    "bridge.pdf": ("The bridge was opened in 1931 by the mayor of the town.",),
    "turned.pdf": ("said here of the bridge.",),
}


class Shown(HTMLParser):
    """The text of some HTML as a browser has it, that of its marks, and its elements."""

    VOID = frozenset(("img", "br", "hr"))

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text, self.marked = "", ""
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "table" in self._open and not {"td"} & set(self._open):
            assert not data.strip(), "a browser moves such text out of the table"
        if self._open[-1:] == ["pre"] and self.tags[-1][0] == "pre" and data.startswith("\n"):
            raise AssertionError("a browser swallows this line break")
        self.text += data
        if "mark" in self._open:
            self.marked += data


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    encoder = str(write_static(folder / "encoder"))
    assert ingest([write(folder / "files")], folder / "store", encoder=encoder).exit_code == 0
    return folder


def opened(home: Path, name: str) -> tuple[Any, str, list[Any]]:
    with Store.open(home / "store") as store:
        record = next(record for record in store.documents() if record.path.endswith(f"/{name}"))
        return record, store.text(record.id), store.chunks_of(record.id)


def turn_over(home: Path, name: str, *quotes: str) -> Turn:
    record, text, chunks = opened(home, name)
    start = text.index(quotes[0])
    chunk = next(c for c in chunks if c.start <= start < c.end)
    source, citations = cited(record, chunk, text, *quotes)
    return Turn("q", "done", answer=answer([source], citations))


@pytest.mark.parametrize("name", QUOTES)
def test_every_character_is_shown_and_the_mark_is_exact(home: Path, name: str) -> None:
    record, text, chunks = opened(home, name)
    parts = divide(chunks, text)
    headings = {heading for chunk in chunks for heading in chunk.headings}
    for quote in QUOTES[name]:
        start = text.index(quote)
        marks = [Mark(start, start + len(quote))]
        html = [Shown(render(text, p.start, p.end, record.kind, marks, sorted(headings))) for p in parts]
        assert "".join(page.text for page in html) == text
        assert "".join(page.marked.replace("\n", "") for page in html) == quote.replace("\n", "")
        named = [attrs for page in html for tag, attrs in page.tags if attrs.get("id") == "ob-original-mark"]
        assert len(named) == 1
        allowed = {"p", "h3", "h4", "h5", "h6", "pre", "div", "table", "tr", "td", "span", "mark"}
        assert {tag for page in html for tag, _ in page.tags} <= allowed


pieces = st.sampled_from(
    ["# ", "\n", "\n\n", "- ", "| a | b |", "|---|---|", "```", "**", "`", "[x](y)", "<b>", "&", "> ", "1. ", "===", "---", " | ",
     "word ", "文字。", "  ", "![i](j)", "\t", "__", "</td>"]
)  # fmt: skip


@given(st.lists(pieces, max_size=40).map("".join), st.data(), st.sampled_from(["markdown", "docx", "code"]))
def test_any_text_is_kept_whole_and_marked_where_told(text: str, data: st.DataObject, kind: str) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    page = Shown(render(text, 0, len(text), kind, [Mark(start, end)], ["word"]))
    assert page.text == text
    assert page.marked.replace("\n", "").strip() in text[start:end].replace("\n", "")
    outside = [c for c in text[start:end] if not c.isspace()]
    assert [c for c in page.marked if not c.isspace()] == outside


def test_markdown_reads_as_it_is_meant(home: Path) -> None:
    _, text, _ = opened(home, "locks.md")
    page = Shown(render(text, 0, len(text), "markdown", []))
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == 1
    assert tags.count("tr") == 4
    assert tags.count("td") == 7
    assert [tag for tag in tags if tag in ("h3", "h4")] == ["h4", "h3", "h4", "h4"]
    assert "pre" in tags


def test_parts_cover_the_text_without_gaps() -> None:
    text = ("paragraph of some words.\n\n" * 1500) + "end"
    chunks: Any = [SimpleNamespace(start=n, page=None, headings=(f"h{n // 9000}",)) for n in range(0, len(text), 700)]
    parts = divide(chunks, text)
    assert [part.start for part in parts[1:]] == [part.end for part in parts[:-1]]
    assert (parts[0].start, parts[-1].end) == (0, len(text))
    assert max(part.end - part.start for part in parts) <= MOST
    assert parts[at(parts, 20_000)].start <= 20_000 < parts[at(parts, 20_000)].end
    assert divide([], "x") == [Part(0, 1)]


# ---------------------------------------------------------------- PDF


def dark(image: Image.Image, box: tuple[float, ...]) -> float:
    """The share of dark pixels inside a box (left, top, width, height as shares)."""
    w, h = image.size
    left, top, width, height = box
    crop = image.crop((int(left * w), int(top * h), int((left + width) * w), int((top + height) * h))).convert("L")
    return sum(1 for value in crop.get_flattened_data() if value < 128) / max(1, crop.width * crop.height)


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_the_boxes_lie_on_the_words(turned: int) -> None:
    # Text that is turned by 90 degrees is read line by line from the other side, also when it is stored.
    quote = (
        "The bridge was opened in 1931 by the mayor of the town."
        if turned != 90
        else "Toll is two crowns.\nor of the town."
    )
    picture, said = draw(pdf(turned), 1, [{"quote": quote, "before": len(key("Halden bridge"))}])
    image = Image.open(io.BytesIO(picture))
    assert image.size == (said["width"], said["height"])
    lines = said["boxes"][0]
    assert len(lines) == 2
    assert all(0.05 < dark(image, box) < 0.5 for box in lines)
    if not turned:
        (left, top, width, height), second = lines
        assert left == pytest.approx(72 / 612, abs=0.004)
        assert top < (792 - 700) / 792 < top + height + 0.005
        assert width == pytest.approx(0.37, abs=0.05)
        assert second[1] - top == pytest.approx(20 / 792, abs=0.004)
        assert second[0] + second[2] < 0.26  # "or of the town." and not the sentence after it
        assert dark(image, (0.6, 0.1, 0.3, 0.8)) == 0


def test_of_equal_words_the_right_ones_are_marked() -> None:
    before = key("Halden bridge The bridge was opened in 1931 by the mayor of the town. Toll is two crowns.")
    quote = "Toll is two crowns."
    _, said = draw(
        pdf(), 1, [{"quote": quote, "before": len(before) - len(key(quote))}, {"quote": quote, "before": len(before)}]
    )
    (first,), (second,) = said["boxes"]
    assert second[1] > first[1]
    assert second[0] < first[0]
    assert draw(pdf(), 1, [{"quote": "not there", "before": 0}])[1]["boxes"] == [[]]


def test_a_page_is_drawn_by_a_confined_child_and_from_the_file_that_was_read(home: Path) -> None:
    record, text, chunks = opened(home, "bridge.pdf")
    part = divide(chunks, text)[0]
    start = text.index("The bridge was")
    drawn = pages.draw(record, part, text, [Mark(start, start + 20)])
    assert drawn.picture.startswith(b"\x89PNG")
    assert len(drawn.boxes) == 1
    assert drawn.boxes[0]
    other: Any = SimpleNamespace(path=record.path, root=record.root, digest="0" * 40)
    with pytest.raises(pages.Undrawn, match="changed"):
        pages.draw(other, part, text, [])
    with pytest.raises(pages.Undrawn, match="missing"):
        pages.draw(SimpleNamespace(path="/nowhere/x.pdf", root="/nowhere", digest=""), part, text, [])  # type: ignore[arg-type]


def test_a_file_that_breaks_the_reader_or_takes_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(pages.Undrawn, match="broken"):
        pages._ask(b"%PDF-1.4 rubbish", {"size": 16, "page": 1, "marks": []})
    with pytest.raises(pages.Undrawn, match="broken"):
        pages._drawn(b"\0\0\0\0\0\0\0\2{}<svg onload=alert(1)>")
    monkeypatch.setattr(pages, "SECONDS", 0.0)
    with pytest.raises(pages.Undrawn, match="slow"):
        pages._ask(pdf(), {"size": len(pdf()), "page": 1, "marks": []})


# ---------------------------------------------------------------- the dialog


def test_the_dialog_shows_the_part_with_the_quotation(home: Path) -> None:
    workspace = Workspace(home / "store")
    turn = turn_over(home, "locks.md", "先取得锁，再读取数据。")
    html = viewer.show(workspace, [turn], {"turn": 0, "n": 1, "part": -1})
    page = Shown(html)
    assert page.marked == "先取得锁，再读取数据。"
    assert not {"img", "script", "a", "iframe"} & {tag for tag, _ in page.tags}
    html = viewer.show(
        workspace, [turn_over(home, "bridge.pdf", "Toll is two crowns.")], {"turn": 0, "n": 1, "part": 0}
    )
    page = Shown(html)
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(images) == 1
    assert str(images[0]["src"]).startswith("data:image/png;base64,")
    assert [attrs.get("class") for tag, attrs in page.tags if tag == "i"] == ["ob-box"]
    steps = [attrs for tag, attrs in page.tags if attrs.get("class") == "ob-step"]
    assert ["disabled" in attrs for attrs in steps] == [True, False]


@pytest.mark.parametrize(
    "sent",
    [None, [], "x", {}, {"turn": 5, "n": 1}, {"turn": -1, "n": 1}, {"turn": 0, "n": 9}, {"turn": True, "n": 1},
     {"turn": "0", "n": 1}, {"turn": 0, "n": "../../etc/passwd"}, {"turn": 0.0, "n": 1}],
)  # fmt: skip
def test_what_names_no_passage_shows_none(home: Path, sent: Any) -> None:
    turn = turn_over(home, "dam.txt", "A dam holds\nthem back.")
    html = viewer.show(Workspace(home / "store"), [turn], sent)
    assert "ob-stored" not in html
    assert "ob-notice" in html


def test_a_part_that_is_not_there_is_the_one_with_the_quotation(home: Path) -> None:
    turn = turn_over(home, "dam.txt", "A dam holds\nthem back.")
    for part in (99, -7, None, "1"):
        html = viewer.show(Workspace(home / "store"), [turn], {"turn": 0, "n": 1, "part": part})
        assert Shown(html).marked == "A dam holds\nthem back."


def test_a_changed_a_vanished_and_a_forgotten_file(tmp_path: Path) -> None:
    encoder = str(write_static(tmp_path / "encoder"))
    folder = write(tmp_path / "files")
    ingest([folder], tmp_path / "store", encoder=encoder)
    workspace = Workspace(tmp_path / "store")
    turn = turn_over(tmp_path, "bridge.pdf", "Toll is two crowns.")
    ask = {"turn": 0, "n": 1, "part": -1}
    (folder / "bridge.pdf").write_bytes(pdf(0, {1: ["Other words."]}))
    changed = viewer.show(workspace, [turn], ask)
    assert "has changed" in changed
    assert "<img" not in changed
    assert Shown(changed).marked == "Toll is two crowns."
    (folder / "bridge.pdf").unlink()
    assert "no longer at its place" in viewer.show(workspace, [turn], ask)
    ingest([folder], tmp_path / "store", encoder=encoder)
    forgotten = viewer.show(workspace, [turn], ask)
    assert "removed or read again" in forgotten
    assert Shown(forgotten).marked == "Toll is two crowns."


def test_hostile_names_and_text_are_inert(tmp_path: Path) -> None:
    encoder = str(write_static(tmp_path / "encoder"))
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "<img src=x onerror=alert(1)>.txt").write_text(f"{HOSTILE}\n\nQuoted words.\n")
    ingest([folder], tmp_path / "store", encoder=encoder)
    turn = turn_over(tmp_path, "<img src=x onerror=alert(1)>.txt", "Quoted words.")
    page = Shown(viewer.show(Workspace(tmp_path / "store"), [turn], {"turn": 0, "n": 1, "part": -1}))
    assert HOSTILE in page.text
    assert not {"img", "script", "a"} & {tag for tag, _ in page.tags}
    assert all(not name.startswith("on") for _, attrs in page.tags for name in attrs)


def test_an_unstored_kind_is_never_a_path() -> None:
    assert blocks.render("x", 0, 1, "../../etc", []) == "<p>x</p>"
    assert parse_file(Path("a.txt"), b"x").kind == "text"
