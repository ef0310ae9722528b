"""The log: where something failed and what kind of failure it was, never the words it carried.

An exception's message may hold a question, a passage or a key. At the default level only its type and the lines
of code are written; ``OPENBOOK_LOG=debug`` writes everything, for whoever looks for a fault in their own documents.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from types import TracebackType
from typing import TextIO

_Failure = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class Discreet(logging.Formatter):
    """Prints traces without the messages of exceptions and without source lines."""

    def formatException(self, ei: _Failure) -> str:
        failure = ei[1]
        lines: list[str] = []
        seen: set[int] = set()
        while failure is not None and id(failure) not in seen:
            seen.add(id(failure))
            frames = traceback.extract_tb(failure.__traceback__)
            lines.append(type(failure).__qualname__)
            lines += [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
            failure = failure.__cause__ or (None if failure.__suppress_context__ else failure.__context__)
        return "\n".join(lines)

    def formatStack(self, stack_info: str) -> str:
        return ""


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at the time of writing, not at the start."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def configure(stream: TextIO | None = None) -> None:
    """One handler for everything in this process. Uvicorn's access log stays off: addresses hold search words."""
    open_level = os.environ.get("OPENBOOK_LOG", "").lower() == "debug"
    # A record that cannot be written would be printed with its trace, whole.
    logging.raiseExceptions = open_level
    handler = _StandardError() if stream is None else logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s") if open_level else Discreet("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO if open_level else logging.WARNING, force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "httpx"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = not open_level
