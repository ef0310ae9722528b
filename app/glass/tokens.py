"""How the model cuts a text into tokens, and how probable each token is as the next one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from app.i18n import attribute, both
from app.why import distribution

if TYPE_CHECKING:
    from gpt.engine import Engine
    from gpt.glass.inspect import TokenView

LISTED = 40  # next tokens
_COLOURS = 5


def chips(shown: Sequence[TokenView]) -> str:
    """The tokens in a row, neighbours in different colours, as a list for a screen reader."""
    out = []
    for n, token in enumerate(shown):
        special = "" if token.bytes else " ob-special"
        name = distribution.shown(token.name)
        told = (
            attribute("title", "glass.tokens.part", n=token.part[0], count=token.part[1], text=token.text)
            if (token.part)
            else f'title="#{token.id}"'
        )
        out.append(
            f'<li class="ob-token ob-c{n % _COLOURS}{special}" {told}>{escape(name)}<small>{token.id}</small></li>'
        )
    return f'<ol class="ob-tokens">{"".join(out)}</ol>'


def table(shown: Sequence[TokenView]) -> str:
    heads = (
        both("glass.tokens.place"), both("glass.tokens.id"), both("glass.tokens.token"), both("glass.tokens.bytes"),
        both("glass.tokens.span"), both("glass.tokens.piece"),
    )  # fmt: skip
    rows = []
    for n, token in enumerate(shown):
        span = "" if token.start is None else f"{token.start}–{token.end}"
        piece = "" if token.piece is None else str(token.piece)
        cells = (str(n), str(token.id), distribution.shown(token.name), token.bytes, span, piece)
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return f'<table class="ob-data"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def cut(engine: Engine, text: str) -> str:
    """The tokens of ``text``. ValueError for one that exceeds the context."""
    from gpt.glass.inspect import prompt_of

    _, shown = prompt_of(engine, text)
    count = sum(bool(token.bytes) for token in shown)
    size = len(text.encode("utf-8", "replace"))
    said = both(
        "glass.tokens.count", n=f"{count:,}", characters=f"{len(text):,}", bytes=f"{size:,}",
        ratio=f"{len(text) / max(1, count):.2f}",
    )  # fmt: skip
    summary = f"<summary>{both('glass.tokens.table')}</summary>"
    return f'<p class="ob-fact">{said}</p>{chips(shown)}<details class="ob-more">{summary}{table(shown)}</details>'


def follow(engine: Engine, text: str) -> str:
    """The likeliest next tokens after ``text`` under sliders for temperature and top-p, exact over the vocabulary."""
    import torch

    from gpt.glass.inspect import label

    ids = engine.prompt(text)
    logits = engine.logits(ids).float().cpu()
    logprobs = logits.log_softmax(-1)
    best = logprobs.sort(descending=True, stable=True).indices[:LISTED].tolist()
    sums = [float(torch.logsumexp(logprobs / t, -1)) for t in distribution.GRID]
    bits = float(torch.special.entr(logprobs.exp()).sum()) / math.log(2)
    rows = []
    for place, i in enumerate(best):
        name = escape(distribution.shown(label(engine.tokenizer, i)))
        value = float(logprobs[i])
        rows.append(
            distribution.row(
                f"<code>{name}</code> <small>#{i}</small>", math.exp(value), logit=value, folded=place >= 12
            )
        )
    entropy = both("glass.next.entropy", bits=f"{bits:.2f}", choices=f"{2**bits:,.0f}")
    listed = both("glass.next.listed", n=len(best), vocabulary=f"{logits.numel():,}")
    return (
        f'<p class="ob-fact">{entropy}</p><p class="ob-why-hint">{listed}</p>'
        f"{distribution.group(rows, sums=sums, kind='ob-dist-wide', nucleus=True)}"
    )
