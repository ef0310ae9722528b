"""Listeners of the page: what they fail with stays on the server."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import gradio as gr

from app.i18n import LANGUAGES, say

log = logging.getLogger("openbook.guard")


def _failed(function: Callable[..., Any]) -> gr.Error:
    """What the page shows instead. Gradio would print the trace, with its values, and Python's own words."""
    log.exception("the listener %s failed", getattr(function, "__name__", "?"))
    said = " / ".join(say(code, "guard.unexpected") for code in LANGUAGES)
    return gr.Error(said, print_exception=False)


def sealed(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function of the same kind, whose unforeseen failures are logged discreetly."""
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def asynchronous_stream(*given: Any, **named: Any) -> AsyncIterator[Any]:
            try:
                async for value in function(*given, **named):
                    yield value
            except gr.Error:
                raise
            except Exception:
                raise _failed(function) from None

        return asynchronous_stream
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def asynchronous(*given: Any, **named: Any) -> Any:
            try:
                return await function(*given, **named)
            except gr.Error:
                raise
            except Exception:
                raise _failed(function) from None

        return asynchronous
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def stream(*given: Any, **named: Any) -> Iterator[Any]:
            try:
                yield from function(*given, **named)
            except gr.Error:
                raise
            except Exception:
                raise _failed(function) from None

        return stream

    @functools.wraps(function)
    def plain(*given: Any, **named: Any) -> Any:
        try:
            return function(*given, **named)
        except gr.Error:
            raise
        except Exception:
            raise _failed(function) from None

    return plain


def seal(page: gr.Blocks) -> None:
    """Seals every listener of the page."""
    for listener in page.fns.values():
        if listener.fn is not None:
            listener.fn = sealed(listener.fn)
