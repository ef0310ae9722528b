"""Citations as OpenAI's annotations: which run of the answer stands on which run of which document."""

from __future__ import annotations

import re
from pathlib import PurePath

from pydantic import BaseModel, Field

from ingest.fold import terms
from rag.types import Answer, Citation

_MARK = re.compile(r"\[(\d{1,3})\]")
_MARKS = re.compile(r"(?:\[\d{1,3}\]\s*)+$")
_CLOSING = "”\"’'」』»"


class UrlCitation(BaseModel):
    """OpenAI's ``url_citation`` with the place in the document besides.

    ``content[start_index:end_index]`` of the message, in Unicode characters, is what the citation supports;
    ``url`` answers with the document's text around the quotation.
    """

    url: str
    title: str
    start_index: int = Field(ge=0)
    end_index: int = Field(ge=0)
    file_id: str = Field(description="the document's id in /documents")
    filename: str
    quote: str = Field(description="the document's own words: its text[start:end]")
    start: int
    end: int
    page: int | None = None
    passage: int = Field(description="the n of the [n] marks")


class Annotation(BaseModel):
    """An annotation of a message."""

    type: str = "url_citation"
    url_citation: UrlCitation


def annotate(answer: Answer, content: str, base: str) -> list[Annotation]:
    """The annotations of ``content``, which is the answer's text or its beginning, in the order of the text.

    ``base`` is the server's address with a slash at its end. A quotation is found by its words; a claim in the
    model's own words is the sentence before its ``[n]``.
    """
    found: list[tuple[int, int, Citation]] = []
    used: set[int] = set()  # where marks begin that are spoken for
    cursor = 0
    for citation in answer.citations:
        quote = " ".join(citation.quote.split())
        at = _quoted(content, quote, citation.n, cursor) if quote else None
        if at is None and quote:
            at = _quoted(content, quote, citation.n, 0)
        if at is None:
            continue
        start, mark = at
        cursor = start + len(quote)
        used.add(mark)
        used.update(range(start, cursor))  # a [1] within a quotation is the document's own
        found.append((start, cursor, citation))
    began = 0
    for match in _MARK.finditer(content):
        if match.start() not in used:
            start, end = _claim(content, began, match.start())
            claim = content[start:end]
            of_passage = [c for c in answer.citations if c.n == int(match[1])]
            if claim and of_passage:
                best = max(of_passage, key=lambda c: len(set(terms(c.quote)) & set(terms(claim))))
                found.append((start, end, best))
        if not content[match.end() :].lstrip(" ").startswith("["):
            began = match.end()
    found.sort(key=lambda each: each[:2])
    return [_annotation(*each, base) for each in found]


def _quoted(content: str, quote: str, n: int, since: int) -> tuple[int, int] | None:
    """Where the quotation with its mark stands in the text, and where the mark begins."""
    at = content.find(quote, since)
    while at >= 0:
        after = at + len(quote)
        rest = content[after:]
        mark = after + len(rest) - len(rest.lstrip(_CLOSING + " "))
        if content.startswith(f"[{n}]", mark):
            return at, mark
        at = content.find(quote, at + 1)
    return None


def _claim(content: str, began: int, mark: int) -> tuple[int, int]:
    """The run from the last mark or line break to this mark, without the marks and the white space at its end."""
    start = max(began, content.rfind("\n", 0, mark) + 1)
    end = start + len(_MARKS.sub("", content[start:mark]).rstrip())
    lead = content[start:end]
    return start + len(lead) - len(lead.lstrip(" .。!！?？;；,，")), end


def _annotation(start: int, end: int, citation: Citation, base: str) -> Annotation:
    name = PurePath(citation.source).name
    url = f"{base}documents/{citation.doc_id}/text?start={citation.start}&end={citation.end}"
    return Annotation(
        url_citation=UrlCitation(
            url=url, title=citation.title or name, start_index=start, end_index=end, file_id=str(citation.doc_id),
            filename=name, quote=citation.quote, start=citation.start, end=citation.end, page=citation.page,
            passage=citation.n,
        )
    )  # fmt: skip
