"""Bytes of tokens to text that can be shown: whole characters, up to a stop string."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """Bytes in, whole characters out, up to the first stop string.

    Bytes that are part of a character wait for the rest of it; text that may be the beginning of a stop
    string waits until it is known not to be. The stop string that completes first counts. The output does
    not depend on how the bytes were cut into pieces. Bytes that are no UTF-8 become U+FFFD.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self.stop = (stop,) if isinstance(stop, str) else tuple(stop)
        if any(not isinstance(s, str) or not s for s in self.stop):
            raise ValueError("a stop string is empty; give at least one character, or none at all")
        self.stopped = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def push(self, data: bytes, *, final: bool = False) -> str:
        """The text that `data` makes certain; with `final`, all that is left."""
        if self.stopped:
            return ""
        self._held += self._decoder.decode(data, final)
        found = [(at + len(s), at) for s in self.stop if (at := self._held.find(s)) >= 0]
        if found:
            self.stopped = True
            return self._held[: min(found)[1]]
        keep = 0 if final else self._waiting()
        ready, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return ready

    def _waiting(self) -> int:
        """The length of the longest end of the text that begins a stop string."""
        longest = min(len(self._held), max((len(s) - 1 for s in self.stop), default=0))
        for length in range(longest, 0, -1):
            if any(s.startswith(self._held[-length:]) for s in self.stop):
                return length
        return 0
