"""A store as one file that can be taken elsewhere: a ZIP of three members, with nothing in it that could run.

``documents.jsonl``  a JSON object per document: what is known of it, its text, and its chunks as
                     [start, end, page, headings, header, number of its vector or null]
``vectors.f32``      the vectors, float32 little-endian, one after the other, each once
``openbook.json``    format, encoder, roots, collections, and the size and SHA-256 of the other two

Paths are relative to the folders that were ingested, so nothing is told about the computer it comes from.
"""

from __future__ import annotations

FORMAT = 1
MANIFEST, DOCUMENTS, VECTORS = "openbook.json", "documents.jsonl", "vectors.f32"

# The columns of a document that travel as they are; path, root, text and chunks have their own rules.
FIELDS = (
    *("title", "kind", "language", "size", "mtime_ns", "digest", "encoding", "characters_in", "metadata"),
    "parser_version",
)
