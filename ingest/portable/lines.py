"""The rules for a document in an exported store; whatever breaks one is refused with the whole file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.batch import audit
from ingest.limits import Limits
from ingest.portable import FIELDS
from ingest.types import Chunk, IngestError, Omission, ParsedDocument

_LARGEST = (1 << 63) - 1
_MOST_PATH = 4096
_MOST_CHUNKS = 5_000_000
_KEYS = {"root", "path", "omissions", "text", "chunks", *FIELDS}


@dataclass(slots=True)
class Portable:
    """A document as it travels: ``path`` is under root number ``root``; "" is a file that was named itself.

    ``vectors`` has for each chunk the number of its vector, None while it waits for the encoder.
    """

    root: int
    path: str
    fields: dict[str, Any]
    omissions: tuple[Omission, ...]
    text: str
    chunks: list[Chunk]
    vectors: list[int | None]


def bad(path: Path, what: str) -> IngestError:
    """The sentence for a file that breaks a rule."""
    return IngestError(f"{path} was not imported: {what}; ask for a new export.")


def text(value: Any, most: int) -> str:
    """A string of at most ``most`` characters; ValueError."""
    if not isinstance(value, str) or len(value) > most:
        raise ValueError("a text is missing or too long")
    return value


def number(value: Any, least: int = 0, most: int = _LARGEST) -> int:
    """A whole number within bounds; ValueError."""
    if type(value) is not int or not least <= value <= most:
        raise ValueError("a number is missing or out of bounds")
    return value


def relative(value: Any) -> str:
    """A path that stays under its root; ValueError."""
    path = text(value, _MOST_PATH)
    parts = path.split("/") if path else []
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise ValueError("a path leads elsewhere")
    return path


def collection(value: Any, roots: int) -> tuple[int, str, str]:
    """(number of the root, path under it, name); ValueError."""
    root, path, name = value
    return number(root, 0, roots - 1), relative(path), text(name, 200)


def document(value: Any, path: Path, roots: int, vectors: int) -> Portable:
    """A line of the documents; IngestError when anything in it is not as it must be."""
    try:
        if not isinstance(value, dict) or set(value) != _KEYS:
            raise ValueError("it has other fields")
        found = _document(value, roots, vectors)
    except (ValueError, TypeError, RecursionError) as error:
        name = value.get("path") if isinstance(value, dict) else None
        shown = ascii(name)[1:81] if isinstance(name, str) else "a document"
        raise bad(path, f"{shown} in it is not as it should be ({error})") from error
    whole = ParsedDocument(
        text=found.text,
        title=found.fields["title"],
        kind=found.fields["kind"],
        language=found.fields["language"],
        sections=(),
        characters_in=found.fields["characters_in"],
        omissions=found.omissions,
    )
    try:
        audit(whole, found.chunks)
    except IngestError as error:
        raise bad(path, f"the chunks of {ascii(found.path)[1:81]} do not hold its text") from error
    return found


def _document(value: dict[str, Any], roots: int, vectors: int) -> Portable:
    body = text(value["text"], Limits().characters)
    fields = {
        "title": text(value["title"], 10_000),
        "kind": text(value["kind"], 100),
        "language": text(value["language"], 20),
        "size": number(value["size"]),
        "mtime_ns": number(value["mtime_ns"], -_LARGEST),
        "digest": text(value["digest"], 200),
        "encoding": None if value["encoding"] is None else text(value["encoding"], 100),
        "characters_in": number(value["characters_in"]),
        "metadata": value["metadata"],
        "parser_version": text(value["parser_version"], 200),
    }
    if not isinstance(fields["metadata"], dict) or len(json.dumps(fields["metadata"])) > 1 << 20:
        raise ValueError("its metadata are too large")
    omissions = tuple(Omission(text(reason, 1000), number(count)) for reason, count in value["omissions"])
    if not isinstance(value["chunks"], list) or len(value["chunks"]) > min(_MOST_CHUNKS, len(body) + 1):
        raise ValueError("it has too many chunks")
    chunks, places = [], []
    for ordinal, (start, end, page, headings, header, place) in enumerate(value["chunks"]):
        first = number(start, 0, len(body))
        last = number(end, first, len(body))
        sheet = None if page is None else number(page, 1)
        above = tuple(text(heading, 10_000) for heading in headings)
        chunks.append(Chunk(ordinal, first, last, body[first:last], text(header, 50_000), above, sheet))
        places.append(None if place is None else number(place, 0, vectors - 1))
    return Portable(
        root=number(value["root"], 0, roots - 1),
        path=relative(value["path"]),
        fields=fields,
        omissions=omissions,
        text=body,
        chunks=chunks,
        vectors=places,
    )
