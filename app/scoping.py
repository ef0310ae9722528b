"""Where a question is to be answered from: the files and collections that were clicked, as the question says them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from app import payload
from app.shelves import collections_of
from app.workspace import Workspace

if TYPE_CHECKING:
    from ingest.store import DocumentRecord

_MARKS = (('"', '"'), ("'", "'"), ("“", "”"), ("「", "」"), ("『", "』"), ("《", "》"))
MOST = 20  # files and collections of one question


def short(path: str) -> str:
    """The name of a file: the last part of its path."""
    return path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def quoted(name: str) -> str:
    """A name as the language of `rag.scope` takes it, in quotation marks that it does not hold itself."""
    if all(sign.isalnum() or sign in "._-/" for sign in name) and (name[-1:].isalnum() or name.endswith("/")):
        return name
    first, last = next((pair for pair in _MARKS if not set(pair) & set(name)), _MARKS[0])
    return f"{first}{name}{last}"


def repeated(records: list[DocumentRecord]) -> set[str]:
    """File names that several documents have."""
    return {name for name, count in Counter(short(record.path) for record in records).items() if count > 1}


def named(record: DocumentRecord, twice: set[str]) -> str:
    """``@name`` for a file; with its folder where the name is among those that several have."""
    name = short(record.path)
    if name in twice:
        name = "/".join(record.path.replace("\\", "/").split("/")[-2:])
    return f"@{quoted(name)}"


def said_scope(workspace: Workspace, chosen: Any) -> list[str]:
    """The terms to put before the question: ``chosen`` holds numbers of files and names of collections. What is not in
    the store is Refused.
    """
    wanted = payload.numbers(chosen, "files", MOST)
    names = chosen.get("collections") if isinstance(chosen, dict) else None
    collections = [name for name in names[:MOST] if isinstance(name, str)] if isinstance(names, list) else []
    terms = []
    if wanted:
        records = workspace.documents()
        by_id = {record.id: record for record in records}
        twice = repeated(records)
        if any(number not in by_id for number in wanted):
            raise payload.Refused("scope.gone")
        terms += [named(by_id[number], twice) for number in wanted]
    if collections:
        known = set(collections_of(workspace).values())
        if any(name not in known for name in collections):
            raise payload.Refused("scope.gone")
        terms += [f"in:{quoted(name)}" for name in collections]
    return terms
