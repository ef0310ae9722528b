"""Asking: a question becomes a turn, the chain's events become the page, Stop reaches the computation."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from html import escape
from typing import Any, NamedTuple

from app import evidence
from app.answer import turn_html
from app.i18n import both
from app.turns import Turn, history
from app.workspace import NoDocuments, Workspace
from ingest.types import IngestError
from rag.settings import Settings, load
from rag.types import Answer, Cancelled, RagError

log = logging.getLogger("openbook.app")
MAX_QUESTION = 2000  # characters: what a person types; the chain itself takes more
MAX_TURNS = 200  # per conversation, so that a forgotten tab cannot grow without end
PAUSE = 0.08  # seconds between page updates while text streams: smooth to the eye, few enough to send


class View(NamedTuple):
    """What the page shows of a conversation, as HTML: closed turns, the newest turn, passages."""

    done: str
    live: str
    evidence: str


class Runs:
    """The cancel event of each browser session's running question."""

    def __init__(self) -> None:
        self._events: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def begin(self, session: str) -> threading.Event:
        with self._lock:
            return self._events.setdefault(session, threading.Event())

    def stop(self, session: str) -> None:
        """Asks the session's computation to stop; nothing happens when none runs."""
        with self._lock:
            event = self._events.get(session)
        if event is not None:
            event.set()

    def end(self, session: str) -> None:
        with self._lock:
            self._events.pop(session, None)


def view(turns: list[Turn]) -> View:
    """The whole page for these turns; the last one is kept apart so that streaming sends only that."""
    done = "".join(turn_html(turn, index) for index, turn in enumerate(turns[:-1]))
    live = turn_html(turns[-1], len(turns) - 1) if turns else ""
    return View(done, live, evidence.panel(turns))


def ask(question: object, turns: list[Turn]) -> list[Turn] | None:
    """The turns with a new, waiting one; None when there is nothing to ask or one still runs."""
    text = question.strip() if isinstance(question, str) else ""
    if not text or (turns and turns[-1].open):
        return None
    turn = Turn(text)
    if len(text) > MAX_QUESTION:
        turn.question = text[:MAX_QUESTION]
        _fail(turn, both("answer.too_long", n=f"{len(text):,}", limit=f"{MAX_QUESTION:,}"))
    return [*turns[-MAX_TURNS + 1 :], turn]


def settings(temperature: object, top_p: object, seed: object, k: object) -> Settings:
    """The drawer's values, checked again: a page can send anything. RagError names the one out of range."""
    values: dict[str, object] = {"temperature": temperature, "top_p": top_p, "seed": seed, "k": k}
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RagError(f"{name} = {value!r}")
    return load(**values)


def _fail(turn: Turn, reason: str) -> None:
    turn.status = "failed"
    turn.reason = both("answer.failed", reason="\0").replace("\0", reason)


def _take(turn: Turn, event: dict[str, Any]) -> None:
    """Puts one event of the chain into the turn."""
    if "stage" in event:
        turn.stage = str(event["stage"])
        if turn.stage == "cancelled":
            turn.status = "stopped"
    elif "sources" in event:
        turn.sources = list(event["sources"])
    elif "text" in event:
        turn.text += str(event["text"])
    elif isinstance(event.get("answer"), Answer):
        turn.answer, turn.status = event["answer"], "done"


def run(workspace: Workspace, turns: list[Turn], chosen: Settings, cancel: threading.Event) -> Iterator[None]:
    """Answers the last turn; yields after each event that should reach the page. Never raises."""
    turn = turns[-1]
    started = time.monotonic()
    turn.status = "running"
    try:
        if cancel.is_set():
            turn.status = "stopped"
            return
        chain = workspace.chain()
        sent = 0.0
        asked = {
            "question": turn.question,
            "history": history(turns[:-1]),
            "temperature": chosen.temperature,
            "top_p": chosen.top_p,
            "seed": chosen.seed,
            "k": chosen.k,
            "cancel": cancel,
        }
        for event in chain.stream(asked):
            _take(turn, event)
            now = time.monotonic()
            if "text" not in event or now - sent >= PAUSE:
                sent = now
                yield
    except GeneratorExit:
        cancel.set()  # the page went away: nobody waits for the rest
        turn.status = "stopped"
        raise
    except NoDocuments:
        _fail(turn, both("answer.no_documents"))
    except Cancelled:
        turn.status = "stopped"
    except (RagError, IngestError) as error:  # both are sentences fit to print
        _fail(turn, escape(str(error)))
    except Exception as error:
        log.exception("a question failed")
        _fail(turn, both("answer.unexpected", kind=type(error).__name__))
    finally:
        turn.seconds = time.monotonic() - started
        if turn.open:
            turn.status = "stopped"


def refuse_setting(turn: Turn, error: RagError) -> None:
    """The turn fails because a setting is out of its range."""
    _fail(turn, both("answer.bad_setting", reason=str(error)))
