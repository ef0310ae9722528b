"""The store: the only code that knows the disk layout.

SQLite is the truth; the dense (FAISS) and lexical (tantivy) indexes are derived from it, carry its
generation and checksums, and are caught up or rebuilt when they are stale, missing or damaged.
"""

from ingest.store.records import (
    ChunkRecord,
    DocumentRecord,
    EncoderStamp,
    NewDocument,
    StoreBusy,
    StoreError,
    chunk_hash,
)
from ingest.store.store import Store

__all__ = [
    "ChunkRecord",
    "DocumentRecord",
    "EncoderStamp",
    "NewDocument",
    "Store",
    "StoreBusy",
    "StoreError",
    "chunk_hash",
]
