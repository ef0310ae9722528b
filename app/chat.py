"""Stored turns and the events of a job become turns of the page, and these its HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from app import evidence
from app.i18n import TEXT, both
from app.turn_view import turn_html
from app.turns import Turn

if TYPE_CHECKING:
    from app.conversations import StoredTurn
    from app.job import Job

MAX_QUESTION = 2000  # characters: what a person types; the chain itself takes more
PAUSE = 0.08  # seconds between page updates while text streams: smooth to the eye, few enough to send


class View(NamedTuple):
    """What the page shows of a conversation, as HTML: closed turns, the newest turn, passages."""

    done: str
    live: str
    evidence: str


def view(turns: list[Turn]) -> View:
    """The whole page for these turns; the last one is kept apart so that streaming sends only that."""
    done = "".join(turn_html(turn, index) for index, turn in enumerate(turns[:-1]))
    live = turn_html(turns[-1], len(turns) - 1) if turns else ""
    return View(done, live, evidence.panel(turns))


def reason(error: str) -> str:
    """Why a turn failed, as HTML: a sentence of the chain, or ``key|kind`` of one of the page's own."""
    key, _, kind = error.partition("|")
    said = both(key, kind=kind) if key in TEXT["en"] else escape(error)
    return both("answer.failed", reason="\0").replace("\0", said)


def take(turn: Turn, event: dict[str, Any]) -> None:
    """Puts one event of a job into the turn; its end is read from the store instead."""
    if "position" in event:
        turn.position = int(event["position"])
        turn.status = "running" if turn.position == 0 else "waiting"
    elif "stage" in event:
        turn.stage = str(event["stage"])
    elif "rewritten" in event:
        turn.rewritten = str(event["rewritten"])
    elif "plan" in event:
        turn.plan = [str(step) for step in event["plan"]]
    elif "sources" in event:
        turn.sources = list(event["sources"])
    elif "text" in event:
        turn.text += str(event["text"])


def from_stored(stored: StoredTurn, job: Job | None) -> Turn:
    """A turn of a stored conversation; one that nobody answers any more counts as stopped."""
    turn = Turn(
        stored.question,
        stored.status,
        answer=stored.answer,
        seconds=stored.seconds,
        id=stored.id,
        versions=list(stored.versions),
        rating=stored.rating,
        reasons=list(stored.reasons),
        comment=stored.comment,
        options=dict(stored.options),
    )
    if stored.error:
        turn.reason = reason(stored.error)
    if turn.open and (job is None or not job.open):
        turn.status = "stopped"
    return turn
