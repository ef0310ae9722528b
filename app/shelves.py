"""Collections: names under which questions can ask for some of the documents (``in:NAME``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from app.payload import Refused
from app.workspace import Workspace

if TYPE_CHECKING:
    from ingest.store import DocumentRecord

MAX_NAME = 60


def collections_of(workspace: Workspace) -> dict[str, str]:
    """Path of a folder or file -> name of its collection; {} while there is no store."""
    if not workspace.exists():
        return {}
    from ingest.store import Store

    with Store.open(workspace.store) as store:
        return store.collections()


def shelves(workspace: Workspace, records: list[DocumentRecord]) -> dict[str, list[DocumentRecord]]:
    """The documents of each collection by name; those of none under "", last. A document may be in several."""
    from ingest.plan import in_scope

    by_name: dict[str, list[Path]] = {}
    for path, name in collections_of(workspace).items():
        by_name.setdefault(name, []).append(Path(path))
    found = {
        name: [record for record in records if in_scope(record.path, by_name[name])]
        for name in sorted(by_name, key=str.casefold)
    }
    held = {record.id for group in found.values() for record in group}
    found = {name: group for name, group in found.items() if group}
    found[""] = [record for record in records if record.id not in held]
    return found


def collect(workspace: Workspace, paths: list[str], name: str) -> None:
    """Puts files into the collection ``name``. StoreBusy while something else is being written."""
    from ingest.store import Store

    with Store.open(workspace.store, write=True) as store, store.transaction():
        store.collect(paths, " ".join(name.split())[:MAX_NAME])


def gather(workspace: Workspace, numbers: list[int], name: str) -> int:
    """Makes a collection of the documents with these numbers; how many there are. Refused without name or documents."""
    by_id = {record.id: record.path for record in workspace.documents()}
    paths = [by_id[number] for number in numbers if number in by_id]
    if not name or not paths:
        raise Refused("shelf.nothing")
    collect(workspace, paths, name)
    return len(paths)


def dissolve(workspace: Workspace, name: str) -> None:
    """Takes the name away from what has it; the documents stay. Refused when no collection has it."""
    paths = [path for path, known in collections_of(workspace).items() if known == name]
    if not paths:
        raise Refused("shelf.gone")
    collect(workspace, paths, "")
