"""What lies in a store's folder beside the database: the folders of the derived indexes and what they tell."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from ingest.store import lexical, vectors
from ingest.store.files import Damaged, read_manifest, remove_quietly


def index_generations(directory: Path) -> dict[str, int | None]:
    """Folder of an index -> the commit it was made from; None when it is missing or cannot be told."""
    found: dict[str, int | None] = {}
    for module in (lexical, vectors):
        found[module.FOLDER] = None
        with contextlib.suppress(Damaged, KeyError, TypeError, ValueError):
            manifest = read_manifest(directory / module.FOLDER / module.MANIFEST)
            found[module.FOLDER] = int(manifest["generation"])
    return found


def newest_index(directory: Path) -> int:
    """The newest commit that an index in ``directory`` was made from; -1 when there is none."""
    return max(
        (generation for generation in index_generations(directory).values() if generation is not None), default=-1
    )


def forget_indexes(directory: Path) -> None:
    """Delete the indexes: they are made anew from the database."""
    for module in (lexical, vectors):
        shutil.rmtree(directory / module.FOLDER, ignore_errors=True)


def sweep(directory: Path) -> None:
    """Delete what a killed writer was about to write to the indexes; the caller holds the writer lock."""
    for module in (lexical, vectors):
        for path in (directory / module.FOLDER).glob("*.tmp"):
            remove_quietly(path)
    with contextlib.suppress(OSError, Damaged, KeyError, TypeError):
        named = {
            str(entry["name"]) for entry in read_manifest(directory / vectors.FOLDER / vectors.MANIFEST)["segments"]
        }
        for path in (directory / vectors.FOLDER).iterdir():
            if path.name != vectors.MANIFEST and path.name.split(".")[0] not in named:
                remove_quietly(path)


def folder_bytes(path: Path) -> int:
    """Bytes of a file, or of all files under a folder; a file in two places by a hard link counts once."""
    seen: dict[tuple[int, int], int] = {}
    for entry in [path, *path.rglob("*")]:
        with contextlib.suppress(OSError):
            status = entry.lstat()
            if not entry.is_dir():
                seen[status.st_dev, status.st_ino] = status.st_size
    return sum(seen.values())
