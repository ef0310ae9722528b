"""Plain text and logs: the decoded file as it is."""

from __future__ import annotations

from pathlib import Path

from ingest.decode import decode_text
from ingest.parsers.draft import finish, title_of
from ingest.types import ParsedDocument, Section


def parse(path: Path, data: bytes) -> ParsedDocument:
    text, encoding = decode_text(data)
    kind = "log" if path.suffix.lower() in (".log", ".out") else "text"
    return finish(text, title_of(path), kind, [Section(0, len(text))], len(text), encoding=encoding)
