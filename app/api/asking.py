"""Asking over the network: a request becomes a job of the fair queue, and ends with the client that made it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Request

from app.api.errors import ApiError, from_failure, told
from app.jobs import Job
from app.workspace import Chain, Workspace
from rag.types import Answer, ChainInput

T = TypeVar("T")
LOCAL = "local"
Kind = Literal["search", "embed", "write"]
# At once beside the answers. A search takes one core for some 20 ms; a million characters take the encoder minutes and
# an upload waits for the one before it, and neither may keep searches waiting.
_AT_ONCE: dict[Kind, int] = {"search": 2, "embed": 1, "write": 4}
_END = object()


def workspace_of(request: Request) -> Workspace:
    """The server's store and model."""
    found: Workspace = request.app.state.workspace
    return found


def owner_of(request: Request) -> str:
    """Whose request this is: the name of the API key or of the user, as `app.guard` found."""
    return getattr(request.state, "owner", None) or LOCAL


def submit(workspace: Workspace, owner: str, asked: ChainInput, chain: Callable[[], Chain] | None = None) -> Job:
    """The job of a question, which stops when its only reader leaves. ApiError when the queue is full."""
    try:
        return workspace.jobs.submit(owner, asked, chain or workspace.chain, keep=0)
    except Exception as error:
        raise told(error) from error


def outcome(job: Job) -> Answer:
    """The answer of an ended job; ApiError when there is none."""
    if job.answer is not None:
        return job.answer
    if job.failure is not None:
        raise from_failure(job.failure)
    raise ApiError(503, job.error or "The answer was stopped before it was complete: ask again.", "stopped")


async def answered(request: Request, job: Job) -> Answer:
    """The answer; the job is stopped when the client goes away first."""
    ended = asyncio.create_task(job.await_())
    left = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({ended, left}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (ended, left):
            task.cancel()
        if job.open:
            job.stop()
    return outcome(job)


async def _left(request: Request) -> None:
    """Returns when the client has closed the connection; its body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def events(job: Job, pause: float) -> AsyncIterator[dict[str, Any] | None]:
    """The events of a job; None after each ``pause`` seconds without one. The job stops when the caller leaves."""
    arrived: asyncio.Queue[Any] = asyncio.Queue()

    async def read() -> None:
        async for event in job.aevents():
            arrived.put_nowait(event.data)
        arrived.put_nowait(_END)

    reading = asyncio.create_task(read())
    try:
        while True:
            try:
                event = await asyncio.wait_for(arrived.get(), pause)
            except TimeoutError:
                yield None
                continue
            if event is _END:
                return
            yield event
    finally:
        reading.cancel()
        if job.open:
            job.stop()


async def computed(request: Request, work: Callable[[], T], kind: Kind = "search") -> T:
    """What ``work`` gives in a thread, few of a kind at a time in the whole server. ApiError for what it raised."""
    state = request.app.state
    if not hasattr(state, "limiters"):
        state.limiters = {name: CapacityLimiter(count) for name, count in _AT_ONCE.items()}
    try:
        return await to_thread.run_sync(work, limiter=state.limiters[kind])
    except Exception as error:
        raise told(error) from error
