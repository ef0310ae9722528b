"""The pages of a PDF as PDFium reads them: their text, and for those that are pictures what Tesseract recognises."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from ingest.limits import Budget
from ingest.parsers import ocr
from ingest.parsers.draft import storable
from ingest.types import IngestError

_DPI = 300
_MOST_PIXELS = 40_000_000  # a page of 300 dpi in A3 has 17 million
_FEW = 60  # characters that a picture of a page may have besides: a page number, the stamp of a scanner


@dataclass(slots=True)
class Pages:
    """``texts`` by page; ``scanned`` pages were recognised, ``pictures`` could not be, for ``reason``."""

    texts: list[str] = field(default_factory=list)
    scanned: list[int] = field(default_factory=list)
    pictures: list[int] = field(default_factory=list)
    reason: str = ""
    doubtful: int = 0


def read_pages(opened: Any, budget: Budget) -> Pages:
    """Read every page; recognition stops, and says so, when the time for one file is nearly over."""
    pages = Pages()
    began = time.monotonic()
    for number in range(len(opened)):
        text, picture = _page(opened, number)
        if picture:
            found = _recognised(opened, number, pages, budget, began)
            text = f"{text}\n\n{found}" if text.strip() and found else found or text
        pages.texts.append(text)
        if picture or number % 100 == 99:
            budget.step()
    return pages


def _page(opened: Any, number: int) -> tuple[str, bool]:
    """The text of a page, counted from 0, and whether the page is a picture; a page that cannot be loaded is empty."""
    import pypdfium2 as pdfium

    try:
        page = opened[number]
        textpage = page.get_textpage()
        text = str(textpage.get_text_range(errors="replace"))
        textpage.close()
        few = len("".join(text.split())) < _FEW
        picture = few and _has_picture(page)
        page.close()
    except pdfium.PdfiumError:
        return "", False
    return storable(text.replace("\r\n", "\n").replace("\r", "\n")), picture


def _has_picture(page: Any) -> bool:
    """Whether a picture covers at least half of the page."""
    import pypdfium2.raw as raw

    width, height = page.get_size()
    for image in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=4):
        left, bottom, right, top = image.get_bounds()
        if (right - left) * (top - bottom) * 2 >= width * height:
            return True
    return False


def _recognised(opened: Any, number: int, pages: Pages, budget: Budget, began: float) -> str:
    """The text on the picture of a page; "" where it could not be read, which is then noted."""
    spent = time.monotonic() - began
    if ocr.program() is None:
        pages.reason = ocr.MISSING
    elif spent + budget.limits.seconds > budget.limits.total_seconds:
        pages.reason = f"text recognition took longer than {spent:.0f} seconds; split the file"
    else:
        try:
            found = ocr.recognise(_rendered(opened[number]), 0.9 * budget.limits.seconds)
        except IngestError as error:
            pages.reason = pages.reason or str(error).removeprefix("is a picture ").rstrip(".")
        else:
            pages.doubtful += found.doubtful
            pages.scanned.append(number + 1)
            return storable("\n\n".join(found.pages))
    pages.pictures.append(number + 1)
    return ""


def _rendered(page: Any) -> bytes:
    """A page as a grey picture in PNM, at 300 dots per inch or as many as a large page affords."""
    width, height = page.get_size()
    scale = min(_DPI / 72, (_MOST_PIXELS / max(1.0, width * height)) ** 0.5)
    bitmap = page.render(scale=scale, grayscale=True)
    rows = bytes(bitmap.buffer)
    stride, across, down = bitmap.stride, bitmap.width, bitmap.height
    packed = rows if stride == across else b"".join(rows[n * stride : n * stride + across] for n in range(down))
    bitmap.close()
    page.close()
    return b"P5 %d %d 255\n" % (across, down) + packed
