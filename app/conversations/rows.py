"""Rows of the turn table as `StoredTurn`s, and answers as the compressed JSON they are kept as."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

from pydantic import ValidationError

from app.conversations.records import Conversation, ConversationError, NotFound, StoredTurn
from rag.types import Answer

MAX_TITLE = 200  # characters
MAX_ANSWER = 16 * 2**20  # bytes of JSON; an answer with 50 passages and its trace has 0.3 MiB
_COLUMNS = (
    "t.id, c.id, t.parent, t.chosen, t.question, t.options, t.status, t.job, {answer}, t.error, t.seconds, t.created, "
    "t.rating, t.reasons, t.comment"
)
_FROM = "SELECT " + _COLUMNS + " FROM turn t JOIN conversation c ON c.number = t.conversation"
SELECT = _FROM.format(answer="t.answer")
BARE = _FROM.format(answer="NULL")  # where the tree is all that matters
Row = tuple[Any, ...]


def listed(row: Row, snippet: str = "") -> Conversation:
    """A conversation of the list, from its number, id, title, times and turns."""
    _, id, title, created, updated, turns = row
    return Conversation(id, title, created, updated, turns, snippet)


def clean(text: str) -> str:
    """Without lone surrogates, which no UTF-8 file can hold."""
    return text.encode("utf-8", "replace").decode()


def one_line(text: str) -> str:
    """A title: on one line, without what cannot be seen."""
    return "".join(c for c in " ".join(clean(text).split()) if c.isprintable())[:MAX_TITLE].strip()


def packed(answer: Answer | None) -> bytes | None:
    """The answer's JSON, compressed to about a fifth. ConversationError when it is far too large."""
    if answer is None:
        return None
    data = answer.model_dump_json().encode()
    if len(data) > MAX_ANSWER:
        raise ConversationError("conversations.too_large", n=len(data) // 2**20)
    return zlib.compress(data)


def unpacked(data: bytes | None) -> tuple[Answer | None, str]:
    """The answer, and the key of the reason why it cannot be shown."""
    if data is None:
        return None, ""
    try:
        text = zlib.decompressobj().decompress(data, MAX_ANSWER + 1)
        return Answer.model_validate_json(text), ""
    except (zlib.error, ValidationError):  # of another version, or damaged
        return None, "conversations.unreadable"


def thread(found: Sequence[Row]) -> list[StoredTurn]:
    """The turns on view, from the first on; ``found`` are all rows of a conversation by id."""
    beside = _by_parent(found)
    shown: list[StoredTurn] = []
    parent: int | None = None
    while parent in beside:
        row = next((row for row in reversed(beside[parent]) if row[3]), beside[parent][-1])
        shown.append(_turn(row, len(shown), beside[parent]))
        parent = row[0]
    return shown


def every(found: Sequence[Row]) -> list[StoredTurn]:
    """All the turns, each with its place in its own thread."""
    beside, numbers = _by_parent(found), _numbers(found)
    return [_turn(row, numbers[row[0]], beside[row[2]]) for row in found]


def one(found: Sequence[Row], turn_id: int) -> StoredTurn:
    """The turn with this id among the rows of its conversation."""
    row = next((row for row in found if row[0] == turn_id), None)
    if row is None:
        raise NotFound
    return _turn(row, _numbers(found)[turn_id], _by_parent(found)[row[2]])


def before(found: Sequence[Row], turn_id: int) -> list[StoredTurn]:
    """The turns from the first to the one before this."""
    rows, beside = {row[0]: row for row in found}, _by_parent(found)
    path: list[Row] = []
    parent = rows[turn_id][2]
    while parent is not None:
        path.append(rows[parent])
        parent = rows[parent][2]
    return [_turn(row, number, beside[row[2]]) for number, row in enumerate(reversed(path))]


def _numbers(found: Iterable[Row]) -> dict[int, int]:
    """Turn id -> how many turns lead to it."""
    numbers: dict[int, int] = {}
    for row in found:  # a parent is older than what follows it
        numbers[row[0]] = 0 if row[2] is None else numbers[row[2]] + 1
    return numbers


def _by_parent(found: Iterable[Row]) -> dict[int | None, list[Row]]:
    beside: dict[int | None, list[Row]] = {}
    for row in found:
        beside.setdefault(row[2], []).append(row)
    return beside


def _turn(row: Row, number: int, beside: Sequence[Row]) -> StoredTurn:
    id, conversation, parent, _, question, options, status, job, data, error, seconds, created, *feedback = row
    answer, trouble = unpacked(data)
    versions = [other[0] for other in beside]
    turn = StoredTurn(
        id=id,
        conversation=conversation,
        parent=parent,
        question=question,
        number=number,
        version=versions.index(id) + 1,
        versions=versions,
        options=json.loads(options),
        status=status,
        job=job,
        answer=answer,
        error=error or trouble,
        seconds=seconds,
        created=created,
    )
    rating, reasons, comment = feedback
    return replace(turn, rating=cast(Any, rating), reasons=json.loads(reasons), comment=comment)
