"""Which run of its passages a model of any family would quote, by its own probabilities, in at most three passes.

A quotation is a run of tokens as they stand in the prompt, so nothing has to be generated token by token:

pass 1  reads the prompt; the logits after it say how probable the answer begins with each of the passages' tokens.
pass 2  puts what follows the most probable starts behind the prompt as branches of a tree (each branch sees the prompt
        and itself; Miao et al. 2024) and reads the probability of every token and of stopping after it. When the whole
        tree would be too large, many starts are followed a few tokens far, because equal first tokens tell nothing.
pass 3  is needed in that case only: it follows the best of them to the end.

So  log p(span) = log p(t1) + log p(t2|t1) + … + log p(stop|t1…tn)  is the model's own for every span that is scored,
"stop" being its end tokens and what begins a new line. Spans are ranked by it after the length normalisation of Wu et
al. (2016): divided by ((5 + n) / 6)^0.6, with n the number of tokens, stop included.

A model that takes no masks (``interfaces.forward_only``) reads the prompt anew with each of its best starts instead.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gpt.decoding.steps import is_set
from gpt.engine import Engine
from gpt.interfaces import forward_only
from gpt.reader import Cancelled, Span, inside_word

STARTS = 8  # followed to the end
LOOK_STARTS, LOOK_TOKENS = 64, 4  # followed a little
RUN_TOKENS = 32  # longest quotation
NODES = 256  # tokens of a tree: a quarter of what a prompt of a thousand costs
ROWS = 64  # of logits at once: 64 rows over 150,000 tokens are 38 MB


@dataclass(frozen=True, slots=True)
class Quotations:
    """Spans, best first, every one verbatim: ``passages[span.passage][span.start:span.end]``."""

    spans: tuple[Span, ...]
    prompt_tokens: int
    forward_passes: int


@dataclass(slots=True)
class _Place:
    """A passage in the prompt: its ids there, and the characters of its text that each of them covers."""

    number: int
    text: str
    ids: list[int]
    spans: list[tuple[int, int]]
    whole: list[tuple[bool, bool]]  # whether a token begins and ends with whole characters

    def starts(self, at: int) -> bool:
        """Whether a quotation may begin with this token: not with white space alone and not inside a word."""
        start, end = self.spans[at]
        first = start + len(self.text[start:end]) - len(self.text[start:end].lstrip())
        return self.whole[at][0] and bool(self.text[start:end].strip()) and not inside_word(self.text, first)

    def ends(self, at: int) -> bool:
        """Whether a quotation may end with this token."""
        start, end = self.spans[at]
        return self.whole[at][1] and bool(self.text[start:end].strip()) and not inside_word(self.text, end)


@dataclass(slots=True)
class _Tree:
    """Runs that share their beginnings: each node is a token after its parent, -1 being the prompt."""

    room: int
    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    known: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, run: Sequence[int]) -> list[int]:
        """The nodes of a run, cut where there is no more room."""
        nodes, parent = [], -1
        for depth, token in enumerate(run):
            node = self.known.get((parent, token))
            if node is None:
                if len(self.tokens) == self.room:
                    break
                node = self.known[parent, token] = len(self.tokens)
                self.tokens.append(token)
                self.parents.append(parent)
                self.depths.append(depth)
            nodes.append(node)
            parent = node
        return nodes


class Quoter:
    """Quotes with one engine; stateless between calls, safe to share between threads.

    ``stop`` are the texts that end an answer besides the model's end tokens: any token that begins with one of them,
    spaces aside. A quotation does not go on over such a token.
    """

    def __init__(self, engine: Engine, *, stop: Sequence[str] = ("\n",)) -> None:
        self.engine, self.model = engine, engine.model
        wanted = tuple(text.encode() for text in stop)
        pieces = (engine.tokenizer.token_bytes(token).lstrip(b" ") for token in range(engine.tokenizer.vocab_size))
        self.stops = {token for token, piece in enumerate(pieces) if piece.startswith(wanted)} | engine.end_ids
        if not self.stops:
            raise ValueError("nothing ends an answer of this model; give a text that does, such as a new line")
        self._stop_ids = sorted(self.stops)

    @torch.inference_mode()
    def read(
        self,
        ids: Sequence[int],
        passages: Sequence[str],
        *,
        starts: int = STARTS,
        cancel: threading.Event | None = None,
    ) -> Quotations:
        """The best quotations from ``passages``, which stand in the prompt ``ids`` word for word.

        The prompt may be made in any way, with a chat template too, and ends where the answer begins: with "Answer:"
        rather than "Answer: ", since most tokens begin with their space. Cancelled when ``cancel`` is set before a
        pass; ValueError for a passage that does not stand in the prompt, or a prompt as :meth:`Engine.generate`'s.
        """
        prompt = self.engine.checked(ids)
        places = self._places(prompt, passages)
        room = min(NODES, self.model.config.context - len(prompt))
        if room < 1:
            raise ValueError(f"the prompt of {len(prompt):,} tokens fills the context; shorten it by {NODES} tokens")
        _check(cancel)
        both = self.engine.reads_both_ways(prompt)
        flexible = not forward_only(self.model)
        cache = self.engine.prefixes.get(prompt, len(prompt) + room) if flexible and not both else None
        if cache is None and flexible:
            cache = self.model.new_cache(1, len(prompt) + room)
        first = self.engine.read(prompt, cache, both)[0].log_softmax(-1).cpu()
        found = sorted(
            (-logprob, place.number, at)
            for place in places
            for at, logprob in enumerate(first[place.ids].tolist())
            if place.ids[at] not in self.stops and place.starts(at)
        )
        if not flexible:
            return self._one_by_one(prompt, places, first, found[:starts], cancel)
        passes, spans = 1, dict[tuple[int, int, int], Span]()
        picked, length = found[:LOOK_STARTS], RUN_TOKENS
        if sum(len(self._run(places[n], at, length)) for _, n, at in picked) > room:
            length = LOOK_TOKENS
        while picked:
            _check(cancel)
            tree = _Tree(room)
            runs = [(places[n], at, tree.add(self._run(places[n], at, length))) for _, n, at in picked]
            passes += 1
            gained, stopping = self._score(tree, cache, len(prompt), first)
            for place, at, nodes in runs:
                self._collect(place, at, [gained[n] for n in nodes], [stopping[n] for n in nodes], spans)
            if length == RUN_TOKENS:
                break
            # All of a length but at passages' ends, so the mean over the tokens ranks them by what is known.
            means = [sum(gained[n] for n in nodes) / max(1, len(nodes)) for _, _, nodes in runs]
            best = sorted(range(len(runs)), key=lambda i: -means[i])[:starts]
            picked, length = [picked[i] for i in best], RUN_TOKENS
        return Quotations(_ranked(spans), len(prompt), passes)

    def _places(self, prompt: list[int], passages: Sequence[str]) -> list[_Place]:
        """Where the passages stand, found in the bytes of the prompt's tokens."""
        pieces = [self.engine.tokenizer.token_bytes(token) for token in prompt]
        ends = torch.tensor([len(piece) for piece in pieces]).cumsum(0).tolist()
        data, cursor, places = b"".join(pieces), 0, []
        for number, text in enumerate(passages):
            wanted = text.encode("utf-8", "replace")
            begin = data.find(wanted, cursor)
            begin = data.find(wanted) if begin < 0 else begin
            if begin < 0:
                raise ValueError(f"passage {number} does not stand in the prompt as it is; put its text in unchanged")
            cursor = begin + len(wanted)
            # The character that each byte of the passage belongs to, and one past the last.
            owner = [i for i, c in enumerate(text) for _ in c.encode("utf-8", "replace")] + [len(text)]
            place = _Place(number, text, [], [], [])
            for token, piece, stop in zip(prompt, pieces, ends, strict=True):
                low, high = stop - len(piece) - begin, stop - begin
                if piece and high > 0 and low < len(wanted):
                    # White space that a token has beyond the passage is left out of the quotation.
                    before, after = piece[: max(0, -low)], piece[len(piece) - max(0, high - len(wanted)) :]
                    low, high = max(0, low), min(len(wanted), high)
                    place.ids.append(token)
                    place.spans.append((owner[low], owner[high - 1] + 1))
                    opens = not before.strip() and (low == 0 or owner[low] != owner[low - 1])
                    closes = not after.strip() and owner[high] != owner[high - 1]
                    place.whole.append((opens, closes))
            places.append(place)
        return places

    def _run(self, place: _Place, at: int, length: int) -> list[int]:
        run = place.ids[at : at + length]
        return run[: next((i for i, token in enumerate(run) if token in self.stops), len(run))]

    def _score(self, tree: _Tree, cache: object, past: int, first: Tensor) -> tuple[list[float], list[float]]:
        """For every node the log-probability of its token, and of stopping after it; the cache is left as it was."""
        size, device = len(tree.tokens), self.model.device
        sees = torch.eye(size, dtype=torch.bool)
        for node, parent in enumerate(tree.parents):
            if parent >= 0:
                sees[node] |= sees[parent]
        mask = torch.cat((torch.ones(size, past, dtype=torch.bool), sees), dim=1)[None, None].to(device)
        positions = torch.tensor([[past + depth for depth in tree.depths]], device=device)
        ids = torch.tensor([tree.tokens], device=device)
        hidden = self.model(ids, cache=cache, mask=mask, positions=positions)[0]
        cache.rollback(past)  # type: ignore[attr-defined]
        parents, tokens = torch.tensor(tree.parents), torch.tensor(tree.tokens)
        gained = first[tokens]
        stopping = torch.empty(size)
        for at in range(0, size, ROWS):
            rows = self.model.unembed(hidden[at : at + ROWS]).log_softmax(-1)
            stopping[at : at + ROWS] = rows[:, self._stop_ids].logsumexp(-1)
            mine = ((parents >= at) & (parents < at + ROWS)).nonzero().flatten()
            gained[mine] = rows[(parents[mine] - at).to(device), tokens[mine].to(device)].cpu()
        return gained.tolist(), stopping.tolist()

    def _one_by_one(
        self,
        prompt: list[int],
        places: list[_Place],
        first: Tensor,
        picked: list[tuple[float, int, int]],
        cancel: threading.Event | None,
    ) -> Quotations:
        """Without masks and without going back: one pass over the prompt for every start."""
        spans: dict[tuple[int, int, int], Span] = {}
        for _, number, at in picked:
            _check(cancel)
            run = self._run(places[number], at, min(RUN_TOKENS, self.model.config.context - len(prompt)))
            hidden = self.model(torch.tensor([[*prompt, *run]], device=self.model.device))[0, len(prompt) :]
            rows = self.model.unembed(hidden).log_softmax(-1)
            stopping = rows[:, self._stop_ids].logsumexp(-1).tolist()
            following = rows[range(len(run) - 1), run[1:]].tolist()
            self._collect(places[number], at, [float(first[run[0]]), *following], stopping, spans)
        return Quotations(_ranked(spans), len(prompt), 1 + len(picked))

    @staticmethod
    def _collect(
        place: _Place,
        at: int,
        gained: list[float],
        stopping: list[float],
        spans: dict[tuple[int, int, int], Span],
    ) -> None:
        """Add the spans that begin at a token, with the log-probabilities of its run and of stopping after each."""
        run = place.ids[at : at + len(gained)]
        tokens = tuple(zip(run, gained, strict=True))
        total = 0.0
        for last, (more, stop) in enumerate(zip(gained, stopping, strict=True)):
            total += more
            if place.ends(at + last):
                begin, end = place.spans[at][0], place.spans[at + last][1]
                quote = place.text[begin:end]
                begin, end = begin + len(quote) - len(quote.lstrip()), end - len(quote) + len(quote.rstrip())
                span = Span(place.number, begin, end, total + stop, tokens[: last + 1])
                spans.setdefault((place.number, begin, end), span)


def score(span: Span) -> float:
    """The log-probability, normalised for the number of tokens as in Wu et al. (2016)."""
    return span.logprob / ((5 + len(span.tokens) + 1) / 6) ** 0.6


def _ranked(spans: dict[tuple[int, int, int], Span]) -> tuple[Span, ...]:
    return tuple(sorted(spans.values(), key=lambda s: (-score(s), s.passage, s.start, s.end)))


def _check(cancel: threading.Event | None) -> None:
    if is_set(cancel):
        raise Cancelled
