"""The conversation's listeners: ask, follow the running answer, stop, ask again, other versions, thumbs.

Who asks is what the server knows of the visitor; the conversation, turn and settings that the page names are checked
each time, so that a forged call reaches no more than the page itself can.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

import gradio as gr

from app import evidence, payload, prompt_editor, settings_panel
from app.chat import MAX_QUESTION, PAUSE, from_stored, take, view
from app.chats import listing
from app.conversations import ConversationError, NotFound, asking
from app.conversations.records import RATINGS, Rating
from app.hero import hero
from app.i18n import both
from app.jobs import Busy, Event, Job
from app.owner import owner_of
from app.scoping import said_scope
from app.turn_view import REASONS, turn_html
from app.turns import Turn
from app.workspace import Workspace

MAX_COMMENT = 2000
REFUSALS = (Busy, ConversationError, payload.Refused)  # each names its sentence
Update = Any


def notice(text: str) -> str:
    return f'<p class="ob-failure" role="alert">{text}</p>' if text else ""


class Talk:
    """The listeners over one workspace. Every method may be called from any thread."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._current: dict[str, str] = {}  # session -> the conversation its page shows: others' followers keep still

    # ---- what the page shows

    def page(self, owner: str, chat: str, turns: list[Turn]) -> list[Update]:
        """Updates of [done, live, passages, turns, here, chats]."""
        shown = view(turns)
        first = shown.done if turns else hero(self._workspace)
        return [first, shown.live, shown.evidence, turns, chat, self.chats(owner, chat)]

    def chats(self, owner: str, chat: str, query: str = "") -> str:
        return listing(self._workspace, owner, chat, query)

    def turns(self, owner: str, chat: str) -> list[Turn]:
        """The shown thread of a conversation; none when it is new, gone or somebody else's."""
        try:
            return [from_stored(stored, job) for stored, job in asking.thread(self._workspace, owner, chat)]
        except NotFound:
            return []

    def opened(self, request: gr.Request, event: gr.EventData) -> list[Update]:
        return self.open(payload.text(event._data, "id", 80), request)

    def fresh(self, request: gr.Request) -> list[Update]:
        """[notice, *page] of a new conversation."""
        return ["", *self.open("", request)]

    def after_deletion(self, name: str, chat: object, request: gr.Request) -> list[Update]:
        """The page leaves a conversation that was deleted while it was the open one."""
        return self.open("" if name == chat else chat, request)

    def open(self, chat: object, request: gr.Request) -> list[Update]:
        """Another conversation; "" or an unknown one is a new one. Its running answer goes on elsewhere."""
        owner, name = owner_of(request), chat if isinstance(chat, str) else ""
        turns = self.turns(owner, name) if name else []
        self._current[str(request.session_hash)] = name if turns else ""
        return self.page(owner, name if turns else "", turns)

    # ---- asking

    def ask(self, question: object, sent: object, here: object, request: gr.Request) -> list[Update]:
        """Stores and queues a question: [question, notice, *page]."""
        owner, chat = owner_of(request), here if isinstance(here, str) else ""
        text = question.strip() if isinstance(question, str) else ""
        turns = self.turns(owner, chat) if chat else []
        if not text or (turns and turns[-1].open):
            return [gr.skip()] * 8
        if len(text) > MAX_QUESTION:
            return self._refuse(both("answer.too_long", n=f"{len(text):,}", limit=f"{MAX_QUESTION:,}"))
        try:
            options = options_of(sent)
            terms = said_scope(self._workspace, payload.sent(sent).get("scope"))
            asked = asking.ask(
                self._workspace,
                owner,
                chat if turns else None,
                " ".join([*terms, text]),
                options,
                lane=self._lane(request),
            )
        except REFUSALS as error:
            return self._refuse(both(error.key, **error.values))
        chat = self._current[str(request.session_hash)] = asked.turn.conversation
        return ["", "", *self.page(owner, chat, self.turns(owner, chat))]

    def again(self, sent: object, here: object, request: gr.Request, event: gr.EventData) -> list[Update]:
        """A new version of a turn: with the next seed, an edited question, or passages pinned and dropped."""
        owner, chat = owner_of(request), here if isinstance(here, str) else ""
        turns = self.turns(owner, chat) if chat else []
        index = payload.number(event._data, "turn")
        if index is None or index >= len(turns) or turns[-1].open:
            return [gr.skip()] * 7
        turn = turns[index]
        edited = event._data.get("question")
        question = edited.strip()[:MAX_QUESTION] if isinstance(edited, str) and edited.strip() else None
        try:
            options = options_of(sent)
            sources = turn.answer.sources if turn.answer is not None else []
            known = {source.chunk_id for source in sources} | _candidates(turn)
            for name in ("pinned", "dropped"):
                options[name] = [chunk for chunk in payload.numbers(event._data, name) if chunk in known]
            if question is None:
                options["seed"] = self._next_seed(owner, turn, int(options["seed"]))
            asking.again(self._workspace, owner, turn.id, options, question, lane=self._lane(request))
        except REFUSALS as error:
            return [notice(both(error.key, **error.values)), *[gr.skip()] * 6]
        return ["", *self.page(owner, chat, self.turns(owner, chat))]

    async def follow(self, here: object, request: gr.Request) -> AsyncIterator[list[Update]]:
        """Streams the running answer of the open conversation: [live, passages, turns, chats]."""
        owner, chat = owner_of(request), here if isinstance(here, str) else ""
        session = str(request.session_hash)
        job, turns = await asyncio.to_thread(self._running, owner, chat)
        index, known, sent = len(turns) - 1, 0, 0.0
        async with contextlib.aclosing(_events(job)) as events:
            async for happened in events:
                if self._current.get(session, chat) != chat:
                    break
                take(turns[-1], happened.data)
                now = time.monotonic()
                if "status" in happened.data or ("text" in happened.data and now - sent < PAUSE):
                    continue
                sent, found = now, len(turns[-1].sources)
                panel = evidence.panel(turns) if found != known else gr.skip()
                known = found
                yield [turn_html(turns[-1], index), panel, *[gr.skip()] * 2]
        turns, chats = await asyncio.to_thread(lambda: (self.turns(owner, chat), self.chats(owner, chat)))
        if not turns or self._current.get(session, chat) != chat:
            yield [gr.skip()] * 4  # a generator that gives nothing at all would empty them
            return
        shown = view(turns)  # also without a job: it may have ended before the page could follow it
        yield [shown.live, shown.evidence, turns, chats]

    def halt(self, here: object, request: gr.Request) -> None:
        job, _ = self._running(owner_of(request), here if isinstance(here, str) else "")
        if job is not None:
            job.stop()

    # ---- versions and thumbs

    def choose(self, here: object, request: gr.Request, event: gr.EventData) -> list[Update]:
        """Shows another version of a turn, with the turns that followed it."""
        owner, chat = owner_of(request), here if isinstance(here, str) else ""
        turns = self.turns(owner, chat) if chat else []
        index, version = payload.number(event._data, "turn"), payload.number(event._data, "version")
        if index is None or version is None or index >= len(turns) or turns[-1].open:
            return [gr.skip()] * 6
        if not version < len(turns[index].versions):
            return [gr.skip()] * 6
        self._workspace.conversations.choose(owner, turns[index].versions[version])
        return self.page(owner, chat, self.turns(owner, chat))

    def rate(self, here: object, request: gr.Request, event: gr.EventData) -> list[Update]:
        """Keeps a thumb with its reasons: [done, live, turns]."""
        owner, chat = owner_of(request), here if isinstance(here, str) else ""
        turns = self.turns(owner, chat) if chat else []
        index, thumb = payload.number(event._data, "turn"), payload.text(event._data, "thumb", 8)
        rating: Rating | None = next((known for known in RATINGS if known == thumb), None)
        if index is None or index >= len(turns) or rating is None or turns[-1].open:
            return [gr.skip()] * 3
        reasons = payload.texts(event._data, "reasons", REASONS) if rating == "down" else []
        comment = payload.text(event._data, "comment", MAX_COMMENT)
        self._workspace.conversations.rate(owner, turns[index].id, rating, reasons, comment)
        turns = self.turns(owner, chat)
        shown = view(turns)
        return [shown.done, shown.live, turns]

    def forget(self, request: gr.Request) -> None:
        """The page was left."""
        self._current.pop(str(request.session_hash), None)

    # ---- parts

    def _refuse(self, text: str) -> list[Update]:
        return [gr.skip(), notice(text), *[gr.skip()] * 6]

    def _next_seed(self, owner: str, turn: Turn, chosen: int) -> int:
        """A seed that no version of this question has had: the drawer's, or one more than the highest."""
        stored = (self._workspace.conversations.turn(owner, number) for number in turn.versions)
        used = {int(version.options.get("seed", 0)) for version in stored if version.question == turn.question}
        return chosen if chosen not in used else max(used) + 1

    def _running(self, owner: str, chat: str) -> tuple[Job | None, list[Turn]]:
        try:
            thread = asking.thread(self._workspace, owner, chat) if chat else []
        except NotFound:
            return None, []
        if not thread or thread[-1][1] is None or not thread[-1][1].open:
            return None, []
        return thread[-1][1], [from_stored(stored, job) for stored, job in thread]

    def _lane(self, request: gr.Request) -> str:
        return str(request.session_hash)


def options_of(sent: object) -> dict[str, Any]:
    """The settings and prompts that came with a question, checked; Refused names what is wrong."""
    found = payload.sent(sent)
    return {**settings_panel.checked(found.get("settings")), "prompts": prompt_editor.checked(found.get("prompts"))}


async def _events(job: Job | None) -> AsyncGenerator[Event, None]:
    if job is not None:
        async for happened in job.aevents():
            yield happened


def _candidates(turn: Turn) -> set[int]:
    """Passages that the search weighed for a turn: what may be pinned besides those that were read."""
    trace = turn.answer.trace if turn.answer is not None else None
    return {candidate.chunk_id for candidate in cast(Any, trace).candidates} if trace is not None else set()
