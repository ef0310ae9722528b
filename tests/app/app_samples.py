"""Answers made by hand, as the chain would give them."""

from __future__ import annotations

from html.parser import HTMLParser

from app.icons import NAMES, icon
from rag.types import Answer, Citation, Source

TEXT = "Rivers rise in spring. A dam holds them back. Nobody knows the rest."


def make_source(n: int = 1, text: str = TEXT, **fields: object) -> Source:
    values: dict[str, object] = {
        "n": n, "doc_id": n, "chunk_id": n, "source": f"/docs/rivers-{n}.md", "title": "Rivers", "start": 50,
        "end": 50 + len(text), "score": 1.0 / n, "text": text, "dense_rank": n, "lexical_rank": None,
    }  # fmt: skip
    return Source.model_validate(values | fields)


def make_citation(source: Source, quote: str, *, exact: bool = False) -> Citation:
    at = source.start + source.text.index(quote)
    shared = source.model_dump(include={"n", "doc_id", "chunk_id", "source", "title", "headings", "page"})
    return Citation(**shared, start=at, end=at + len(quote), score=0.5, quote=quote, exact=exact)


def make_answer(text: str, sources: list[Source], citations: list[Citation], **fields: object) -> Answer:
    values: dict[str, object] = {
        "question": "q", "rewritten": "q", "answer": text, "refused": False, "confidence": 0.8, "mode": "quote",
        "language": "en", "citations": citations, "sources": sources,
    }  # fmt: skip
    return Answer.model_validate(values | fields)


class Page(HTMLParser):
    """Reads HTML as a browser would: its tags with attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        for name in NAMES:  # our own drawings; any other is not inert
            html = html.replace(icon(name), "")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def inert(self) -> bool:
        """No element that loads or runs anything, no handler, no address but an anchor's id."""
        loud = {"script", "img", "iframe", "object", "embed", "link", "style", "svg", "form", "video", "base"}
        for tag, attributes in self.tags:
            if tag in loud or any(name.startswith("on") for name in attributes):
                return False
            if {"src", "href", "srcdoc", "action"} & attributes.keys():
                return False
        return True
