"""Probabilities that a temperature redraws: rows with bars, whose logarithms the script turns into softmax(x / T).

The logarithm of a probability is a logit but for a constant, so softmax(log p / T) is what the sampler draws from.
Where only the likeliest of many are listed, ``sums`` gives log sum exp(x / T) over all of them for every T of the
slider, so that the redrawn numbers are exact there too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from app.i18n import attribute, both
from rag.types import Token

STEP = 0.05  # of the slider, from 0 to 2
GRID = tuple(round(STEP * n, 2) for n in range(1, 41))
_LEAST = 1e-12
_MOST_TOKENS = 512


def log(probability: float) -> float:
    return math.log(max(probability, _LEAST))


def slider(*, value: float = 1.0) -> str:
    """The temperature of the distributions in the same group."""
    label = attribute("aria-label", "why.temperature")
    return (
        f'<label class="ob-heat"><span>{both("why.temperature")}</span>'
        f'<input type="range" min="0" max="2" step="{STEP}" value="{value}" data-temperature {label}>'
        f"<output>{value:.2f}</output></label>"
    )


def row(html: str, probability: float, side: str = "", *, folded: bool = False, logit: float | None = None) -> str:
    """One outcome: ``html`` is what it is, already escaped."""
    percent = 100 * probability
    value = log(probability) if logit is None else logit
    return (
        f'<li class="ob-out{" ob-folded" if folded else ""}" data-x="{value:.5f}"><div class="ob-out-text">{html}</div>'
        f'<div class="ob-out-foot"><span class="ob-bar-p"><i style="width:{percent:.2f}%"></i></span>'
        f'<span class="ob-p">{percent:.1f} %</span>{side}</div></li>'
    )


def _nucleus() -> str:
    """The slider of top-p: only the likeliest tokens that together hold so much keep their mass."""
    label = attribute("aria-label", "settings.top_p")
    return (
        f'<label class="ob-heat"><span>{both("settings.top_p")}</span>'
        f'<input type="range" min="0.05" max="1" step="0.05" value="1" data-top-p {label}><output>1.00</output></label>'
    )


def group(rows: Sequence[str], *, sums: Sequence[float] = (), kind: str = "", nucleus: bool = False) -> str:
    """Rows that share one distribution, under its sliders."""
    given = ' data-sums="' + " ".join(f"{value:.5f}" for value in sums) + '"' if sums else ""
    more = sum("ob-folded" in row for row in rows)
    unfold = both("why.more_rows", n=more)
    button = f'<button type="button" class="ob-link" data-unfold>{unfold}</button>' if more else ""
    sliders = slider() + (_nucleus() if nucleus else "")
    outs = f'<ol class="ob-outs">{"".join(rows)}</ol>'
    return f'<div class="ob-dist {kind}" data-dist{given}>{sliders}{outs}{button}</div>'


def shown(text: str) -> str:
    """A token's text with its white space visible."""
    return text.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥") or "∅"


def tokens(written: Sequence[Token], *, run: bool = False) -> str:
    """What a model wrote, token by token; each opens the alternatives at its place. ``run``: it was pointed at, not
    written: where to start, then each time to go on or to end."""
    if not written:
        return ""
    strip: list[str] = []
    places: list[str] = []
    for number, token in enumerate(written[:_MOST_TOKENS]):
        probability = math.exp(min(0.0, token.logprob))
        doubt = round(1 - probability, 3)
        percent = f"{100 * probability:.1f}"
        title = attribute("title", "why.token", text=shown(token.text), percent=percent)
        strip.append(
            f'<button type="button" class="ob-tok" style="--heat:{doubt}" data-place="{number}" aria-expanded="false" '
            f"{title}>{escape(shown(token.text))}</button>"
        )
        pairs = dict(token.top) or {}
        pairs.setdefault(token.text, token.logprob)
        ranked = sorted(pairs.items(), key=lambda pair: -pair[1])
        rows = [
            row(f"<code>{escape(shown(text))}</code>", math.exp(min(0.0, value)), "✓" if text == token.text else "")
            for text, value in ranked
        ]
        head = both("why.alternatives", text=shown(token.text))
        places.append(f'<div class="ob-place" data-place="{number}" hidden><h4>{head}</h4>{group(rows)}</div>')
    body = f'<p class="ob-toks">{"".join(strip)}</p>{"".join(places)}'
    if run:
        head = f'<h4>{both("why.run_tokens")}</h4><p class="ob-why-hint">{both("why.run_tokens_hint")}</p>'
        return f"<div data-tokens>{head}{body}</div>"
    hint = f'<p class="ob-why-hint">{both("why.tokens_hint")} {both("why.listed_only")}</p>'
    return f'<div class="ob-why-part" data-tokens><h3>{both("why.tokens")}</h3>{hint}{body}</div>'
