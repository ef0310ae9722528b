"""A server that speaks OpenAI's protocol as generator: the client, reading that a cancel ends at once, and what failed.

``openai:MODEL@http://host/v1``. The client of the ``openai`` package tries again, with growing pauses, after 408, 409,
429, 5xx, a refused or reset connection and a silence longer than the time-out; what is cut off in the middle of an
answer is not asked for again, for half of it may have been shown.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import queue
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel

from rag.types import Cancelled, ModelError, RagError

PREFIX = "openai:"
TIMEOUT, RETRIES = 60.0, 2
LOOK = 0.05  # seconds between two looks at the cancel event while a server is silent

T = TypeVar("T")
_ADDRESS = re.compile(r"(?P<model>.+)@(?P<url>https?://[^\s@?#]+)")
_SILENT = {"APITimeoutError", "ReadTimeout", "StreamChunkTimeoutError", "TimeoutError", "PoolTimeout", "ConnectTimeout"}
_UNREACHED = {"APIConnectionError", "ConnectError", "ConnectionError"}
_CUT_OFF = {"RemoteProtocolError", "ReadError", "ConnectionResetError", "IncompleteRead"}
_RUBBISH = {"JSONDecodeError", "UnicodeDecodeError", "APIResponseValidationError", "DecodingError"}


def connect(name: str, *, timeout: float = TIMEOUT, retries: int = RETRIES, **options: Any) -> BaseChatModel:
    """A LangChain chat model for ``name``; nothing is sent yet. RagError when the name is not of the right form.

    ``timeout``: seconds of silence, before the answer and between two pieces of it. ``options``: temperature and such.
    """
    found = _ADDRESS.fullmatch(name.removeprefix(PREFIX))
    if found is None:
        # Not repeated: a password or key in the address would be shown.
        raise RagError(
            "The model server is not of the form openai:MODEL@http://host/v1, without a user, a password or a query."
        )
    try:
        from langchain_openai import ChatOpenAI
    except ImportError:
        raise RagError(
            f"The model {name!r} needs the package langchain-openai: pip install 'openbook[openai]'."
        ) from None
    return ChatOpenAI(
        model=found["model"],
        base_url=found["url"],
        # A local server asks for no key, but the client refuses to start without one.
        api_key=os.environ.get("OPENAI_API_KEY") or "none",  # type: ignore[arg-type]
        timeout=timeout,
        stream_chunk_timeout=timeout,
        max_retries=retries,
        use_responses_api=False,
        **options,
    )


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """One event loop for all connections, in a thread of its own: a task on it can be cancelled while it waits."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="openbook-server", daemon=True).start()
    return loop


def interruptible(pieces: Callable[[], AsyncIterator[T]], cancel: threading.Event | None) -> Iterator[T]:
    """The pieces as they come; once ``cancel`` is set or the caller stops, the connection is closed within `LOOK`."""
    arrived: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    async def read() -> None:
        try:
            async for piece in pieces():
                arrived.put((True, piece))
            arrived.put((False, None))
        except Exception as error:
            arrived.put((False, error))

    task = asyncio.run_coroutine_threadsafe(read(), _loop())
    try:
        while True:
            if cancel is not None and cancel.is_set():
                raise Cancelled("The answer was cancelled.")
            try:
                more, piece = arrived.get(timeout=LOOK)
            except queue.Empty:
                continue
            if more:
                yield piece
            elif piece is None:
                return
            else:
                raise piece
    finally:
        task.cancel()


def failure(name: str, error: Exception, *, begun: bool = False) -> ModelError:
    """One sentence for what a model's client raised; ``begun``: after the first piece of the answer."""
    reason = _bare(" ".join(str(error).split()))[:200] or type(error).__name__
    if not name.startswith(PREFIX):
        return ModelError(f"The model {name} failed: {reason}.")
    model, _, address = name.removeprefix(PREFIX).rpartition("@")
    kinds = {kind.__name__ for each in _causes(error) for kind in type(each).__mro__}
    status = getattr(error, "status_code", None)
    if kinds & _SILENT:
        return ModelError(
            f"The model server at {address} was silent for too long: it may be loading the model or be overloaded; "
            "wait, or set OPENBOOK_TIMEOUT to more seconds."
        )
    if begun and (kinds & (_CUT_OFF | _UNREACHED) or "IncompleteAnswer" in kinds):
        return ModelError(f"The model server at {address} broke off in the middle of its answer: ask again.")
    if kinds & _UNREACHED:
        return ModelError(
            f"No model server answers at {address} ({type(error).__name__}): start it, or give another --model."
        )
    if status in (401, 403):
        return ModelError(
            f"The model server at {address} refuses the key ({status}): set OPENAI_API_KEY to a valid one."
        )
    if status == 404:
        return ModelError(f"The server at {address} has no model {model!r} or no such address (404): {reason}.")
    if status == 429:
        return ModelError(f"The model server at {address} has too much to do (429): wait a little and ask again.")
    if isinstance(status, int) and status >= 500:
        return ModelError(f"The model server at {address} failed ({status}): {reason}.")
    if status is None and (kinds & (_RUBBISH | _CUT_OFF) or not kinds & {"APIError", "OpenAIError"}):
        return ModelError(
            f"What the server at {address} sends is not OpenAI's protocol ({reason[:80]}): give the address that "
            "ends in /v1."
        )
    return ModelError(f"The model server at {address} refused: {reason}.")


class IncompleteAnswer(Exception):
    """The server closed its answer without saying that it had finished."""


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    for _ in range(5):
        if found is None:
            return
        yield found
        found = found.__cause__


def _bare(reason: str) -> str:
    """The reason without the key, which some servers repeat."""
    key = os.environ.get("OPENAI_API_KEY", "")
    if len(key) > 3:
        reason = reason.replace(key, "…")
    reason = re.sub(r"\b(?:sk|ob)-[\w*-]{4,}", "…", reason)
    try:  # the body of an error as JSON: its message alone
        at = reason.index("{")
        found = json.loads(reason[at:].replace("'", '"'))
        said = found.get("error", found)
        reason = str(said.get("message", reason)) if isinstance(said, dict) else str(said)
    except (ValueError, AttributeError):
        pass
    return re.sub(r"^Error code: \d{3} - ", "", reason).rstrip(".")
