"""Counts that can be made exactly: documents, sections under headings, and places where a term stands."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from posixpath import splitext

from ingest.fold import fold, is_cjk, terms
from ingest.sentences import sentences
from ingest.store import ChunkRecord, DocumentRecord
from rag.overview.scope import ids_of
from rag.search import Searcher
from rag.state import State, check

PLACES = 8  # that are quoted
MOST_CHARACTERS = 100_000_000  # of documents that are read through for a term
_FORMS = {
    "word": ("doc", "docx", "odt", "rtf"),
    "excel": ("xls", "xlsx", "ods", "csv"),
    "powerpoint": ("ppt", "pptx", "odp"),
    "ppt": ("ppt", "pptx", "odp"),
    "html": ("html", "htm", "xhtml"),
    "网页": ("html", "htm", "xhtml"),
    "markdown": ("md", "markdown"),
    "text": ("txt",),
    "文本": ("txt",),
    "image": ("png", "jpg", "jpeg", "tif", "tiff", "bmp", "webp"),
    "图片": ("png", "jpg", "jpeg", "tif", "tiff", "bmp", "webp"),
    "邮件": ("eml", "mbox", "msg"),
}
_MARKED = (".md", ".markdown", ".mdown", ".mkd")
_FENCED = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"^ {0,3}(#{1,6})[ \t]+(\S[^\n]*)$", re.MULTILINE)
_SPOKEN = {"english": "en", "英文": "en", "chinese": "zh", "中文": "zh"}


@dataclass(frozen=True, slots=True)
class Place:
    """A sentence that holds the term."""

    chunk: ChunkRecord
    start: int
    end: int


@dataclass(slots=True)
class Mentions:
    """How often a term stands in each document that holds it, and in how many distinct sections and sentences.

    ``read``: documents whose text was looked through, fewer than ``documents`` only beyond `MOST_CHARACTERS`.
    """

    documents: int
    read: int
    counts: list[tuple[DocumentRecord, int]] = field(default_factory=list)
    sections: int = 0
    sentences: int = 0
    places: list[Place] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(count for _, count in self.counts)


def of_form(documents: Sequence[DocumentRecord], form: str) -> list[DocumentRecord]:
    """The documents of a kind of file, or in a language."""
    wanted = fold(form)
    if not wanted:
        return list(documents)
    if wanted in _SPOKEN:
        return [document for document in documents if document.language == _SPOKEN[wanted]]
    suffixes = _FORMS.get(wanted, (wanted.replace("-", ""),))
    return [d for d in documents if splitext(fold(d.path))[1].removeprefix(".") in suffixes]


def forms(documents: Sequence[DocumentRecord]) -> list[tuple[str, int]]:
    """How many documents there are of each suffix, most first."""
    found = Counter(splitext(fold(document.path))[1].removeprefix(".") or "?" for document in documents)
    return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))


@dataclass(slots=True)
class Headings:
    """(level from 1, heading) in the order of the documents; ``exact`` where all come from marks in the text.

    Formats without marks are counted by the headings of their passages, and short sections share a passage.
    """

    found: list[tuple[int, str]] = field(default_factory=list)
    exact: bool = True


def headings_of(searcher: Searcher, documents: Sequence[DocumentRecord]) -> Headings:
    """The headings of Markdown by their marks, outside code; of other formats those that passages stand under."""
    counted = Headings()
    for document in documents:
        if splitext(fold(document.path))[1] in _MARKED:
            bare = _FENCED.sub("", searcher.store.text(document.id))
            counted.found += [(len(match[1]), match[2].strip(" #")) for match in _MARK.finditer(bare)]
            continue
        paths: dict[tuple[str, ...], None] = {}
        for chunk in searcher.store.chunks_of(document.id):
            for depth in range(1, len(chunk.headings) + 1):
                paths.setdefault(tuple(chunk.headings[:depth]))
        counted.found += [(len(path), path[-1]) for path in paths]
        counted.exact = counted.exact and not paths
    return counted


def mentions(searcher: Searcher, documents: Sequence[DocumentRecord], term: str, state: State) -> Mentions:
    """Where a term stands: as whole words in upper or lower case, in Chinese as a run of characters."""
    wanted = fold(" ".join(term.split()))
    pattern = re.compile(_pattern(wanted))
    found = Mentions(len(documents), 0)
    characters = 0
    held = _holding(searcher, documents, term)
    for document in documents:
        check(state)
        if document.id not in held:
            found.read += 1
            continue
        characters += document.characters
        if characters > MOST_CHARACTERS:
            break
        found.read += 1
        count = len(pattern.findall(fold(searcher.store.text(document.id))))
        if count:
            found.counts.append((document, count))
    found.counts.sort(key=lambda pair: -pair[1])
    headings: set[tuple[int, tuple[str, ...]]] = set()
    for document, _ in found.counts[:200]:
        quoted = 0
        for place in _places(searcher, document, pattern):
            headings.add((document.id, tuple(place.chunk.headings)))
            found.sentences += 1
            if len(found.places) < PLACES and quoted < max(2, PLACES // len(found.counts)):
                quoted += 1
                found.places.append(place)
    found.sections = len(headings)
    return found


def _holding(searcher: Searcher, documents: Sequence[DocumentRecord], term: str) -> set[int]:
    """The documents that can hold a term: the word index knows; what it has no words for is looked for everywhere."""
    most = sum(document.chunk_count for document in documents)
    allowed = ids_of(searcher, documents)
    hits = [number for number, _ in searcher.store.lexical(term, max(1, most), allowed=allowed)]
    if not hits and not terms(term):
        return {document.id for document in documents}
    return {chunk.doc_id for chunk in searcher.store.chunks(hits)}


def _places(searcher: Searcher, document: DocumentRecord, pattern: re.Pattern[str]) -> Iterator[Place]:
    """The sentences and headings that hold the term, each once: neighbouring passages may share a sentence."""
    seen: set[int] = set()
    for chunk in searcher.store.chunks_of(document.id):
        for start, end in sentences(chunk.text):
            place = chunk.start + start
            if place not in seen and pattern.search(fold(chunk.text[start:end])):
                seen.add(place)
                yield Place(chunk, start, end)


def _pattern(wanted: str) -> str:
    body = r"\s+".join(re.escape(word) for word in wanted.split())
    before = r"(?<!\w)" if wanted[:1].isalnum() and not is_cjk(wanted[0]) else ""
    after = r"(?!\w)" if wanted[-1:].isalnum() and not is_cjk(wanted[-1]) else ""
    return before + body + after
