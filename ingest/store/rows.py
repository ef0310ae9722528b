"""Rows of the database as records, each checked against its seal; an altered one is a `sqlite3.DatabaseError`."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import numpy as np

from ingest.store.records import ChunkRecord, DocumentRecord, chunk_hash
from ingest.store.seals import seal, text_digest, vector_seal
from ingest.types import Omission

DOCUMENT = """SELECT d.id, d.path, r.path, d.title, d.kind, d.language, d.size, d.mtime_ns, d.digest,
  d.encoding, d.characters_in, d.characters, d.chunk_count, d.omissions, d.metadata, d.parser_version,
  d.text_digest, d.seal FROM documents d JOIN roots r ON r.id = d.root_id"""
CHUNK = """SELECT c.id, c.doc_id, c.ordinal, c.start, c."end", c.page, c.headings, c.header, v.hash, c.seal, c.text
  FROM chunks c JOIN vectors v ON v.id = c.vector_id"""
VECTOR = """SELECT c.id, c.doc_id, c.ordinal, c.start, c."end", c.page, c.headings, c.header, v.hash, c.seal,
  v.seal, v.data FROM chunks c JOIN vectors v ON v.id = c.vector_id"""

Row = tuple[Any, ...]


def to_sql(text: str) -> str | bytes:
    """Text as a column takes it: names of files that are not valid UTF-8 (lone surrogates) become blobs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def from_sql(value: str | bytes) -> str:
    """The inverse of `to_sql`; sqlite3.DatabaseError for what is neither."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise sqlite3.DatabaseError(f"a text is not as it was written ({error.reason})") from error
    if not isinstance(value, str):
        raise sqlite3.DatabaseError("a text is not as it was written")
    return value


def altered(what: str) -> sqlite3.DatabaseError:
    """The error for a row that is not what its seal was made of."""
    return sqlite3.DatabaseError(f"{what} is not as it was written")


def _sealed(values: tuple[Any, ...], expected: object, what: str) -> None:
    try:
        whole = seal(*values) == expected
    except TypeError:  # bytes in place of a number
        whole = False
    if not whole:
        raise altered(what)


def document_values(row: Row) -> tuple[Any, ...]:
    """What a document's seal is made of: the columns of `DOCUMENT` but for the seal."""
    return (row[0], *(from_sql(value) for value in row[1:4]), *row[4:17])


def check_document(row: Row) -> None:
    """Compare a row of `DOCUMENT` with its seal."""
    _sealed(document_values(row), row[17], f"document {row[0]}")


def document_record(row: Row) -> DocumentRecord:
    """A row of `DOCUMENT` as a record."""
    check_document(row)
    values = list(document_values(row)[:16])
    values[13] = tuple(Omission(reason, count) for reason, count in json.loads(row[13]))
    values[14] = json.loads(row[14])
    return DocumentRecord(*values)


def chunk_seal(row: Row) -> int:
    """The seal of a chunk: (id, document, ordinal, start, end, page, headings as JSON, header, hash).

    The hash is that of header and text, which need not be sealed again; the header's length says where it ends.
    """
    return seal(*row[:7], len(from_sql(row[7])), row[8])


def check_chunk(row: Row) -> None:
    """Compare a row of `CHUNK` or `VECTOR` with its seal; the text is `embed_text`'s concern."""
    _sealed((*row[:7], len(from_sql(row[7])), row[8]), row[9], f"chunk {row[0]}")


def embed_text(row: Row) -> str:
    """Header and text of a row of `CHUNK` as the encoder and the lexical index see them, both checked."""
    check_chunk(row)
    header, text = from_sql(row[7]), from_sql(row[10])
    whole = f"{header}\n{text}" if header else text
    if chunk_hash(whole) != row[8]:
        raise altered(f"chunk {row[0]}")
    return whole


def chunk_record(row: Row, document: DocumentRecord) -> ChunkRecord:
    """A row of `CHUNK` with its document as a record."""
    embed_text(row)
    number, doc_id, ordinal, start, end, page, headings, header, key, _, text = row
    return ChunkRecord(
        id=number,
        doc_id=doc_id,
        source=document.path,
        title=document.title,
        headings=tuple(json.loads(headings)),
        page=page,
        start=start,
        end=end,
        text=from_sql(text),
        hash=key,
        metadata=document.metadata,
        ordinal=ordinal,
        header=from_sql(header),
    )


def checked_text(doc_id: int, text: str | bytes, digest: str) -> str:
    """A document's text, compared with its digest."""
    found = from_sql(text)
    if text_digest(found) != digest:
        raise altered(f"the text of document {doc_id}")
    return found


def check_vector(key: str, expected: object, data: object, dimension: int) -> bytes | None:
    """The bytes of a vector, float32 little-endian, or None while it waits; its seal and length are checked."""
    if not (data is None or (isinstance(data, bytes) and len(data) == 4 * dimension)):
        raise altered("a vector")
    if not isinstance(key, str) or vector_seal(key, data) != expected:
        raise altered("a vector")
    return data


def vector(data: bytes) -> np.ndarray:
    """float32 (d,) from a checked vector's bytes."""
    return np.frombuffer(data, "<f4").astype(np.float32)
