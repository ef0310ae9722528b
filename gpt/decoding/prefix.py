"""The prefix cache: what several prompts begin with, a system prompt or a conversation, is read once.

Prompts are read in blocks of fixed size, counted from their first token, and only whole blocks are kept and reused. A
prompt whose beginning is found here is thus computed by the very operations, on the very numbers, that would have
computed it anew: the same seed gives the same answer in bf16 too, where a pass of another width rounds differently.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

from gpt.interfaces import Cache


class PrefixPool:
    """The keys and values of a few prompts' beginnings, the least recently used dropped at `limit` bytes.

    What is kept is never written again; who reuses it takes a copy (a thousand tokens of a model with half a billion
    weights are 12 MB), so any number of threads may read one entry at once.
    """

    def __init__(self, block: int, limit: int) -> None:
        self.block, self.limit = block, limit
        self._kept: OrderedDict[tuple[int, ...], Cache] = OrderedDict()  # least recently used first
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        with self._lock:
            return sum(cache.nbytes for cache in self._kept.values())

    def get(self, prompt: Sequence[int], capacity: int) -> Cache | None:
        """A cache of `capacity` tokens, the caller's own, that holds the longest known beginning of `prompt`; at least
        its last token is left to be read."""
        most = (len(prompt) - 1) // self.block
        with self._lock:
            shared = {ids: self._shared(ids, prompt, most) for ids in self._kept}
            best = max(shared, key=shared.__getitem__, default=None)
            if best is None or not shared[best]:
                return None
            self._kept.move_to_end(best)
            cache = self._kept[best]
        return cache.copy(shared[best] * self.block, capacity)

    def put(self, prompt: Sequence[int], cache: Cache) -> None:
        """Keep the whole blocks of `prompt` that `cache` holds from its first slot on. The caller gives the cache away:
        it is kept itself, unless copying what is wanted of it halves its size."""
        blocks = min(len(prompt), cache.length) // self.block
        ids = tuple(prompt[: blocks * self.block])
        with self._lock:
            known = next((kept for kept in self._kept if kept[: len(ids)] == ids), None)
            if known is not None:
                self._kept.move_to_end(known)
        if not ids or known is not None:
            return
        if 2 * len(ids) < cache.capacity:
            kept = cache.copy(len(ids), len(ids))
        else:
            cache.rollback(len(ids))
            kept = cache
        if kept.nbytes > self.limit:
            return
        with self._lock:
            for old in [old for old in self._kept if ids[: len(old)] == old]:
                del self._kept[old]
            self._kept[ids] = kept
            while sum(cache.nbytes for cache in self._kept.values()) > self.limit:
                self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget all; needed when the model's weights have changed."""
        with self._lock:
            self._kept.clear()

    def _shared(self, ids: tuple[int, ...], prompt: Sequence[int], most: int) -> int:
        """How many whole blocks, at most `most`, two texts share."""
        for block in range(min(most, len(ids) // self.block)):
            part = slice(block * self.block, (block + 1) * self.block)
            if list(ids[part]) != list(prompt[part]):
                return block
        return min(most, len(ids) // self.block)
