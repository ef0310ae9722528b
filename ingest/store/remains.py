"""What can still be read of a database, document by document, whatever else of it is damaged.

The same fact often stands in two places, and then one mends the other: a chunk's text is a slice of its document's,
a document's text can be put together from its chunks, and both prove themselves by their digests.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ingest.store import rows, schema
from ingest.store.records import ChunkRecord, DocumentRecord, chunk_hash
from ingest.store.rows import Row, from_sql
from ingest.store.seals import Totals, text_digest

_CHUNK = 'SELECT id, doc_id, ordinal, start, "end", page, headings, header, seal, text, vector_id FROM chunks'


@dataclass(slots=True)
class Remnant:
    """What is left of one document.

    ``record`` is None when its row is lost, ``path`` is then told as far as it can be read; ``text`` is None unless it
    is whole. ``chunks`` are those that are whole, with ``vectors`` by hash; ``mended`` counts what was altered but
    stands elsewhere, ``faults`` says in words what was.
    """

    number: int
    record: DocumentRecord | None = None
    path: str | None = None
    text: str | None = None
    chunks: list[ChunkRecord] = field(default_factory=list)
    vectors: dict[str, bytes] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)  # hashes of chunks that have no vector yet, which is no fault
    faults: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether nothing but vectors, which can be made again, is missing."""
        return self.record is not None and self.text is not None and len(self.chunks) == self.record.chunk_count


class Remains:
    """A damaged database, or one that may be; nothing is written."""

    def __init__(self, path: Path, *, dimension: int, probe: bool = False) -> None:
        """``probe``: look for rows one by one, because the database's own lists of them cannot be trusted."""
        self._connection = schema.connect(path, write=False)
        self._connection.text_factory = lambda data: data.decode("utf-8", "replace")
        self._connection.execute("BEGIN")  # one commit is looked at, whatever a writer does meanwhile
        self._dimension = dimension
        self._probe = probe
        try:
            self.totals = schema.read_totals(self._connection)
        except (*schema.FAULTS, TypeError, ValueError):
            last = [self._rows(f"SELECT max(id) FROM {table}") for table in ("documents", "chunks")]
            numbers = [found[0][0] if found and isinstance(found[0][0], int) else 0 for found in last]
            self.totals = Totals(last_document=numbers[0], last_chunk=numbers[1])
        self._chunks: dict[int, list[int]] = defaultdict(list)
        if probe:
            for number in range(1, self.totals.last_chunk + 1):
                for (doc_id,) in self._rows("SELECT doc_id FROM chunks WHERE id=?", number):
                    self._chunks[doc_id].append(number)

    def close(self) -> None:
        self._connection.close()

    def _rows(self, query: str, *values: object) -> list[Row]:
        """What can be read; a page that is damaged hides the rows on it."""
        found: list[Row] = []
        try:
            found.extend(self._connection.execute(query, values))
        except schema.FAULTS:
            return found
        return found

    def documents(self) -> Iterator[Remnant]:
        """Every document of which anything is left, by id."""
        if self._probe:
            numbers: Iterator[int] = iter(range(1, self.totals.last_document + 1))
        else:
            numbers = iter([row[0] for row in self._rows("SELECT id FROM documents ORDER BY id")])
        for number in numbers:
            remnant = self._document(number)
            if remnant is not None:
                yield remnant

    def _document(self, number: int) -> Remnant | None:
        remnant = Remnant(number)
        digest = None
        for row in self._document_rows(number):
            try:
                remnant.record, digest = rows.document_record(row), row[16]
                remnant.path = remnant.record.path
                break
            except sqlite3.DatabaseError:
                continue
        if remnant.record is None:
            names = self._rows("SELECT path FROM documents WHERE id=?", number)
            if not names and not self._chunks.get(number):
                return None
            remnant.faults.append("what is known about the file is not as it was written")
            for (name,) in names:
                remnant.path = name if isinstance(name, str) else None
            return remnant
        found = self._rows("SELECT text FROM documents WHERE id=?", number)
        text = found[0][0] if found else ""
        remnant.text = _text(text, digest)
        raw = self._chunk_rows(number)
        if remnant.text is None:
            remnant.faults.append("its text is not as it was written")
            remnant.text = _patched(text, raw, digest, remnant.record.characters)
        for row in raw:
            self._chunk(row, remnant, remnant.record)
        missing = remnant.record.chunk_count - len(remnant.chunks)
        if missing:
            remnant.faults.append(f"{missing} of its {remnant.record.chunk_count} chunks are not as they were written")
        remnant.chunks.sort(key=lambda chunk: chunk.ordinal)
        return remnant

    def _document_rows(self, number: int) -> list[Row]:
        """The row of `rows.DOCUMENT`, then the same with every folder that could have been its root: the seal knows."""
        found = self._rows(f"{rows.DOCUMENT} WHERE d.id=?", number)
        query = rows.DOCUMENT.replace("r.path", "d.path").replace("JOIN roots r ON r.id = d.root_id", "")
        for row in self._rows(f"{query} WHERE d.id=?", number):
            name = _loose(row[1]) or ""
            ends = [place for place, letter in enumerate(name) if letter == "/" and place] + [len(name)]
            found += [(*row[:2], root, *row[3:]) for root in ["/", *(name[:end] for end in ends)]]
        return found

    def _chunk_rows(self, number: int) -> list[Row]:
        if self._probe:
            return [row for chunk in self._chunks.get(number, ()) for row in self._rows(f"{_CHUNK} WHERE id=?", chunk)]
        return self._rows(f"{_CHUNK} WHERE doc_id=?", number)

    def _chunk(self, row: Row, remnant: Remnant, document: DocumentRecord) -> None:
        texts = [row[9]]
        if remnant.text is not None and isinstance(row[3], int) and isinstance(row[4], int):
            texts.append(remnant.text[max(0, row[3]) : max(0, row[4])])
        for place, text in enumerate(texts):
            chunk = _sealed(row, text, document)
            if chunk is None or (remnant.text is not None and remnant.text[chunk.start : chunk.end] != chunk.text):
                continue
            if place:
                remnant.faults.append(f"the text of chunk {chunk.id} is not as it was written")
            remnant.chunks.append(chunk)
            self._vector(chunk.hash, row[10], remnant)
            return

    def _vector(self, key: str, vector_id: object, remnant: Remnant) -> None:
        query = "SELECT id, hash, seal, data FROM vectors WHERE id=? OR hash=?"
        for number, stored, mark, data in self._rows(query, vector_id, key):
            if stored != key:
                continue
            if number != vector_id:
                remnant.faults.append("a chunk has lost its vector")
            try:
                found = rows.check_vector(key, mark, data, self._dimension)
            except sqlite3.DatabaseError:
                continue
            if found is None:
                remnant.waiting.add(key)
            else:
                remnant.vectors[key] = found
            return
        remnant.faults.append("a vector is not as it was written")


def _text(value: object, digest: object) -> str | None:
    """A text that its digest proves, or None."""
    try:
        text = from_sql(value)  # type: ignore[arg-type]
    except sqlite3.DatabaseError:
        return None
    return text if text_digest(text) == digest else None


def _patched(value: object, raw: list[Row], digest: object, characters: int) -> str | None:
    """A damaged text with the chunks' texts laid over it, if that makes it whole.

    Damage may change the number of characters: what stands between chunks is taken from the front of the text before
    the first difference, and counted from the end behind it.
    """
    damaged = _loose(value) or ""
    front, back = list(damaged[:characters]), list(damaged[-characters:])
    letters = front + [" "] * (characters - len(front))
    behind = [" "] * (characters - len(back)) + back
    first = characters
    for row in raw:
        start, end, text = row[3], row[4], _loose(row[9])
        if text is None or not (isinstance(start, int) and isinstance(end, int)):
            continue
        if 0 <= start <= end <= characters and end - start == len(text):
            before = "".join(letters[start:end])
            if before != text:
                first = min(first, start + next(n for n in range(len(text)) if before[n] != text[n]))
            letters[start:end] = behind[start:end] = text
    return _text("".join(letters[:first] + behind[first:]), digest)


def _loose(value: object) -> str | None:
    """Whatever text can be made of a value."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def _sealed(row: Row, text: object, document: DocumentRecord) -> ChunkRecord | None:
    """The chunk of a row of `_CHUNK` with this text, if its seal says that all of it is as it was written."""
    try:
        header, body = from_sql(row[7]), from_sql(text)  # type: ignore[arg-type]
        key = chunk_hash(f"{header}\n{body}" if header else body)
        return rows.chunk_record((*row[:8], key, row[8], body), document)
    except (sqlite3.DatabaseError, TypeError):
        return None
