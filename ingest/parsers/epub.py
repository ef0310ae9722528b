"""E-books (.epub): the chapters in reading order, as HTML; the book's own list of contents is left out."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ingest.limits import Budget
from ingest.parsers.draft import Draft, title_of
from ingest.parsers.html import decode_html, read_html
from ingest.parsers.ledger import Ledger
from ingest.parsers.package import Package
from ingest.types import IngestError, ParsedDocument

_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")  # obscured fonts: the text is open
_PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")


def parse(path: Path, data: bytes, budget: Budget) -> ParsedDocument:
    package = Package(data, budget, "an e-book (.epub)")
    _refuse_locked(package)
    container = package.xml("META-INF/container.xml")
    root = next((node.get("full-path", "") for node in container.iter("{*}rootfile")), "")
    opf = package.xml(root)
    folder = posixpath.dirname(root)
    items = {node.get("id"): node for node in opf.iter("{*}item")}
    spine = [items[node.get("idref")] for node in opf.iter("{*}itemref") if node.get("idref") in items]
    draft, ledger = Draft(), Ledger()
    missing: list[str] = []
    read: set[str] = set()
    for item in spine:
        name = _target(folder, item)
        if name not in package:
            missing.append(f"file {name} is named in the book but not in it")
        elif name not in read and item.get("media-type") in _PAGES:
            read.add(name)
            _chapter(package.read(name), draft, ledger, contents="nav" in (item.get("properties") or "").split())
    for item in items.values():
        name = _target(folder, item)
        if item.get("media-type") in _PAGES and name in package and name not in read:
            read.add(name)
            _chapter(package.read(name), draft, ledger, contents="nav" in (item.get("properties") or "").split())
    if not read:
        raise IngestError("is not an e-book (.epub) that can be read; save it again.")
    title = " ".join((opf.findtext(".//{http://purl.org/dc/elements/1.1/}title") or "").split())
    draft.close_section()
    return draft.document(title or title_of(path), "epub", ledger.settle(draft.text()), unread=missing)


def _target(folder: str, item: Any) -> str:
    return posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))


def _chapter(data: bytes, draft: Draft, ledger: Ledger, *, contents: bool) -> None:
    """Write one page of the book; a page without headings of its own is headed by its title."""
    source, _ = decode_html(data)
    if contents:
        text = _plain(source)
        ledger.give(text)
        ledger.leave("the book's list of contents", text)
        return
    draft.close_section()
    draft.path.clear()
    known = len(draft.sections)
    named = read_html(source, draft, ledger)
    draft.close_section()
    if named:
        draft.retitle(known, named)


def _plain(source: str) -> str:
    scratch = Draft()
    read_html(source, scratch, Ledger())
    return scratch.text()


def _refuse_locked(package: Package) -> None:
    """IngestError when the chapters themselves are encrypted (DRM), not only their fonts."""
    if "META-INF/encryption.xml" in package:
        for node in package.xml("META-INF/encryption.xml").iter("{*}EncryptionMethod"):
            if node.get("Algorithm") not in _FONTS:
                raise IngestError("is locked by its seller (DRM) and cannot be read; leave it out.")
