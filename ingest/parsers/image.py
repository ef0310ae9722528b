"""Pictures of text (.png, .jpg, .tiff): what Tesseract reads on them, a page for each picture of a TIFF."""

from __future__ import annotations

from pathlib import Path

from ingest.limits import Budget
from ingest.parsers import ocr
from ingest.parsers.draft import Draft, title_of
from ingest.types import Omission, ParsedDocument


def parse(path: Path, data: bytes, budget: Budget) -> ParsedDocument:
    """A picture without text becomes a document without text, so that it is not read again by every run."""
    found = ocr.recognise(data, 0.9 * budget.limits.seconds)
    draft = Draft()
    for number, page in enumerate(found.pages, 1):
        if len(found.pages) > 1:
            draft.turn_page(number)
        draft.add(page)
    unread = [] if draft.length else ["picture without text"]
    if draft.length and ocr.shortfall():
        unread.append(ocr.shortfall())
    return draft.document(title_of(path), "image", [Omission(ocr.DOUBTFUL, found.doubtful)], unread=unread)
