"""CSV and TSV: every row as one line ``column: value; column: value``, so that a row is understood on its own."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from ingest.decode import decode_text
from ingest.parsers.draft import finish, title_of
from ingest.parsers.rows import is_header
from ingest.types import IngestError, Omission, ParsedDocument, Section

_DELIMITERS = ",;\t|"
_SAMPLE_LINES = 20
_CELL_LIMIT = 1 << 24


def parse(path: Path, data: bytes) -> ParsedDocument:
    """The first row names the columns unless it holds a number, an empty cell or a repetition."""
    text, encoding = decode_text(data)
    csv.field_size_limit(_CELL_LIMIT)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(text)
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(map(str.strip, row))]
    except csv.Error as error:
        raise IngestError(f"is not a table that can be read ({error}); save it again as CSV.") from error
    if not rows:
        return finish("", title_of(path), "csv", [], 0)
    names = [" ".join(name.split()) for name in rows[0]]
    if is_header(names):
        body = rows[1:] or rows
    else:
        body, names = rows, [f"column {n + 1}" for n in range(max(map(len, rows)))]
    trimmed = 0
    lines: list[str] = []
    for row in body:
        cells: list[str] = []
        for n, cell in enumerate(row):
            value = " ".join(cell.split())
            trimmed += len(cell) - len(value)
            if value:
                cells.append(f"{names[n] if n < len(names) else f'column {n + 1}'}: {value}")
        lines.append("; ".join(cells))
    shown = "\n".join(lines)
    omissions = [Omission("spare white space in cells", trimmed)]
    return finish(shown, title_of(path), "csv", [Section(0, len(shown))], len(shown) + trimmed, omissions, encoding)


def _delimiter(text: str) -> str:
    """The delimiter that stands in every one of the first lines, most often."""
    lines = [line for line in text[:100_000].split("\n") if line.strip()][:_SAMPLE_LINES]
    scores = {mark: min((line.count(mark) for line in lines), default=0) for mark in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda mark: scores[mark])
    return best if scores[best] else ","
