"""Small documents and vectors for the store's tests: eight numbers each, no encoder needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ingest.store import EncoderStamp, NewDocument, Store
from ingest.types import Chunk, Omission

STAMP = EncoderStamp("toy", "0123456789abcdef", 8, 254, ("en", "zh"))


def vector(seed: int) -> np.ndarray:
    """A unit vector, the same for the same seed."""
    row = np.random.default_rng(seed).normal(size=8)
    return (row / np.linalg.norm(row)).astype(np.float32)


def new_document(path: str, text: str, **changes: object) -> NewDocument:
    values: dict[str, object] = {
        "path": path,
        "root": "/docs",
        "title": Path(path).stem,
        "kind": "text",
        "language": "en",
        "size": len(text.encode("utf-8", "surrogatepass")),
        "mtime_ns": 1_700_000_000_000_000_000,
        "digest": f"digest of {text[:20]!r}",
        "characters_in": len(text) + 3,
        "encoding": "utf-8",
        "omissions": (Omission("a byte order mark", 3),),
        "parser_version": "1",
        "text": text,
    }
    return NewDocument(**(values | changes))  # type: ignore[arg-type]


def pieces(text: str, *, header: str = "", size: int = 40) -> list[Chunk]:
    """Chunks of ``size`` characters."""
    starts = range(0, len(text), size)
    return [
        Chunk(
            number,
            start,
            min(start + size, len(text)),
            text[start : start + size],
            header,
            ("Part", "One"),
            2,
        )
        for number, start in enumerate(starts)
    ]


def add(store: Store, path: str, text: str, *, seed: int = 0, header: str = "", **changes: object) -> int:
    """Put a document whose chunk vectors come from ``seed``, ``seed + 1``, …"""
    chunks = pieces(text, header=header)
    rows = np.stack([vector(seed + number) for number in range(len(chunks))])
    return store.put(new_document(path, text, **changes), chunks, rows)
