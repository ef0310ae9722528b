"""The conversations of every owner in one SQLite file, beside the store's own and untouched by it."""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.conversations import rows, search
from app.conversations.database import Database
from app.conversations.export import export
from app.conversations.records import RATINGS, Conversation, ConversationError, NotFound, Rating, StoredTurn
from app.job import Status
from rag.settings import MAX_QUESTION
from rag.types import Answer

FILE = "conversations.sqlite3"
MAX_CONVERSATIONS = 5000  # of one owner
MAX_TURNS = 500  # of one conversation, with earlier versions
MAX_COMMENT = 2000  # characters, as the next
MAX_REASON, MAX_REASONS = 40, 8
Page = list[Conversation]
Thread = list[StoredTurn]
_LIST = (
    "SELECT c.number, c.id, c.title, c.created, c.updated, "
    "(SELECT count(*) FROM turn t WHERE t.conversation = c.number) FROM conversation c WHERE c.owner = ?"
)


class Conversations:
    """``path`` is made with the first conversation. Several threads and several processes may use it.

    Every method that names a conversation or a turn raises NotFound for one that is not there or is another owner's,
    and ConversationError when the file cannot be used or a limit is met.
    """

    def __init__(self, path: str | Path, clock: Callable[[], float] = time.time) -> None:
        self.path = Path(path)
        self._file = Database(self.path)
        self._clock = clock

    def create(self, owner: str, title: str = "") -> Conversation:
        """A new conversation; without a title it takes one from its first question."""
        now, id = self._clock(), secrets.token_urlsafe(12)
        with self._file.writing() as db:
            held = db.execute("SELECT count(*) FROM conversation WHERE owner = ?", (owner,)).fetchone()[0]
            if held >= MAX_CONVERSATIONS:
                raise ConversationError("conversations.too_many", n=held)
            values = (id, owner, rows.one_line(title), now, now)
            cursor = db.execute(
                "INSERT INTO conversation(id, owner, title, created, updated) VALUES(?, ?, ?, ?, ?)", values
            )
            self._index_title(db, int(cursor.lastrowid or 0), rows.one_line(title))
        return Conversation(id, rows.one_line(title), now, now, 0)

    def get(self, owner: str, id: str) -> Conversation:
        """One conversation, as in `list`."""
        with self._file.reading() as db:
            row = db.execute(f"{_LIST} AND c.id = ?", (owner, id)).fetchone()
        if row is None:
            raise NotFound
        return rows.listed(row)

    def list(self, owner: str, query: str = "", limit: int = 50, offset: int = 0) -> Page:
        """The owner's conversations, newest first; with a query those where it stands in a turn or the title."""
        wanted = search.expression(query)
        if query.strip() and not wanted:
            return []
        found = " AND c.number IN (SELECT conversation FROM search WHERE search MATCH ?)" if wanted else ""
        order = " ORDER BY c.updated DESC, c.number DESC LIMIT ? OFFSET ?"
        bound = (owner, *([wanted] if wanted else []), max(0, limit), max(0, offset))
        with self._file.reading() as db:
            listed = db.execute(_LIST + found + order, bound).fetchall()
            snippets = {row[0]: self._snippet(db, row[0], query, wanted) for row in listed} if wanted else {}
        return [rows.listed(row, snippets.get(row[0], "")) for row in listed]

    def _snippet(self, db: sqlite3.Connection, number: int, query: str, wanted: str) -> str:
        hit = db.execute(
            "SELECT t.question, t.answer FROM search s JOIN turn t ON t.id = s.rowid "
            "WHERE search MATCH ? AND s.conversation = ? ORDER BY t.id LIMIT 1", (wanted, number)
        ).fetchone()  # fmt: skip
        if hit is None:  # the title alone has it
            return ""
        answer, _ = rows.unpacked(hit[1])
        return search.snippet(f"{hit[0]}\n{answer.answer if answer else ''}", query)

    def rename(self, owner: str, id: str, title: str) -> None:
        """An empty title is refused."""
        if not rows.one_line(title):
            raise ConversationError("conversations.no_title")
        with self._file.writing() as db:
            number = self._number(db, owner, id)
            db.execute("UPDATE conversation SET title = ? WHERE number = ?", (rows.one_line(title), number))
            self._index_title(db, number, rows.one_line(title))

    def delete(self, owner: str, id: str) -> None:
        """Deletes it with its turns; their words are overwritten in the file."""
        with self._file.writing() as db:
            self._delete(db, [self._number(db, owner, id)])

    def clear(self, owner: str) -> int:
        """Deletes all of the owner's conversations; how many they were."""
        with self._file.writing() as db:
            numbers = [row[0] for row in db.execute("SELECT number FROM conversation WHERE owner = ?", (owner,))]
            self._delete(db, numbers)
        return len(numbers)

    def _delete(self, db: sqlite3.Connection, numbers: Sequence[int]) -> None:
        for number in numbers:
            db.execute("DELETE FROM search WHERE conversation = ?", (number,))
            db.execute("DELETE FROM conversation WHERE number = ?", (number,))
        if numbers:  # or the index keeps the deleted words until it happens to merge
            db.execute("INSERT INTO search(search) VALUES('optimize')")

    def turns(self, owner: str, id: str) -> Thread:
        """The thread on view: of each turn the version chosen last."""
        with self._file.reading() as db:
            number = self._number(db, owner, id)
            found = db.execute(f"{rows.SELECT} WHERE t.conversation = ? ORDER BY t.id", (number,)).fetchall()
        return rows.thread(found)

    def every(self, owner: str, id: str) -> Thread:
        """All versions of all turns, in the order they were asked."""
        with self._file.reading() as db:
            number = self._number(db, owner, id)
            found = db.execute(f"{rows.SELECT} WHERE t.conversation = ? ORDER BY t.id", (number,)).fetchall()
        return rows.every(found)

    def turn(self, owner: str, turn_id: int) -> StoredTurn:
        """Any version of any turn."""
        with self._file.reading() as db:
            number = self._conversation(db, owner, turn_id)
            found = db.execute(f"{rows.SELECT} WHERE t.conversation = ? ORDER BY t.id", (number,)).fetchall()
        return rows.one(found, turn_id)

    def before(self, owner: str, turn_id: int) -> Thread:
        """The turns that lead to this one, from the first on."""
        with self._file.reading() as db:
            number = self._conversation(db, owner, turn_id)
            found = db.execute(f"{rows.SELECT} WHERE t.conversation = ? ORDER BY t.id", (number,)).fetchall()
        return rows.before(found, turn_id)

    def choose(self, owner: str, turn_id: int) -> None:
        """Shows this version, and with it the turns that followed it."""
        with self._file.writing() as db:
            number = self._conversation(db, owner, turn_id)
            self._choose(db, number, turn_id)

    @staticmethod
    def _choose(db: sqlite3.Connection, number: int, turn_id: int) -> None:
        beside = "conversation = ? AND parent IS (SELECT parent FROM turn WHERE id = ?)"
        db.execute(f"UPDATE turn SET chosen = (id = ?) WHERE {beside}", (turn_id, number, turn_id))

    def append(
        self, owner: str, id: str, question: str, options: Mapping[str, Any] | None = None, job: str = ""
    ) -> StoredTurn:
        """A new turn after the last one on view, to be answered by ``job``."""
        with self._file.writing() as db:
            number = self._number(db, owner, id)
            shown = rows.thread(db.execute(f"{rows.BARE} WHERE t.conversation = ? ORDER BY t.id", (number,)).fetchall())
            turn_id = self._add(db, number, shown[-1].id if shown else None, question, options or {}, job)
        return self.turn(owner, turn_id)

    def replace(
        self,
        owner: str,
        turn_id: int,
        question: str | None = None,
        options: Mapping[str, Any] | None = None,
        job: str = "",
    ) -> StoredTurn:
        """A new version of a turn, edited or to be answered again, which is shown from now on."""
        with self._file.writing() as db:
            number = self._conversation(db, owner, turn_id)
            held = db.execute("SELECT parent, question, options FROM turn WHERE id = ?", (turn_id,)).fetchone()
            wanted = held[1] if question is None else question
            new = self._add(db, number, held[0], wanted, json.loads(held[2]) if options is None else options, job)
        return self.turn(owner, new)

    def _add(
        self,
        db: sqlite3.Connection,
        number: int,
        parent: int | None,
        question: str,
        options: Mapping[str, Any],
        job: str,
    ) -> int:
        question = rows.clean(question.strip())[:MAX_QUESTION]  # the chain refuses longer ones by name
        held = db.execute("SELECT count(*) FROM turn WHERE conversation = ?", (number,)).fetchone()[0]
        if held >= MAX_TURNS:
            raise ConversationError("conversations.too_long", n=held)
        now = self._clock()
        row = (number, parent, question, json.dumps(options, ensure_ascii=False), job, now)
        cursor = db.execute(
            "INSERT INTO turn(conversation, parent, chosen, question, options, status, job, created) "
            "VALUES(?, ?, 1, ?, ?, 'waiting', ?, ?)", row
        )  # fmt: skip
        turn_id = int(cursor.lastrowid or 0)
        self._choose(db, number, turn_id)
        db.execute(
            "INSERT INTO search(rowid, body, conversation) VALUES(?, ?, ?)", (turn_id, search.indexed(question), number)
        )
        db.execute("UPDATE conversation SET updated = ? WHERE number = ?", (now, number))
        title = db.execute("SELECT title FROM conversation WHERE number = ?", (number,)).fetchone()[0]
        if not title:
            title = rows.one_line(search.title(question))
            db.execute("UPDATE conversation SET title = ? WHERE number = ?", (title, number))
            self._index_title(db, number, title)
        return turn_id

    def finish(
        self, turn_id: int, status: Status, answer: Answer | None = None, error: str = "", seconds: float = 0.0
    ) -> None:
        """Stores what became of a turn; nothing happens when it has been deleted meanwhile."""
        with self._file.writing() as db:
            row = db.execute("SELECT conversation, question FROM turn WHERE id = ?", (turn_id,)).fetchone()
            if row is None:
                return
            db.execute(
                "UPDATE turn SET status = ?, answer = ?, error = ?, seconds = ? WHERE id = ?",
                (status, rows.packed(answer), error, seconds, turn_id),
            )
            if answer is not None:
                body = search.indexed(f"{row[1]}\n{answer.answer}")
                db.execute("UPDATE search SET body = ? WHERE rowid = ?", (body, turn_id))
            db.execute("UPDATE conversation SET updated = ? WHERE number = ?", (self._clock(), row[0]))

    def rate(self, owner: str, turn_id: int, rating: Rating, reasons: Sequence[str] = (), comment: str = "") -> None:
        """Feedback on an answer; "" takes it back."""
        if rating not in RATINGS:
            raise ConversationError("conversations.bad_rating")
        codes = [rows.clean(str(reason))[:MAX_REASON] for reason in reasons][:MAX_REASONS] if rating else []
        with self._file.writing() as db:
            self._conversation(db, owner, turn_id)
            db.execute(
                "UPDATE turn SET rating = ?, reasons = ?, comment = ? WHERE id = ?",
                (rating, json.dumps(codes), rows.clean(comment).strip()[:MAX_COMMENT] if rating else "", turn_id),
            )

    def rated(self, owner: str | None = None, rating: Rating = "down") -> Iterator[tuple[str, StoredTurn]]:
        """Each turn with this feedback, oldest first, and its owner; None: of all owners."""
        with self._file.reading() as db:
            listed = db.execute(
                "SELECT c.owner, t.id FROM turn t JOIN conversation c ON c.number = t.conversation "
                "WHERE t.rating = ? AND (? IS NULL OR c.owner = ?) ORDER BY t.id", (rating, owner, owner)
            ).fetchall()  # fmt: skip
        for name, turn_id in listed:
            with contextlib.suppress(NotFound):  # deleted meanwhile
                yield name, self.turn(name, turn_id)

    def export(self, owner: str, id: str, form: str) -> str:
        """The conversation as "markdown" or "json"."""
        return export(self, owner, id, form)

    def close(self) -> None:
        self._file.close()

    @staticmethod
    def _index_title(db: sqlite3.Connection, number: int, title: str) -> None:
        """A title has the row of its conversation's number, negative, beside the rows of the turns."""
        db.execute("DELETE FROM search WHERE rowid = ?", (-number,))
        values = (-number, search.indexed(title), number)
        db.execute("INSERT INTO search(rowid, body, conversation) VALUES(?, ?, ?)", values)

    @staticmethod
    def _number(db: sqlite3.Connection, owner: str, id: str) -> int:
        row = db.execute("SELECT number FROM conversation WHERE owner = ? AND id = ?", (owner, id)).fetchone()
        if row is None:
            raise NotFound
        return int(row[0])

    @staticmethod
    def _conversation(db: sqlite3.Connection, owner: str, turn_id: int) -> int:
        row = db.execute(
            "SELECT c.number FROM turn t JOIN conversation c ON c.number = t.conversation "
            "WHERE c.owner = ? AND t.id = ?", (owner, turn_id)
        ).fetchone()  # fmt: skip
        if row is None:
            raise NotFound
        return int(row[0])
