"""Stopping within a forward pass: the thread's cancel event, which the model looks at between its layers.

A prompt of fifty passages takes the bundled model two seconds in one pass, and a block of 512 tokens takes larger ones
as long; who presses Stop should not wait for that.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class Cancelled(Exception):
    """The caller's event was set before the work was complete."""


_thread = threading.local()


@contextlib.contextmanager
def cancelled_by(cancel: threading.Event | None) -> Iterator[None]:
    """Within it, `check` in this thread raises Cancelled once ``cancel`` is set; None leaves what held before.

    Not for a generator that yields within it: its caller would be stopped too.
    """
    before = getattr(_thread, "cancel", None)
    _thread.cancel = before if cancel is None else cancel
    try:
        yield
    finally:
        _thread.cancel = before


def check() -> None:
    """Cancelled when this thread's work is no longer wanted."""
    cancel = getattr(_thread, "cancel", None)
    if cancel is not None and cancel.is_set():
        raise Cancelled
