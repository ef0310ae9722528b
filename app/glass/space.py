"""The embedding as a space: near tokens, directions, and a map of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from app.i18n import attribute, both
from app.why import distribution

if TYPE_CHECKING:
    from gpt.engine import Engine
    from gpt.glass.embeddings import Map, Neighbours

COUNT = 12
_WIDTH, _HEIGHT, _EDGE = 640, 380, 60
_NUMBER = re.compile(r"#(\d{1,9})")


def token(text: str) -> str | int:
    """``#123`` is a token by its number."""
    found = _NUMBER.fullmatch(text.strip())
    return int(found[1]) if found else text


def near(engine: Engine, text: str) -> str:
    """The neighbours of one token. ValueError, naming the pieces, for a text that is several."""
    from gpt.glass.embeddings import embedding_map, neighbours

    found = neighbours(engine, token(text), COUNT)
    place = embedding_map(engine, [*found.given, *found.ids])
    return _shown(listed(found) + scatter(place, len(found.given)))


def way(engine: Engine, a: str, b: str, c: str) -> str:
    """The tokens nearest to a − b + c."""
    from gpt.glass.embeddings import directions, embedding_map

    found = directions(engine, token(a), token(b), token(c), COUNT)
    ids = list(dict.fromkeys([*found.given, *found.ids]))
    given = len(dict.fromkeys(found.given))
    caution = f'<p class="ob-why-hint">{both("glass.space.caution")}</p>'
    return _shown(listed(found) + scatter(embedding_map(engine, ids), given) + caution)


def _shown(html: str) -> str:
    return f'<div class="ob-space-shown">{html}</div>'


def listed(found: Neighbours) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(distribution.shown(name))}</code> <small>#{i}</small></td>"
        f'<td><div class="ob-cosine"><span class="ob-bar-p"><i style="width:{100 * max(0.0, cosine):.1f}%"></i></span>'
        f"{cosine:.3f}</div></td></tr>"
        for i, name, cosine in zip(found.ids, found.names, found.cosines, strict=True)
    )
    title = both("glass.space.nearest", query=found.query)
    head = f'<th scope="col">{both("glass.space.token")}</th><th scope="col">{both("glass.space.cosine")}</th>'
    return (
        f'<h4>{title}</h4><table class="ob-data ob-nearest"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    )


def scatter(place: Map, given: int) -> str:
    """The tokens as labelled points; the first ``given`` are those that were asked about."""
    share = both("glass.space.map", share=f"{100 * sum(place.explained):.0f}")
    label = attribute("aria-label", "glass.space.map", share=f"{100 * sum(place.explained):.0f}")
    marks = []
    for n, ((x, y), name) in enumerate(zip(_spread(place.points), place.names, strict=True)):
        kind = "ob-asked" if n < given else "ob-found"
        marks.append(
            f'<g class="{kind}"><circle cx="{x:.1f}" cy="{y:.1f}" r="4"></circle>'
            f'<text x="{x + 8:.1f}" y="{y + 4:.1f}">{escape(distribution.shown(name).removeprefix("␣"))}</text></g>'
        )
    return (
        f'<figure class="ob-figure"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" {label}>{"".join(marks)}</svg>'
        f"<figcaption>{share}</figcaption></figure>"
    )


def _spread(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points in the picture; labels that would lie on one another are moved down a line."""
    xs, ys = [x for x, _ in points], [y for _, y in points]

    def scaled(value: float, values: list[float], size: int, edge: int) -> float:
        low, high = min(values), max(values)
        return edge + (value - low) / ((high - low) or 1.0) * (size - 2 * edge)

    placed: list[tuple[float, float]] = []
    for x, y in points:
        across, down = scaled(x, xs, _WIDTH, _EDGE), _HEIGHT - scaled(y, ys, _HEIGHT, 28)
        while any(abs(across - a) < 70 and abs(down - b) < 15 for a, b in placed):
            down += 15
        placed.append((across, down))
    low = max(down for _, down in placed)
    return placed if low < _HEIGHT - 8 else [(x, y * (_HEIGHT - 8) / low) for x, y in placed]
