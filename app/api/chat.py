"""``POST /v1/chat/completions``: an answer in OpenAI's shape, whole or as it becomes known."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from app.api import asking
from app.api.errors import ApiError, described
from app.api.form import Form
from app.api.shapes import ALIAS, ChatRequest, Choice, Completion, Reply
from app.jobs import Job
from app.workspace import Workspace
from rag.types import ChainInput

router = APIRouter(prefix="/v1", tags=["chat"])
_EVENT = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "data": {"type": "string", "description": "a chat.completion.chunk as JSON; [DONE] at the end"},
    },
}
PULSE = 10.0  # seconds of silence after which a stream says that it is alive: many proxies give up after 60


@router.post(
    "/chat/completions",
    response_model=Completion,
    response_model_exclude_none=False,
    responses={
        200: {"content": {"text/event-stream": {"schema": _EVENT}}, "description": "The answer."},
        **described(404, 502, 503),
    },
    operation_id="complete",
)
async def complete(request: Request, asked: ChatRequest) -> Any:
    """Answer the last message from the documents.

    The earlier messages make a follow-up question clear. `annotations` cite what the documents say word for word;
    `openbook` holds the whole verified answer. With `stream`, text comes only once it is verified.
    """
    workspace = asking.workspace_of(request)
    check_model(workspace, asked.model)
    form = Form(workspace, asked, str(request.base_url), request.app.state.meter)
    given = await to_thread.run_sync(_input, asked)
    job = asking.submit(workspace, asking.owner_of(request), given, form.chain)
    if asked.stream:
        return await _streamed(form, job)
    answer = await asking.answered(request, job)
    result = await to_thread.run_sync(form.fill, answer)
    reply = Reply(content=result.content, refusal=result.refusal, annotations=result.annotations)
    return Completion(
        id=f"chatcmpl-{job.id}",
        created=int(time.time()),
        model=asked.model,
        choices=[Choice(message=reply, finish_reason=result.finish)],
        usage=result.usage,
        openbook=result.extra,
    )


def check_model(workspace: Workspace, name: str) -> None:
    """ApiError for a model that is not here: an answer of another one would mislead."""
    if name not in (ALIAS, workspace.model):
        raise ApiError(404, f"There is no model {name[:80]!r} here: ask for {ALIAS!r}.", "model_not_found", "model")


def _input(asked: ChatRequest) -> ChainInput:
    """The chain's input; a system message is put behind the system prompts of a model that writes."""
    given = asked.asked()
    if asked.instructions:
        from rag import prompts

        mine = given.get("prompts", {})
        names = [f"{kind}_{language}" for kind in ("quote", "compose") for language in ("en", "zh")]
        said = {name: f"{prompts.text(name, mine)}\n\n{asked.instructions}" for name in names}
        given["prompts"] = {**mine, **said}
    return given


async def _streamed(form: Form, job: Job) -> Response:
    """Server-sent events; what fails before the model has begun is an ordinary error reply."""
    events = asking.events(job, PULSE)
    seen = []
    async for event in events:
        seen.append(event)
        if event is None or event.get("position", 2) > 1:  # waits for others, or has begun
            break
    if job.status == "failed" and job.stage == "waiting":
        asking.outcome(job)
    chunks = _chunks(form, job, _joined(seen, events))
    return StreamingResponse(
        chunks, media_type="text/event-stream", headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    )


async def _joined(seen: list[Any], rest: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The events that were taken already, and the rest; what holds the rest open ends with this."""
    async with aclosing(rest):  # type: ignore[type-var]
        for event in seen:
            yield event
        async for event in rest:
            yield event


async def _chunks(form: Form, job: Job, events: AsyncIterator[Any]) -> AsyncIterator[str]:
    asked = form.asked
    head = {
        "id": f"chatcmpl-{job.id}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": asked.model,
    }

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if counted else {}
        return _sent({**head, "choices": [choice], **usage, **more})

    counted = asked.stream_options is not None and bool(asked.stream_options.include_usage)
    yield chunk({"role": "assistant", "content": ""})
    async with aclosing(events) as coming:  # type: ignore[type-var]
        async for event in coming:
            if event is None:
                yield f": {job.stage}, {job.position} before this one\n\n"
            elif event.keys() & {"stage", "position", "rewritten", "plan"}:
                yield chunk({}, openbook=event)
            elif "text" in event and form.composes():
                yield chunk({}, openbook={"draft": event["text"]})  # not yet verified, so not yet content
    try:
        result = await to_thread.run_sync(form.fill, asking.outcome(job))
    except ApiError as error:
        yield _sent(error.body())
        return
    for line in (result.content or "").splitlines(keepends=True):
        yield chunk({"content": line})
    last: dict[str, Any] = {"annotations": [a.model_dump() for a in result.annotations]}
    if result.refusal is not None:
        last["refusal"] = result.refusal
    yield chunk(last, result.finish, openbook=result.extra.model_dump(mode="json"))
    if counted:
        yield _sent({**head, "choices": [], "usage": result.usage.model_dump()})
    yield "data: [DONE]\n\n"


def _sent(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"
