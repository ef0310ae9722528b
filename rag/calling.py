"""One call of a chat model, whoever runs it: its options, a cancel heard at each piece, one sentence for errors."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import RunnableConfig

from rag.chat_model import ChatOpenbook
from rag.models import Model
from rag.server import PREFIX, IncompleteAnswer, failure, interruptible
from rag.types import Cancelled, RagError, Token

ALTERNATIVES = 5  # likeliest tokens that are told for each place
FIRST_GUESS = 6.0  # seconds of a call, until one has been timed

_seconds: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=8))


def seconds(model: Model) -> float:
    """How long a call of this model takes: the mean of the last few, or a guess before the first."""
    times = _seconds.get(model.name)
    return sum(times) / len(times) if times else FIRST_GUESS


def say(
    model: Model,
    asked: PromptValue,
    config: RunnableConfig,
    options: Mapping[str, Any],
    cancel: threading.Event | None = None,
    told: list[Token] | None = None,
) -> Iterator[str]:
    """What the model writes, piece by piece.

    ``options``: temperature, top_p, seed. ``told`` gets the tokens with their probabilities at the end, from a model of
    ours. Cancelled as soon as ``cancel`` is set, RagError when the model fails or its
    server closes the answer before it is complete.
    """
    chat = model.chat
    assert chat is not None
    server = model.name.startswith(PREFIX)
    given = accepted(chat, {**options, "cancel": cancel})
    if told is not None and isinstance(chat, ChatOpenbook):
        given["top_logprobs"] = ALTERNATIVES
    began, begun, finish = time.monotonic(), False, None

    async def remote() -> AsyncIterator[BaseMessage]:
        async for piece in chat.astream(asked, config, **given):
            yield piece

    pieces: Iterator[Any] = interruptible(remote, cancel) if server else chat.stream(asked, config, **given)
    try:
        for piece in pieces:
            if cancel is not None and cancel.is_set():
                raise Cancelled("The answer was cancelled.")
            finish = piece.response_metadata.get("finish_reason") or finish
            if told is not None and isinstance(chat, ChatOpenbook):
                told += map(_token, piece.response_metadata.get("logprobs", {}).get("content", ()))
            if piece.text:
                begun = True
                yield piece.text
        if server and finish is None:
            raise IncompleteAnswer("it did not say that it had finished") if begun else ValueError("no text came")
    except (RagError, GeneratorExit):
        raise
    except Exception as error:
        raise failure(model.name, error, begun=begun) from None
    finally:
        if hasattr(pieces, "close"):
            pieces.close()
    _seconds[model.name].append(time.monotonic() - began)


def _token(found: Mapping[str, Any]) -> Token:
    others = [(other["token"], other["logprob"]) for other in found["top_logprobs"]]
    return Token(id=found["id"], text=found["token"], logprob=found["logprob"], top=others)


def accepted(chat: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Per-call options; a model of another maker gets those it knows, where they differ from what it was made with."""
    if isinstance(chat, ChatOpenbook):
        return {name: value for name, value in options.items() if value is not None}
    return {
        name: value
        for name, value in options.items()
        if hasattr(chat, name) and getattr(chat, name) not in (None, value)
    }
