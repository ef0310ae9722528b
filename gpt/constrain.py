"""Quotations that cannot be invented: a decoder that may only follow token runs of the given passages.

:class:`SuffixAutomaton` is a machine that accepts exactly the substrings of the passages' token ids
(Blumer et al. 1985, *The smallest automaton recognizing the subwords of a text*), built token by token
in linear time. Several passages share one machine: each starts again at the root, so no separator is
needed and no run crosses from one passage into the next. Each state also knows where its runs end, so a
generated run gives back the passages and offsets it was copied from: a citation is derived, never
generated.

:class:`SpanConstraint` walks the machine during decoding and tells the engine which ids may come next.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

ROOT = 0


class Span(NamedTuple):
    """Tokens ``start`` to ``end`` (exclusive) of passage number ``passage``."""

    passage: int
    start: int
    end: int


class SuffixAutomaton:
    """States and transitions over the token ids of ``passages``; at most 2n states for n tokens.

    A state stands for all runs that end at the same positions. ``length[s]`` is its longest run; ``link[s]``
    the state of the longest shorter run that ends at more positions; ``ahead[s]`` how many tokens can follow.
    """

    def __init__(self, passages: Sequence[Sequence[int]]) -> None:
        self.passages: list[list[int]] = [list(passage) for passage in passages]
        self.next: list[dict[int, int]] = [{}]
        self.link: list[int] = [-1]
        self.length: list[int] = [0]
        self._first: list[tuple[int, int]] = [(0, 0)]  # (passage, end) of the earliest occurrence
        self._prefix: list[list[int]] = []  # the state reached after each token of each passage
        for number, passage in enumerate(self.passages):
            state, states = ROOT, []
            for end, token in enumerate(passage, 1):
                state = self._extend(state, token, (number, end))
                states.append(state)
            self._prefix.append(states)
        self.ahead = self._longest_continuations()
        self._longer: list[list[int]] | None = None  # made when occurrences are first asked for
        self._ends: list[list[tuple[int, int]]] = []

    def __len__(self) -> int:
        """How many states there are."""
        return len(self.next)

    def allowed(self, state: int = ROOT) -> Collection[int]:
        """The ids that may follow `state`: none where every occurrence ends its passage."""
        return self.next[state].keys()

    def step(self, state: int, token: int) -> int | None:
        """The state after `token`, or None when the longer run stands in no passage."""
        return self.next[state].get(token)

    def walk(self, tokens: Iterable[int]) -> int | None:
        """The state of a whole run from the root, or None when it stands in no passage."""
        state: int | None = ROOT
        for token in tokens:
            state = self.next[state].get(token) if state is not None else None
        return state

    def first(self, state: int, length: int) -> Span:
        """The earliest occurrence, by passage, then by position, of the run of `length` tokens at `state`."""
        passage, end = self._first[state]
        return Span(passage, end - length, end)

    def occurrences(self, state: int, length: int) -> list[Span]:
        """Every occurrence of the run of `length` tokens that led to `state`, earliest first."""
        if self._longer is None:
            self._longer, self._ends = self._invert()
        found, stack = [], [state]
        while stack:
            state = stack.pop()
            found += self._ends[state]
            stack += self._longer[state]
        return [Span(passage, end - length, end) for passage, end in sorted(found)]

    def _new(self, length: int, link: int, moves: dict[int, int], first: tuple[int, int]) -> int:
        self.next.append(moves)
        self.link.append(link)
        self.length.append(length)
        self._first.append(first)
        return len(self.next) - 1

    def _extend(self, last: int, token: int, end: tuple[int, int]) -> int:
        """The state after reading `token` at `last`, the state of the passage so far."""
        known = self.next[last].get(token)
        if known is not None:  # an earlier passage holds this very prefix's extension
            return known if self.length[known] == self.length[last] + 1 else self._split(last, token, known)
        state = self._new(self.length[last] + 1, ROOT, {}, end)
        walker = last
        while walker >= 0 and token not in self.next[walker]:
            self.next[walker][token] = state
            walker = self.link[walker]
        if walker >= 0:
            known = self.next[walker][token]
            fits = self.length[known] == self.length[walker] + 1
            self.link[state] = known if fits else self._split(walker, token, known)
        return state

    def _split(self, walker: int, token: int, known: int) -> int:
        """Give the runs of `known` that end here too, one token longer than `walker`'s at most, a state."""
        moves, link = dict(self.next[known]), self.link[known]
        clone = self._new(self.length[walker] + 1, link, moves, self._first[known])
        self.link[known] = clone
        while walker >= 0 and self.next[walker].get(token) == known:
            self.next[walker][token] = clone
            walker = self.link[walker]
        return clone

    def _longest_continuations(self) -> list[int]:
        ahead = [0] * len(self.next)
        # Every transition leads to a strictly longer state, so the longest first sees its successors done.
        for state in sorted(range(len(self.next)), key=self.length.__getitem__, reverse=True):
            ahead[state] = max((ahead[s] + 1 for s in self.next[state].values()), default=0)
        return ahead

    def _invert(self) -> tuple[list[list[int]], list[list[tuple[int, int]]]]:
        """Per state: the states that link to it, whose ends are its ends too; and its own (passage, end)."""
        longer: list[list[int]] = [[] for _ in self.next]
        for state, link in enumerate(self.link[1:], 1):
            longer[link].append(state)
        ends: list[list[tuple[int, int]]] = [[] for _ in self.next]
        for number, states in enumerate(self._prefix):
            for end, state in enumerate(states, 1):
                ends[state].append((number, end))
        return longer, ends


class SpanConstraint:
    """Limits a decoder to one verbatim run of the passages: begin, continue along the passages, stop.

    `passages`    token ids of each retrieved passage, best passage first.
    `stop`        ids that may end the run once it holds `min_tokens` tokens. Without any, the run ends only
                  at `max_tokens`, where its passage ends, or when the engine stops.
    `instead`     ids that may be said in place of a quotation, as the very first token: "no answer".
    `starts`      (passage, token) positions where a run may begin; None is anywhere.
    `min_tokens`  a start that cannot be followed this far is not offered, so a run never gets stuck short.
    `max_tokens`  the longest run, or None.

    ValueError when no passage can hold such a run, or when a stop or "no answer" id stands in a passage,
    where it could be read both ways.
    """

    def __init__(
        self,
        passages: Sequence[Sequence[int]] | SuffixAutomaton,
        *,
        stop: Collection[int] = (),
        instead: Collection[int] = (),
        starts: Iterable[tuple[int, int]] | None = None,
        min_tokens: int = 1,
        max_tokens: int | None = None,
    ) -> None:
        self.automaton = passages if isinstance(passages, SuffixAutomaton) else SuffixAutomaton(passages)
        self.stop, self.instead = frozenset(stop), frozenset(instead)
        self.min_tokens, self.max_tokens = min_tokens, max_tokens
        if min_tokens < 1 or (max_tokens is not None and max_tokens < min_tokens):
            raise ValueError(
                f"a run of {min_tokens} to {max_tokens} tokens cannot be asked for; give 1 <= min <= max"
            )
        clash = sorted((self.stop | self.instead) & set(self.automaton.allowed(ROOT)))
        if clash:
            raise ValueError(f"token {clash[0]} stands in a passage, so it cannot end or replace a quotation")
        self._starts = None if starts is None else [self._start(p, t) for p, t in starts]
        self.reset()
        if not self._continuations() and not self.instead:
            raise ValueError(f"no passage holds a run of {min_tokens} tokens at a permitted start")

    def reset(self) -> None:
        """Back to before the first token."""
        self.tokens: list[int] = []
        self.done = False
        self._state = ROOT
        self._live: list[tuple[int, int]] | None = None if self._starts is None else list(self._starts)

    def allowed(self) -> set[int]:
        """The ids that may come next; empty once the run is over."""
        if self.done:
            return set()
        ids = self._continuations()
        if not self.tokens:
            return ids | self.instead
        return ids | self.stop if len(self.tokens) >= self.min_tokens else ids

    def step(self, token: int) -> None:
        """Record the token chosen; ValueError when it was not allowed."""
        if token not in self.allowed():
            raise ValueError(f"token {token} does not continue any permitted run of the passages")
        if token in self.stop or token in self.instead:
            self.done = True
            return
        if self._live is not None:
            passages = self.automaton.passages
            self._live = [(p, at + 1) for p, at in self._live if passages[p][at : at + 1] == [token]]
        self._state = self.automaton.next[self._state][token]
        self.tokens.append(token)
        self.done = not self.allowed()

    def chain(self, limit: int) -> list[int]:
        """The next tokens, at most `limit`, of a run that goes on, as far as the passages leave one way only."""
        if self.done or not self.tokens:
            return []
        if self.max_tokens is not None:
            limit = min(limit, self.max_tokens - len(self.tokens))
        chain: list[int] = []
        if self._live is not None:
            passages = self.automaton.passages
            while len(chain) < limit:
                ways = {tuple(passages[p][at + len(chain) : at + len(chain) + 1]) for p, at in self._live} - {()}
                if len(ways) != 1:
                    break
                chain += ways.pop()
            return chain
        state = self._state
        while len(chain) < limit and len(self.automaton.next[state]) == 1:
            ((token, state),) = self.automaton.next[state].items()
            chain.append(token)
        return chain

    def spans(self) -> list[Span]:
        """Where the run stands, earliest passage first; empty before the first token or for "no answer"."""
        length = len(self.tokens)
        if not length:
            return []
        if self._live is not None:
            return [Span(p, end - length, end) for p, end in sorted(set(self._live))]
        return self.automaton.occurrences(self._state, length)

    def _start(self, passage: int, token: int) -> tuple[int, int]:
        passages = self.automaton.passages
        if not (0 <= passage < len(passages) and 0 <= token < len(passages[passage])):
            raise ValueError(f"start {token} of passage {passage} lies outside the passages")
        return passage, token

    def _continuations(self) -> set[int]:
        """The ids that lead to a run which can still reach `min_tokens`."""
        length = len(self.tokens)
        if self.max_tokens is not None and length >= self.max_tokens:
            return set()
        need = max(self.min_tokens - length, 1)  # tokens still to come, this one among them
        if self._live is not None:
            passages = self.automaton.passages
            return {passages[p][at] for p, at in self._live if len(passages[p]) - at >= need}
        ahead = self.automaton.ahead
        return {t for t, s in self.automaton.next[self._state].items() if ahead[s] + 1 >= need}
