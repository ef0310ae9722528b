"""Where the tuned reader of a store lies, and how it is put there so that a kill at any moment leaves a whole one.

    STORE/reader/current.json      which folder is in use, and which was before it
    STORE/reader/<digest>/         config.json, model.safetensors (bf16), tokenizer.json, tuned.json

A new model is written into a folder of its own, which nothing reads until current.json, replaced in one step, names
it. Folders that it does not name are what a killed run left; the next tuning or undo removes them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gpt.load import find_model
from gpt.model import GPT
from gpt.tokenizer import Tokenizer
from gpt.training.checkpoint import save_model
from ingest.store import StoreBusy
from ingest.store.lock import WriterLock
from rag.types import RagError

FOLDER, POINTER, FACTS, LOCK, SCRATCH = "reader", "current.json", "tuned.json", "tune.lock", "new"
FILES = ("config.json", "model.safetensors", "tokenizer.json")
NAME = "bundled, tuned on this store"
STALE = (
    "The reader tuned on this store was made from another bundled model and is not used: tune again with "
    "python -m rag tune, or remove it with --undo."
)
DAMAGED = (
    "The reader tuned on this store is damaged and is not used: tune again with python -m rag tune, or remove it "
    "with --undo."
)


@dataclass(frozen=True, slots=True)
class Tuned:
    """A store's tuned reader; ``folder`` is None where it must not be used, and ``note`` says why."""

    folder: Path | None
    facts: dict[str, Any]
    note: str = ""


def digest_of(folder: Path) -> str:
    """SHA-256 over the files that make a model what it is."""
    total = hashlib.sha256()
    for name in FILES:
        total.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return total.hexdigest()


def find_tuned(store: Path) -> Tuned | None:
    """The tuned reader in use in a store; None where there is none. It is checked to fit the bundled model and,
    since the store is the user's to copy about, to be the file that was written."""
    pointer = _pointer(store)
    if pointer is None:
        return None
    folder = store / FOLDER / str(pointer.get("current", ""))
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        whole = facts["digest"] == digest_of(folder)
        fits = facts["base"] == digest_of(find_model("bundled"))
    except (OSError, ValueError, KeyError, TypeError):
        return Tuned(None, {}, DAMAGED)
    if not whole:
        return Tuned(None, facts, DAMAGED)
    return Tuned(folder, facts) if fits else Tuned(None, facts, STALE)


@contextmanager
def tuning(store: Path) -> Iterator[None]:
    """Keeps a second tuning of the same store out; RagError when one is under way. Ingest has a lock of its own."""
    try:
        lock = WriterLock(store / LOCK)
    except StoreBusy:
        raise RagError(f"The store {store} is being tuned already: wait until that is done, or stop it.") from None
    except OSError as error:
        raise RagError(f"The store {store} cannot be written ({error.strerror}).") from None
    try:
        _clean(store)
        yield
    finally:
        shutil.rmtree(store / FOLDER / SCRATCH, ignore_errors=True)
        lock.release()


def write(store: Path, model: GPT, tokenizer: Tokenizer) -> Path:
    """The model in a folder that nobody uses yet; RagError when the disk refuses."""
    folder = store / FOLDER / SCRATCH
    try:
        save_model(model, tokenizer, folder, torch.bfloat16)
    except Exception as error:  # safetensors raises its own type for a full disk
        shutil.rmtree(folder, ignore_errors=True)
        raise RagError(f"The tuned reader cannot be written into {store} ({error}): nothing was changed.") from None
    return folder


def keep(store: Path, facts: dict[str, Any]) -> Path:
    """Put the written model to use; the one before it stays for one undo. Call it inside `tuning`."""
    scratch = store / FOLDER / SCRATCH
    digest = digest_of(scratch)
    content = json.dumps({**facts, "digest": digest}, indent=1, ensure_ascii=False)
    (scratch / FACTS).write_text(content, encoding="utf-8")
    for path in scratch.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    folder = store / FOLDER / digest[:16]
    pointer = _pointer(store) or {}
    if not folder.exists():
        scratch.rename(folder)
    before = pointer.get("current")
    _point(store, {"current": folder.name, "earlier": before if before != folder.name else pointer.get("earlier")})
    _clean(store)
    return folder


def undo(store: Path) -> str | None:
    """Go back one tuning: the folder name now in use, "" for the bundled model; None when there is nothing to undo."""
    with tuning(store):
        pointer = _pointer(store)
        if pointer is None:
            return None
        earlier = pointer.get("earlier")
        if isinstance(earlier, str) and (store / FOLDER / earlier).is_dir():
            _point(store, {"current": earlier, "earlier": None})
        else:
            earlier = ""
            (store / FOLDER / POINTER).unlink()
        _clean(store)
        return earlier


def _pointer(store: Path) -> dict[str, Any] | None:
    """The content of current.json; {} for a damaged one, None where there is none."""
    try:
        content = json.loads((store / FOLDER / POINTER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _point(store: Path, content: dict[str, Any]) -> None:
    fresh = store / FOLDER / (POINTER + ".new")
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(store / FOLDER / POINTER)


def _clean(store: Path) -> None:
    """Remove the folders that nothing names."""
    named = set((_pointer(store) or {}).values())
    if (store / FOLDER).is_dir():
        for path in (store / FOLDER).iterdir():
            if path.is_dir() and path.name not in named:
                shutil.rmtree(path, ignore_errors=True)
        if not any((store / FOLDER).iterdir()):
            (store / FOLDER).rmdir()
