"""Which browser a session, an event or an uploaded file belongs to: the first one that named it."""

from __future__ import annotations

import threading
from collections import OrderedDict

_MOST = 100_000  # some 20 MB; the oldest are forgotten, and an unknown one belongs to nobody


class Claims:
    """Names the client chose or was given, by kind, each with the browser it belongs to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: OrderedDict[tuple[str, str], str] = OrderedDict()

    def take(self, kind: str, name: str, browser: str) -> bool:
        """Whether the name is this browser's; a name that nobody has becomes its own."""
        with self._lock:
            found = self._owners.setdefault((kind, name), browser)
            if found == browser:
                self._owners.move_to_end((kind, name))
            while len(self._owners) > _MOST:
                self._owners.popitem(last=False)
            return found == browser

    def owns(self, kind: str, name: str, browser: str) -> bool:
        """Whether the name is this browser's already."""
        with self._lock:
            return self._owners.get((kind, name)) == browser
