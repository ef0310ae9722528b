"""What the bundled reader made of one passage: start, end, attention and erasure, as a heat map over its words."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from app.i18n import attribute, both
from app.why import distribution
from rag.types import Token

if TYPE_CHECKING:
    from gpt.engine import Engine
    from gpt.glass.attribution import ReadingAttribution
    from gpt.reader import Span

ERASURES = 64  # runs of words that are hidden one after another: 4 s for 215 tokens on an idle core
END, MORE = "⟨end⟩", "⟨more⟩"  # the reader's own tokens for the choice after each word
_RUNS = 8  # spans that are listed
_QUESTION = 2000  # characters


@dataclass(frozen=True, slots=True)
class Read:
    """One passage as the reader saw it.

    ``tokens`` are (start, end) characters of ``text`` with, for each, the probability that an answer starts there, the
    attention by layer, and the loss when it is hidden (empty until it was measured). ``spans`` (start, end,
    log-probability) best first, ``ends`` those from the best start, ``steps`` the choices of the best one. ``none``:
    probability of "not in this passage".
    """

    text: str
    tokens: list[tuple[int, int]]
    starts: list[float]
    attention: list[list[float]]
    erasure: list[float]
    spans: list[tuple[int, int, float]]
    ends: list[tuple[int, int, float]] = field(default_factory=list)
    steps: list[Token] = field(default_factory=list)
    none: float = 0.0


def look(
    engine: Engine, question: str, text: str, keep: tuple[int, int], *, measure: bool, cancel: threading.Event
) -> Read:
    """Read ``text`` for ``question``; ``keep`` (start, end) has to be in what one window of the reader holds.

    ``measure``: also hide its words, which takes seconds. `gpt.reader.Cancelled` once ``cancel`` is set.
    """
    from gpt.glass.attribution import attribute_reading
    from gpt.glass.inspect import label
    from gpt.reader import Reader

    part = window(engine, text, keep)
    asked = question[:_QUESTION]
    found = attribute_reading(engine, asked, part, erasures=ERASURES if measure else 1, cancel=cancel)
    spans = Reader(engine).read(asked, [part], cancel=cancel).spans
    return read_of(part, found, spans, measured=measure, named=lambda token: label(engine.tokenizer, token))


def read_of(
    text: str, found: ReadingAttribution, spans: Sequence[Span], *, measured: bool, named: Callable[[int], str]
) -> Read:
    """The numbers of an attribution, for tokens that are characters of the passage; ``named``: the text of an id."""
    places = [n for n, token in enumerate(found.prompt) if token.start is not None]
    tokens = [(found.prompt[n].start or 0, found.prompt[n].end or 0) for n in places]
    runs = sorted({(s.start, s.end, s.logprob) for s in spans}, key=lambda run: -run[2])
    ends = [run for run in runs if run[0] == runs[0][0]] if runs else []
    return Read(
        text,
        tokens,
        [found.starts[n] for n in places],
        [[layer[n] for n in places] for layer in found.attention],
        [found.erasure[n] for n in places] if measured else [],
        runs[:_RUNS],
        sorted(ends, key=lambda run: run[1]),
        _steps(max(spans, key=lambda span: span.logprob), found, named) if spans else [],
        found.none,
    )


def _steps(span: Span, found: ReadingAttribution, named: Callable[[int], str]) -> list[Token]:
    """The choices that make a run: its first token among the likeliest starts, then going on or ending, and the end."""
    starts = sorted(zip(found.starts, found.prompt, strict=True), key=lambda pair: -pair[0])[:_RUNS]
    first, *others = span.tokens
    made = [
        Token(
            id=first[0],
            text=named(first[0]),
            logprob=first[1],
            top=[(named(token.id), distribution.log(p)) for p, token in starts if p > 0],
        )
    ]
    end = span.logprob - sum(value for _, value in span.tokens)
    choices = [*((token, value) for token, value in others), (None, end)]
    for token, value in choices:
        other = distribution.log(1.0 - math.exp(min(0.0, value)))
        text = END if token is None else named(token)
        made.append(
            Token(id=token, text=text, logprob=value, top=[(text, value), (END if token is not None else MORE, other)])
        )
    return made


def window(engine: Engine, text: str, keep: tuple[int, int]) -> str:
    """As much of ``text`` as the reader takes at once, around ``keep``; all of it where it fits."""
    from gpt.grounding import PASSAGE_TOKENS

    _, tokenizer = engine.own()
    spans = tokenizer.encode_spans(text).spans
    if len(spans) <= PASSAGE_TOKENS:
        return text
    middle = next((n for n, (_, end) in enumerate(spans) if end > sum(keep) // 2), 0)
    first = max(0, min(middle - PASSAGE_TOKENS // 2, len(spans) - PASSAGE_TOKENS))
    first += first > 0  # cutting may split the first token in two, which would be one too many
    return text[spans[first][0] : spans[min(len(spans), first + PASSAGE_TOKENS - 2) - 1][1]].strip()


def _scaled(values: Sequence[float]) -> list[float]:
    """0 to 1, the square root taken: a peak of .9 must not leave everything else white."""
    most = max([0.0, *values])
    return [math.sqrt(max(0.0, value) / most) if most > 0 else 0.0 for value in values]


def _map(read: Read) -> str:
    """The passage, every token with its heat on each layer of the map; ``textContent`` is the passage."""
    mean = [sum(column) / len(column) for column in zip(*read.attention, strict=True)]
    layers = [_scaled(read.starts), _scaled(mean), *map(_scaled, read.attention), _scaled(read.erasure)]
    out: list[str] = []
    at = 0
    for n, (start, end) in enumerate(read.tokens):
        if start < at:  # the bytes of one character spread over several tokens
            continue
        heats = " ".join(f"{layer[n]:.3f}" if layer else "0" for layer in layers)
        numbers = [f"{100 * read.starts[n]:.2f} %", f"{mean[n]:.4f}"]
        numbers += [f"{read.erasure[n]:+.3f}"] if read.erasure else []
        said = escape(" · ".join(numbers))
        out.append(escape(read.text[at:start]))
        out.append(
            f'<span class="ob-h" style="--heat:{layers[0][n]:.3f}" data-h="{heats}" title="{said}">'
            f"{escape(read.text[start:end])}</span>"
        )
        at = end
    out.append(escape(read.text[at:]))
    return f'<div class="ob-map">{"".join(out)}</div>'


def _layers(read: Read) -> str:
    """The buttons that choose what the map shows, and the layer of the attention."""
    count = len(read.attention)
    kinds = [("why.map.start", 0), ("why.map.attention", 1)]
    hints = [("why.map.start_hint", 0), ("why.map.attention_hint", 1)]
    if read.erasure:
        kinds.append(("why.map.erasure", count + 2))
        hints.append(("why.map.erasure_hint", count + 2))
    buttons = "".join(
        f'<button type="button" class="ob-tool" data-layer="{at}" aria-pressed="{str(at == 0).lower()}">'
        f"{both(key)}</button>"
        for key, at in kinds
    )
    options = "".join(f'<option value="{n + 2}">{n + 1}</option>' for n in range(count))
    choose = (
        f'<label class="ob-pick" data-for-layer="1" hidden>{both("why.map.layer")} <select data-map-layer '
        f'{attribute("aria-label", "why.map.layer")}><option value="1">1–{count}</option>{options}</select></label>'
    )
    told = "".join(
        f'<p class="ob-why-hint" data-for-layer="{at}"{"" if at == 0 else " hidden"}>{both(key)}</p>'
        for key, at in hints
    )
    return f'<div class="ob-layers" role="group" {attribute("aria-label", "why.map")}>{buttons}{choose}</div>{told}'


def html(read: Read, turn: int, n: int) -> str:
    """The reading as a part of the panel; ``turn`` and ``n`` name the passage for the button that measures."""
    best = read.spans[0] if read.spans else None
    head = both("why.found", quote=read.text[best[0] : best[1]]) if best else both("why.found_none")
    none = both("why.none", percent=f"{100 * read.none:.1f}")
    rows = [
        distribution.row(escape(read.text[start:end]), math.exp(value), logit=value) for start, end, value in read.spans
    ]
    runs = f'<h4>{both("why.spans")}</h4><p class="ob-why-hint">{both("why.spans_hint")} {both("why.listed_only")}</p>'
    measure = ""
    if best and not read.erasure:
        measure = (
            f'<button type="button" class="ob-tool" data-look data-measure data-turn="{turn}" data-n="{n}">'
            f"{both('why.measure')}</button>"
        )
    body = (
        f'<p class="ob-why-quote">{head}</p><p class="ob-soft">{none}</p><h4>{both("why.map")}</h4>'
        f'<div data-map>{_layers(read)}{_map(read)}</div><p class="ob-looks">{measure}</p>'
    )
    if rows:
        body += runs + distribution.group(rows) + distribution.tokens(read.steps, run=True) + _ends(read)
    title = both("why.read", n=n)
    return f'<div class="ob-why-part ob-reading" tabindex="-1"><h3>{title}</h3>{body}</div>'


def _ends(read: Read) -> str:
    """p(end | best start): the runs from there, by length, without a slider of their own."""
    total = sum(math.exp(value) for *_, value in read.ends)
    if len(read.ends) < 2 or total <= 0:
        return ""
    likely = sorted(read.ends, key=lambda run: -run[2])[:_RUNS]
    rows = [
        distribution.row(f"… {escape(read.text[max(start, end - 24) : end])}", math.exp(value) / total)
        for start, end, value in sorted(likely, key=lambda run: run[1])
    ]
    return f'<h4>{both("why.ends")}</h4><ol class="ob-outs">{"".join(rows)}</ol>'
