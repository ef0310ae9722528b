"""A conversation as one file: Markdown for people, JSON with everything for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from app.conversations.records import Conversation, ConversationError, StoredTurn
from rag.types import Answer, Citation

if TYPE_CHECKING:
    from app.conversations.store import Conversations

FORMAT = "openbook-conversation"
VERSION = 1
# What Markdown would take for markup: a quoted document must not load a picture when the export is looked at.
_MARKUP = re.compile(r"([\\`*_\[\]<>#|~!&$])")
_STARTS = re.compile(r"^(\s*\d*)([-+=.)])", re.MULTILINE)


def export(kept: Conversations, owner: str, id: str, form: str) -> str:
    """The conversation as text. NotFound; ConversationError for another form."""
    if form == "json":
        return _json(kept, owner, id)
    if form == "markdown":
        return _markdown(kept.get(owner, id), kept.turns(owner, id))
    raise ConversationError("conversations.bad_form")


def _json(kept: Conversations, owner: str, id: str) -> str:
    """All turns with their earlier versions; citations have the offsets into the documents' stored text."""
    conversation = kept.get(owner, id)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "id": conversation.id,
        "title": conversation.title,
        "created": _moment(conversation.created),
        "updated": _moment(conversation.updated),
        "shown": [turn.id for turn in kept.turns(owner, id)],
        "turns": [as_json(turn) for turn in kept.every(owner, id)],
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def as_json(turn: StoredTurn) -> dict[str, Any]:
    """A turn as the export and the feedback list give it."""
    return {
        "id": turn.id,
        "parent": turn.parent,
        "question": turn.question,
        "options": dict(turn.options),
        "status": turn.status,
        "error": turn.error,
        "seconds": round(turn.seconds, 3),
        "created": _moment(turn.created),
        "feedback": {"rating": turn.rating, "reasons": list(turn.reasons), "comment": turn.comment},
        "answer": None if turn.answer is None else turn.answer.model_dump(mode="json"),
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _markdown(conversation: Conversation, turns: Sequence[StoredTurn]) -> str:
    parts = [f"# {_plain(conversation.title)}", f"*{_moment(conversation.created)}*"]
    for turn in turns:
        parts.append(f"## {_plain(' '.join(turn.question.split()))}")
        if turn.answer is None:
            parts.append(f"*{turn.status}*")
        else:
            parts += _answer(turn.answer)
    return "\n\n".join(parts) + "\n"


def _answer(answer: Answer) -> list[str]:
    parts = ["\n\n".join(_plain(line) for line in answer.answer.split("\n") if line.strip())]
    parts += [f"- {_cited(citation)}" for citation in answer.citations]
    parts.append(f"*{_plain(answer.model)}, seed {answer.seed}, confidence {answer.confidence:.2f}*")
    return parts


def _cited(citation: Citation) -> str:
    page = f", p. {citation.page}" if citation.page is not None else ""
    where = f"{_plain(citation.source)}{page}, characters {citation.start}–{citation.end}"
    return f"\\[{citation.n}\\] {where}: “{_plain(' '.join(citation.quote.split()))}”"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return _STARTS.sub(r"\1\\\2", _MARKUP.sub(r"\\\1", text))
