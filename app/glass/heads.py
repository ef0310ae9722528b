"""Attention by layer and head: small pictures of all heads, one of them large with its tokens."""

from __future__ import annotations

import base64
import functools
import io
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from app.i18n import attribute, both
from app.why import distribution

if TYPE_CHECKING:
    from gpt.engine import Engine
    from gpt.glass.heads import Attention, HeadScore

MOST_TOKENS = 48  # more would be too small to read, and to touch
_COLOUR = (15, 118, 110)  # the accent of the light theme; the dark one is made of it by a filter
_CLEAR = 0.2  # a head of a kind does it with at least this share of its weight
_KINDS = {
    "previous": "glass.heads.previous", "first": "glass.heads.first", "same": "glass.heads.same",
    "duplicate": "glass.heads.duplicate", "induction": "glass.heads.induction",
}  # fmt: skip


def picture(weights: np.ndarray) -> str:
    """(T, T) weights as a data: URL of a PNG of one colour, whose opacity is the weight."""
    from PIL import Image

    pixels = np.zeros((*weights.shape, 4), dtype=np.uint8)
    pixels[..., :3] = _COLOUR
    pixels[..., 3] = np.clip(np.round(weights * 255), 0, 255)
    buffer = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(buffer, "png", compress_level=6)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


@functools.lru_cache(maxsize=2)
def _scores(engine: Engine) -> tuple[HeadScore, ...]:
    from gpt.glass.heads import head_scores

    return head_scores(engine)


def kind_of(score: HeadScore) -> str:
    """The key of what a head mostly does; "" when it does nothing known."""
    values = {kind: float(getattr(score, kind)) for kind in _KINDS}
    best = max(values, key=values.__getitem__)
    return _KINDS[best] if values[best] >= _CLEAR else ""


def attend(engine: Engine, text: str) -> str:
    """All heads on ``text``. ValueError for one of more than `MOST_TOKENS` tokens."""
    from gpt.glass.heads import attention
    from gpt.glass.inspect import prompt_of

    ids, _ = prompt_of(engine, text)
    if len(ids) > MOST_TOKENS:
        raise ValueError(f"the text has {len(ids)} tokens, and attention is shown for at most {MOST_TOKENS}")
    return html(attention(engine, text), _scores(engine))


def html(found: Attention, scores: tuple[HeadScore, ...]) -> str:
    layers, heads, count = found.weights.shape[:3]
    kinds = {(score.layer, score.head): kind_of(score) for score in scores}
    rows: list[str] = []
    first = ""
    for layer in range(1, layers + 1):
        cells: list[str] = []
        for head in range(1, heads + 1):
            image = picture(found.head(layer, head))
            first = first or image
            key = kinds.get((layer, head), "")
            told = both("glass.heads.head", layer=layer, head=head)
            kind = " · " + both("glass.heads.kind", kind="\0").replace("\0", both(key)) if key else ""
            pressed = str(not rows and not cells).lower()
            cells.append(
                f'<button type="button" class="ob-thumb" data-head aria-pressed="{pressed}" '
                f"{attribute('aria-label', 'glass.heads.head', layer=layer, head=head)}>"
                f'<img src="{image}" alt="" width="{count}" height="{count}">'
                f'<span class="ob-thumb-name" hidden>{told}{kind}</span></button>'
            )
        rows.append(f'<div class="ob-thumbs-row"><span class="ob-thumbs-layer">{layer}</span>{"".join(cells)}</div>')
    pick = both("glass.heads.pick")
    names = [distribution.shown(token.name) for token in found.tokens]
    across = "".join(f"<span>{escape(name)}</span>" for name in names)
    down = "".join(
        f'<button type="button" data-row="{n}" aria-pressed="false">{escape(name)}</button>'
        for n, name in enumerate(names)
    )
    return (
        f'<div class="ob-heads" style="--count:{count}" data-heads><div class="ob-thumbs"><h4>'
        f"{both('glass.heads.all', layers=layers, heads=heads)}</h4>{''.join(rows)}</div>"
        f'<div class="ob-large"><h4 class="ob-large-name" aria-live="polite">'
        f"{both('glass.heads.head', layer=1, head=1)}</h4>"
        f'<div class="ob-matrix"><div class="ob-across" aria-hidden="true">{across}</div>'
        f'<div class="ob-down" role="group" {attribute("aria-label", "glass.heads.pick")}>{down}</div>'
        f'<div class="ob-weights"><img src="{first}" alt="" width="{count}" height="{count}">'
        f'<i class="ob-row-mark" hidden></i></div></div><p class="ob-takes" role="status">{pick}</p>'
        f'<span class="ob-takes-word" hidden>{both("glass.heads.takes")}</span></div></div>'
        f'<p class="ob-why-hint">{both("glass.heads.caution")}</p>'
    )
