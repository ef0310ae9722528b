"""JSON and JSON lines: every leaf as a line ``path.to.key: value``, a blank line between records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.decode import decode_text
from ingest.parsers.draft import Draft, finish, title_of
from ingest.types import IngestError, ParsedDocument, Section


def parse(path: Path, data: bytes) -> ParsedDocument:
    """Text that is not valid JSON (comments, trailing commas) is kept as written; a broken line of JSON lines, too."""
    text, encoding = decode_text(data)
    try:
        records = _records(path, text)
    except ValueError:
        return finish(text, title_of(path), "json", [Section(0, len(text))], len(text), encoding=encoding)
    draft = Draft()
    for key, record in records:
        if key:
            draft.heading(1, key, shown="")
        draft.add("\n".join(_leaves(record, key)))
    return draft.document(title_of(path), "json", [], encoding)


def _records(path: Path, text: str) -> list[tuple[str, Any]]:
    """``(heading, value)`` pairs: the items of a list, the keys of an object, the lines of JSON lines."""
    if path.suffix.lower() != ".json":
        return [("", json.loads(line)) for line in text.split("\n") if line.strip()]
    value = json.loads(text)
    if isinstance(value, list):
        return [("", item) for item in value]
    if isinstance(value, dict) and any(isinstance(item, dict | list) for item in value.values()):
        plain = {key: item for key, item in value.items() if not isinstance(item, dict | list)}
        nested = [(key, item) for key, item in value.items() if isinstance(item, dict | list)]
        return ([("", plain)] if plain else []) + nested
    return [("", value)]


def _leaves(value: Any, name: str, depth: int = 0) -> Iterator[str]:
    if depth > 200:
        raise IngestError("is nested too deeply to be read (over 200 levels); flatten or split it.")
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}" if name else str(key), depth + 1)
    elif isinstance(value, list):
        if all(not isinstance(item, dict | list) for item in value):
            yield from _line(name, ", ".join(map(_scalar, value)))
        else:
            for n, item in enumerate(value, 1):
                yield from _leaves(item, f"{name}[{n}]", depth + 1)
    else:
        yield from _line(name, _scalar(value))


def _line(name: str, value: str) -> Iterator[str]:
    if value:
        yield f"{name}: {value}" if name else value


def _scalar(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
