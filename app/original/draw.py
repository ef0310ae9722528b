"""The drawing process: ``python -m app.original.draw MEMORY`` reads one request from standard input and answers once.

A request is a length, a JSON header and the bytes of a PDF; the answer is a length, JSON, and the bytes of a picture of
one page. As in `ingest.worker`, what strangers wrote is read without files, without network and within limits, and the
parent keeps the time.
"""

from __future__ import annotations

import io
import json
import os
import struct
import sys
from itertools import pairwise
from typing import Any

LENGTH = struct.Struct(">Q")
WIDTH = 1100  # pixels: sharp at the width of the viewer on a screen of twice the density
MOST_PIXELS = 6_000_000
LARGE = 700_000  # bytes; a page of photographs is sent as JPEG
# What the parser takes out or joins at line ends (`ingest.parsers.pdf`), and what it may write otherwise.
_DROPPED = frozenset("-\u2010\u00ad\x02\ufffe\uffff\ufffd")


def key(text: str) -> str:
    """The characters that stored text and page share: no white space, no hyphens, no control characters."""
    return "".join(c for c in text if not (c.isspace() or c in _DROPPED or c < " "))


def _serve(memory: int) -> None:
    from ingest.confine import confine

    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    confine(memory)
    header = json.loads(source.read(LENGTH.unpack(source.read(LENGTH.size))[0]))
    picture, reply = draw(source.read(header["size"]), header["page"], header["marks"])
    said = json.dumps(reply).encode("ascii")
    sink.write(LENGTH.pack(len(said)) + said + picture)
    sink.flush()


def draw(data: bytes, number: int, marks: list[dict[str, Any]]) -> tuple[bytes, dict[str, Any]]:
    """A picture of page ``number`` (from 1) and where the ``marks`` stand on it.

    Each mark is {"quote": text, "before": how many characters of the page's `key` stand before it}; the reply holds
    ``kind`` of the picture, ``width``, ``height`` in pixels, and ``boxes`` per mark: (left, top, width, height) of each
    line as shares of the page, none where the words are not found.
    """
    import pypdfium2 as pdfium

    opened = pdfium.PdfDocument(data)
    page = opened[number - 1]
    width, height = page.get_size()
    scale = min(WIDTH / max(1.0, width), (MOST_PIXELS / max(1.0, width * height)) ** 0.5)
    bitmap = page.render(scale=scale)
    size = bitmap.width, bitmap.height
    picture, kind = _encoded(bitmap.to_pil().convert("RGB"))
    boxes = _boxes(page, marks, *size) if marks else []
    return picture, {"kind": kind, "width": size[0], "height": size[1], "pages": len(opened), "boxes": boxes}


def _encoded(image: Any) -> tuple[bytes, str]:
    for kind, options in (("png", {"compress_level": 6}), ("jpeg", {"quality": 82})):
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        if kind == "jpeg" or buffer.tell() <= LARGE:
            break
    return buffer.getvalue(), kind


def _boxes(page: Any, marks: list[dict[str, Any]], width: int, height: int) -> list[list[tuple[float, ...]]]:
    import pypdfium2.raw as raw

    textpage = page.get_textpage()
    characters: list[str] = []
    indices: list[int] = []
    for index in range(textpage.count_chars()):
        code = raw.FPDFText_GetUnicode(textpage, index)
        for character in key(chr(code) if 0 < code < 0x110000 else ""):
            characters.append(character)
            indices.append(index)
    whole = "".join(characters)
    found = []
    for mark in marks:
        wanted = key(mark["quote"])
        start = _nearest(whole, wanted, mark["before"])
        runs = range(start, start + len(wanted)) if start >= 0 else range(0)
        places = [_place(page, textpage, indices[n], width, height) for n in runs]
        found.append(_lines([place for place in places if place is not None]))
    return found


def _nearest(whole: str, wanted: str, expected: int) -> int:
    """Where ``wanted`` stands, the occurrence nearest to ``expected``; -1 when it does not."""
    best, at = -1, whole.find(wanted) if wanted else -1
    while at >= 0:
        if best < 0 or abs(at - expected) < abs(best - expected):
            best = at
        at = whole.find(wanted, at + 1)
    return best


def _place(page: Any, textpage: Any, index: int, width: int, height: int) -> tuple[float, float, float, float] | None:
    """(left, top, right, bottom) of a character as shares of the picture, whichever way the page is turned."""
    import ctypes

    import pypdfium2.raw as raw

    left, bottom, right, top = textpage.get_charbox(index, loose=True)
    corners = []
    for x, y in ((left, bottom), (right, top)):
        across, down = ctypes.c_int(), ctypes.c_int()
        if not raw.FPDF_PageToDevice(page, 0, 0, width * 16, height * 16, 0, x, y, across, down):
            return None
        corners.append((across.value / (width * 16), down.value / (height * 16)))
    (a, b), (c, d) = corners
    box = min(a, c), min(b, d), max(a, c), max(b, d)
    return box if box[2] > box[0] and box[3] > box[1] else None


def _lines(places: list[tuple[float, float, float, float]]) -> list[tuple[float, ...]]:
    """Characters that follow one another in a line, or on a turned page in a column, as one box each."""
    steps = list(pairwise(places))
    turned = sum(abs(b[1] - a[1]) > abs(b[0] - a[0]) for a, b in steps) * 2 > len(steps)
    lines: list[list[float]] = []
    for place in places:
        left, top, right, bottom = (place[1], place[0], place[3], place[2]) if turned else place
        last = lines[-1] if lines else None
        if last is not None and _beside(last, left, top, right, bottom):
            last[:] = min(last[0], left), min(last[1], top), max(last[2], right), max(last[3], bottom)
        else:
            lines.append([left, top, right, bottom])
    found = [(b, a, d, c) if turned else (a, b, c, d) for a, b, c, d in lines]
    return [tuple(round(v, 5) for v in (a, b, c - a, d - b)) for a, b, c, d in found]


def _beside(last: list[float], left: float, top: float, right: float, bottom: float) -> bool:
    """Whether a character goes on from a box: level with it for half its height or more, and not far off."""
    shared = min(last[3], bottom) - max(last[1], top)
    gap = max(left - last[2], last[0] - right)
    return shared > 0.5 * min(bottom - top, last[3] - last[1]) and gap < 0.06


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
