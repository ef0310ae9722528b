"""Everything that stands between the network and the application."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from starlette.middleware import Middleware

from app.guard.access import Access
from app.guard.errors import Errors
from app.guard.gate import Gate
from app.guard.headers import Headers
from app.guard.limits import Bounds, Limits
from app.guard.origin import Origin

NAMES = ("headers", "errors", "origin", "limits", "gate")


def middleware(
    access: Callable[[], Access],
    *,
    local_only: bool,
    scripts: Iterable[str] = (),
    bounds: Bounds | None = None,
    without: Iterable[str] = (),
) -> list[Middleware]:
    """The guards of the whole server, outermost first.

    ``scripts`` are the inline scripts of the page, ``without`` names guards to leave out: the tests show by it
    that each attack succeeds where its guard is missing.
    """
    guards = {
        "headers": Middleware(Headers, scripts=tuple(scripts)),
        "errors": Middleware(Errors),
        "origin": Middleware(Origin, local_only=local_only),
        "limits": Middleware(Limits, bounds=bounds),
        "gate": Middleware(Gate, access=access, local_only=local_only),
    }
    return [guard for name, guard in guards.items() if name not in set(without)]
