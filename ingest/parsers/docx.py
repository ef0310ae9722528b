"""Word documents (.docx): headings by style or outline level, lists, tables, text boxes, footnotes and endnotes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ingest.limits import Budget
from ingest.parsers.draft import Draft, title_of
from ingest.parsers.ledger import Ledger
from ingest.parsers.ooxml import Flow
from ingest.parsers.package import Package, attribute, local, text_of
from ingest.types import IngestError, ParsedDocument

_HEADING = re.compile(r"(?:heading|标题|標題)\s*(\d)", re.I)
_CONTENTS = re.compile(r"toc \d|目录 \d|目錄 \d", re.I)
_LEFT_OUT = {
    "header": "headers and footers of pages",
    "footer": "headers and footers of pages",
    "comments": "comments",
    "chart": "numbers and labels of charts",
}


def parse(path: Path, data: bytes, budget: Budget) -> ParsedDocument:
    """The body in reading order, each note after the paragraph that refers to it, diagrams at the end."""
    package = Package(data, budget, "a Word file (.docx)")
    links = package.relations("")
    main = next((target for _, kind, target in links if kind == "officeDocument"), "word/document.xml")
    reader = _Reader(package, main)
    reader.read()
    first = next((section.headings[0] for section in reader.draft.sections if section.headings), "")
    return reader.draft.document(
        core_title(package, links) or first or title_of(path), "docx", reader.ledger.settle(reader.draft.text())
    )


def core_title(package: Package, links: list[tuple[str, str, str]]) -> str:
    """The title in the properties of an Office file."""
    for _, kind, target in links:
        if kind == "core-properties" and target in package:
            return " ".join((package.xml(target).findtext("{*}title") or "").split())
    return ""


class _Reader:
    def __init__(self, package: Package, main: str) -> None:
        self.draft = Draft()
        self.ledger = Ledger()
        self._package = package
        self._root = package.xml(main)
        self._parts: dict[str, list[str]] = {}
        for _, kind, target in package.relations(main):
            if target in package:
                self._parts.setdefault(kind, []).append(target)
        self._styles = self._read_styles()
        self._notes: dict[tuple[str, str], str] = {}

    def read(self) -> None:
        body = next((node for node in self._root if local(node) == "body"), None)
        if body is None:
            raise IngestError("is not a Word file (.docx) that can be read; save it again.")
        self.ledger.give(text_of(self._root))
        for kind in ("footnotes", "endnotes"):
            for target in self._parts.get(kind, ()):
                self._read_notes(kind.removesuffix("s"), self._package.xml(target))
        flow = Flow(self.draft, self.ledger, self._paragraph, self._note, self._skip)
        flow.blocks(self._root)
        for note in self._notes.values():  # that nothing refers to
            self.draft.add(note)
        for target in self._parts.get("diagramData", ()):
            diagram = self._package.xml(target)
            self.ledger.give(text_of(diagram))
            flow.blocks(diagram)
        for kind, reason in _LEFT_OUT.items():
            for target in self._parts.get(kind, ()):
                text = text_of(self._package.xml(target))
                self.ledger.give(text)
                self.ledger.leave(reason, text)
        self.draft.close_section()

    def _read_styles(self) -> dict[str, tuple[str, int | None]]:
        """Style id -> its name, and the level of heading it gives (from 1), inherited ones included."""
        own: dict[str, tuple[str, int | None, str | None]] = {}
        for target in self._parts.get("styles", ())[:1]:
            for style in self._package.xml(target).iter("{*}style"):
                name = next((attribute(node, "val") or "" for node in style if local(node) == "name"), "")
                base = next((attribute(node, "val") for node in style if local(node) == "basedOn"), None)
                found = _HEADING.match(name)
                level = int(found[1]) if found else _outline(style)
                own[attribute(style, "styleId") or ""] = (name, level, base)
        styles: dict[str, tuple[str, int | None]] = {}
        for key in own:
            at, seen = key, {key}
            while own[at][1] is None and own[at][2] in own and own[at][2] not in seen:
                at = own[at][2] or ""
                seen.add(at)
            styles[key] = (own[key][0], own[at][1])
        return styles

    def _style(self, properties: dict[str, Any]) -> tuple[str, int | None]:
        key = (attribute(properties["pStyle"], "val") or "") if "pStyle" in properties else ""
        return self._styles.get(key, ("", None))

    def _skip(self, node: Any) -> str:
        if local(node) == "p" and _CONTENTS.match(self._style(_properties(node))[0]):
            return "table of contents"
        return ""

    def _paragraph(self, node: Any, text: str) -> None:
        of = _properties(node)
        name, level = self._style(of)
        outline = _outline(node)
        if outline is not None:
            level = outline
        if name == "Title":
            level = 0
        if level is not None and len(text) <= 300:
            self.draft.heading(level, text)
        elif "numPr" in of or name.startswith("List"):
            self.draft.add(f"{self.ledger.mark('-')} {text}", "\n")
        else:
            self.draft.add(text)

    def _read_notes(self, kind: str, root: Any) -> None:
        for node in root.iter(f"{{*}}{kind}"):
            lines: list[str] = []
            scratch = Draft()
            flow = Flow(scratch, self.ledger, lambda _, text, lines=lines: lines.append(text))  # type: ignore[misc]
            self.ledger.give(text_of(node))
            flow.blocks(node)
            text = " ".join([*lines, *([scratch.text()] if scratch.length else [])])
            if text:
                self._notes[kind, attribute(node, "id") or ""] = text

    def _note(self, reference: Any) -> str:
        kind = local(reference).removesuffix("Reference")
        return self._notes.pop((kind, attribute(reference, "id") or ""), "")


def _properties(paragraph: Any) -> dict[str, Any]:
    found = next((child for child in paragraph if local(child) == "pPr"), ())
    return {local(child): child for child in found}


def _outline(node: Any) -> int | None:
    """The outline level of a paragraph or style as a level of heading, from 1; 9 means body text."""
    for properties in node:
        if local(properties) == "pPr":
            for child in properties:
                if local(child) == "outlineLvl":
                    value = attribute(child, "val") or ""
                    return int(value) + 1 if value.isdigit() and int(value) < 9 else None
    return None
