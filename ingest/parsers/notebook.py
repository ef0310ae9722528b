"""Jupyter notebooks: Markdown cells as they are, code cells as fenced code; outputs are left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ingest.decode import decode_text
from ingest.parsers.draft import finish, outline, title_of
from ingest.parsers.markdown import headings
from ingest.types import IngestError, Omission, ParsedDocument


def parse(path: Path, data: bytes) -> ParsedDocument:
    text, encoding = decode_text(data)
    try:
        notebook = json.loads(text)
        cells = notebook["cells"] if "cells" in notebook else notebook["worksheets"][0]["cells"]
        language = str(notebook.get("metadata", {}).get("kernelspec", {}).get("language", "python"))
        blocks = [_block(cell, language) for cell in cells]
        outputs = sum(_output_length(cell) for cell in cells)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise IngestError("is not a notebook that can be read; open it in Jupyter and save it again.") from error
    shown = "\n\n".join(block for block in blocks if block.strip())
    found = headings(shown)
    title = next((name for _, level, name in found if level == 1), title_of(path))
    omissions = [Omission("outputs of code cells", outputs)]
    return finish(shown, title, "notebook", outline(shown, found), len(shown) + outputs, omissions, encoding)


def _joined(source: Any) -> str:
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def _block(cell: Any, language: str) -> str:
    source = _joined(cell["source"] if "source" in cell else cell.get("input", "")).strip("\n")
    if cell["cell_type"] != "code" or not source.strip():
        return source
    fence = "````" if "```" in source else "```"
    return f"{fence}{language}\n{source}\n{fence}"


def _output_length(cell: Any) -> int:
    """Characters of the textual outputs of a cell."""
    total = 0
    for output in cell.get("outputs", ()):
        texts = [output.get("text", ""), *output.get("data", {}).values(), *output.get("traceback", ())]
        total += sum(len(_joined(text)) for text in texts if isinstance(text, str | list))
    return total
