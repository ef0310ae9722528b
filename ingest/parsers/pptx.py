"""PowerPoint (.pptx): a page for each slide, under its title; tables, grouped shapes, diagrams and speaker notes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ingest.limits import Budget
from ingest.parsers.docx import core_title
from ingest.parsers.draft import Draft, title_of
from ingest.parsers.ledger import Ledger
from ingest.parsers.ooxml import Flow
from ingest.parsers.package import Package, attribute, local, text_of
from ingest.types import IngestError, ParsedDocument

_TITLES = frozenset(("title", "ctrTitle"))
_RUNNING = frozenset(("sldNum", "dt", "ftr", "hdr"))
_LEFT_OUT = {"comments": "comments", "chart": "numbers and labels of charts"}


def parse(path: Path, data: bytes, budget: Budget) -> ParsedDocument:
    """The slides in their order, hidden ones too. Texts of masters and layouts stand on no slide and are not read."""
    package = Package(data, budget, "a PowerPoint file (.pptx)")
    links = package.relations("")
    main = next((target for _, kind, target in links if kind == "officeDocument"), "ppt/presentation.xml")
    targets = {key: target for key, kind, target in package.relations(main) if kind == "slide"}
    order = [targets.get(_relation(node), "") for node in package.xml(main).iter("{*}sldId")]
    slides = [target for target in order if target in package]
    if not slides:
        raise IngestError("has no slides; leave it out, or save it again as .pptx.")
    reader = _Reader(package)
    for number, slide in enumerate(slides, 1):
        reader.slide(number, slide)
    draft = reader.draft
    first = next((section.headings[0] for section in draft.sections if section.headings), "")
    named = core_title(package, links)
    title = named if named and named != "PowerPoint Presentation" else first or title_of(path)
    draft.close_section()
    return draft.document(title, "slides", reader.ledger.settle(draft.text()))


def _relation(node: Any) -> str:
    """The ``r:id`` of a node that has an ``id`` of its own as well."""
    return next((value for key, value in node.items() if key.endswith("}id")), "")


class _Reader:
    def __init__(self, package: Package) -> None:
        self.draft = Draft()
        self.ledger = Ledger()
        self._package = package

    def slide(self, number: int, part: str) -> None:
        """Write one slide: its title first wherever it stands, its shapes in their order, its notes."""
        root = self._package.xml(part)
        parts = [(kind, target) for _, kind, target in self._package.relations(part) if target in self._package]
        self.ledger.give(text_of(root))
        self.draft.turn_page(number)
        self.draft.path.clear()
        titles = [shape for shape in root.iter("{*}sp") if _placeholder(shape) in _TITLES]
        for shape in titles:
            lines: list[str] = []
            scratch = Flow(Draft(), self.ledger, lambda _, text, lines=lines: lines.append(text))  # type: ignore[misc]
            scratch.blocks(shape)
            if lines:
                self.draft.heading(1, " ".join(" ".join(lines).split()))
            shape.clear(keep_tail=True)  # written, so not to be met again
        Flow(self.draft, self.ledger, self._paragraph, skip=_running).blocks(root)
        for kind, target in parts:
            if kind in ("diagramData", "notesSlide"):
                self._more(kind, target)
            elif kind in _LEFT_OUT:
                text = text_of(self._package.xml(target))
                self.ledger.give(text)
                self.ledger.leave(_LEFT_OUT[kind], text)

    def _more(self, kind: str, target: str) -> None:
        root = self._package.xml(target)
        self.ledger.give(text_of(root))
        if kind == "notesSlide":
            self.draft.heading(2, "Notes", shown="")
        Flow(self.draft, self.ledger, self._paragraph, skip=_running).blocks(root)

    def _paragraph(self, node: Any, text: str) -> None:
        self.draft.add(text, "\n")


def _placeholder(shape: Any) -> str:
    """What kind of placeholder a shape is; "" for any other shape."""
    found = next(shape.iter("{*}ph"), None)
    return "" if found is None else attribute(found, "type") or "body"


def _running(node: Any) -> str:
    """Why a shape is left out: what runs along on every slide."""
    return "slide numbers, dates and footers" if local(node) == "sp" and _placeholder(node) in _RUNNING else ""
