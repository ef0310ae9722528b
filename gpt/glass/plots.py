"""Pictures of what the glass box shows: records in, matplotlib figures out; :func:`gpt.glass.style.save` writes PNG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gpt.glass.attribution import Attribution, ReadingAttribution
from gpt.glass.embeddings import Map
from gpt.glass.heads import Attention
from gpt.glass.inspect import Lens, NextToken, TokenView
from gpt.glass.style import (
    INK,
    LINE,
    SOFT,
    bare,
    cells,
    diverging,
    label,
    new_figure,
    note,
    percent,
    sequential,
    spread_labels,
    styled,
    token_ticks,
    warmth,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def token_boxes(record: Sequence[TokenView], width: float = 9.0) -> Figure:
    """A text as boxes, one for each token with its id beneath; neighbouring pieces differ in colour."""
    from matplotlib.patches import Rectangle

    names = [label(t.name) for t in record]
    sizes = [
        0.16 + 0.1 * max(sum(2 if ord(c) > 0x2E7F else 1 for c in n), len(str(t.id)))
        for n, t in zip(names, record, strict=True)
    ]
    places, x, line = [], 0.0, 0
    for size in sizes:
        if x + size > width:
            x, line = 0.0, line + 1
        places.append((x, line))
        x += size + 0.05
    right = max(x + size for (x, _), size in zip(places, sizes, strict=True))
    figure = new_figure(right + 0.2, 0.62 * (line + 1) + 0.1)
    axis = figure.add_axes((0, 0, 1, 1))
    tints = ("#cfe8e3", "#fdebae")
    for token, name, size, (x, line) in zip(record, names, sizes, places, strict=True):
        tint = "#e8eaea" if token.start is None else tints[(token.piece or 0) % 2]
        axis.add_patch(Rectangle((x, line * 0.62), size, 0.32, facecolor=tint, edgecolor="none"))
        axis.text(x + size / 2, line * 0.62 + 0.17, name, ha="center", va="center", fontsize=10)
        axis.text(x + size / 2, line * 0.62 + 0.42, str(token.id), ha="center", va="center", fontsize=7, color=SOFT)
    axis.set_xlim(-0.1, right + 0.1)
    axis.set_ylim(places[-1][1] * 0.62 + 0.55, -0.05)
    axis.axis("off")
    note(figure, names)
    return figure


@styled
def attention_grid(record: Attention) -> Figure:
    """All heads: one row of small maps for each layer; row t of a map shows where token t looks."""
    layers, heads, _, _ = record.weights.shape
    figure = new_figure(1.2 * heads + 0.5, 1.2 * layers + 0.5)
    axes = figure.subplots(layers, heads, squeeze=False, gridspec_kw={"wspace": 0.08, "hspace": 0.08})
    for layer in range(layers):
        for head in range(heads):
            axis = axes[layer, head]
            axis.imshow(record.weights[layer, head], cmap=sequential(), vmin=0, vmax=1, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            if layer == 0:
                axis.set_title(f"head {head + 1}", fontsize=9, color=SOFT, pad=4)
            if head == 0:
                axis.set_ylabel(f"layer {layer + 1}", fontsize=9, color=SOFT)
    return figure


@styled
def attention_head(record: Attention, layer: int, head: int) -> Figure:
    """One head, large, with the tokens on both sides: rows look, columns are looked at."""
    weights, names = record.head(layer, head), [label(t.name) for t in record.tokens]
    size = 0.34 * len(names) + 1.0
    figure = new_figure(size + 0.8, size)
    axis = figure.subplots()
    image = axis.imshow(weights, cmap=sequential(), vmin=0, vmax=max(0.25, weights.max()), interpolation="nearest")
    axis.set_yticks(range(len(names)), names)
    token_ticks(axis, names)
    axis.set_xlabel(f"layer {layer}, head {head}: a row shows which tokens its token takes from", color=SOFT)
    bar = figure.colorbar(image, ax=axis, shrink=0.6, pad=0.03)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8, colors=SOFT)
    cells(axis, len(names), len(names))
    note(figure, names)
    return figure


@styled
def temperature_bars(record: NextToken) -> Figure:
    """The next-token distribution, one panel for each temperature."""
    names, count = [label(c.name) for c in record.next], len(record.temperatures)
    figure = new_figure(1.7 * count + 1.0, 0.26 * len(names) + 0.9)
    axes = figure.subplots(1, count, sharey=True, squeeze=False, gridspec_kw={"wspace": 0.1})[0]
    for n, (axis, colour) in enumerate(zip(axes, warmth(count), strict=True)):
        values = [c.probabilities[n] for c in record.next]
        axis.barh(range(len(names)), values, color=colour, height=0.72)
        for row, value in enumerate(values):
            inside = value > 0.6
            place, ink, side = (value - 0.03, "white", "right") if inside else (value + 0.03, SOFT, "left")
            axis.text(place, row, percent(value), va="center", ha=side, fontsize=8, color=ink)
        axis.set_xlim(0, 1.05)
        axis.set_xticks([])
        axis.axvline(0, color=LINE, lw=1)
        axis.set_title(f"T = {record.temperatures[n]:g}\n{record.entropy[n]:.1f} bits", fontsize=9)
        axis.tick_params(length=0)
        bare(axis)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    note(figure, names)
    return figure


@styled
def lens_table(record: Lens) -> Figure:
    """The best token of every layer (rows, the last on top) and position (columns), darker where it is surer."""
    rows, columns = len(record.layers), len(record.tokens)
    best = [[cell.probabilities[0] for cell in layer] for layer in record.layers]
    texts = [[label(cell.names[0], 9) for cell in layer] for layer in record.layers]
    read = [label(t.name, 10) for t in record.tokens]
    figure = new_figure(0.86 * columns + 1.0, 0.34 * rows + 0.8)
    axis = figure.subplots()
    axis.imshow(best, cmap=sequential(), vmin=0, vmax=1, aspect="auto", origin="lower", interpolation="nearest")
    for row in range(rows):
        for column in range(columns):
            ink = "white" if best[row][column] > 0.55 else INK
            axis.text(column, row, texts[row][column], ha="center", va="center", color=ink)
    axis.set_xticks(range(columns), read, fontweight="bold")
    axis.set_yticks(range(rows), ["embedding", *(f"layer {n}" for n in range(1, rows))])
    axis.set_xlabel(
        "below: the token read; above it: what each layer would say next, darker where it is surer", color=SOFT
    )
    cells(axis, rows, columns)
    note(figure, [*read, *(text for line in texts for text in line)])
    return figure


@styled
def embedding_map(record: Map, groups: Sequence[Sequence[int]] = ()) -> Figure:
    """Tokens in the plane; each of ``groups`` (of ids) has a colour of its own, its first id written bold."""
    figure = new_figure(6.4, 4.6)
    axis = figure.subplots()
    colours, names = warmth(max(1, len(groups))), [label(name) for name in record.names]
    axis.axhline(0, color=LINE, lw=0.8, zorder=1)
    axis.axvline(0, color=LINE, lw=0.8, zorder=1)
    axis.set(xticks=[], yticks=[])
    groups_of = [next((n for n, ids in enumerate(groups) if i in ids), None) for i in record.ids]
    tints = [SOFT if n is None else colours[n] for n in groups_of]
    first = [n is not None and groups[n][0] == i for i, n in zip(record.ids, groups_of, strict=True)]
    xs, ys = zip(*record.points, strict=True)
    axis.scatter(xs, ys, s=[44 if bold else 14 for bold in first], c=tints, zorder=3)
    axis.margins(0.12)
    spread_labels(axis, record.points, names, tints, first)
    axis.set_xlabel(f"first direction, {record.explained[0]:.0%} of the variance", color=SOFT)
    axis.set_ylabel(f"second direction, {record.explained[1]:.0%}", color=SOFT)
    bare(axis)
    note(figure, names)
    return figure


@styled
def attribution_strip(record: Attribution) -> Figure:
    """One row for each token of the answer over the tokens of the prompt: green supported it, red spoke against it."""
    names, answers = [label(t.name) for t in record.prompt], [label(t.name) for t in record.answer]
    rows = [*record.scores, record.total] if len(answers) > 1 else [*record.scores]
    figure = new_figure(0.34 * len(names) + 1.2, 0.32 * len(rows) + 1.1)
    axis = figure.subplots()
    peak = _peak(rows)
    axis.imshow(rows, cmap=diverging(), vmin=-peak, vmax=peak, aspect="auto", interpolation="nearest")
    axis.set_yticks(range(len(rows)), [*answers, "together"][: len(rows)])
    token_ticks(axis, names)
    axis.set_xlabel(f"{record.method}; strongest: {peak:.2g} {record.unit}", color=SOFT)
    cells(axis, len(rows), len(names))
    note(figure, [*names, *answers])
    return figure


@styled
def reading_strip(record: ReadingAttribution, columns: int = 30) -> Figure:
    """The reader's prompt as running text over two rows of cells: where the copy head points, and what the start of the
    quotation loses when the token is hidden."""
    names = [label(t.name) for t in record.prompt]
    lines = -(-len(names) // columns)
    figure = new_figure(0.36 * min(columns, len(names)) + 1.2, 1.35 * lines + 0.4)
    axes = figure.subplots(lines, 1, squeeze=False, gridspec_kw={"hspace": 1.5})[:, 0]
    top, peak = max(*record.starts, 1e-9), _peak([record.erasure])
    for n, axis in enumerate(axes):
        part = slice(n * columns, (n + 1) * columns)
        width = len(names[part])
        both = np.full((2, 2, width), np.nan)  # two images, each with one row of its own
        both[0, 0], both[1, 1] = record.starts[part], record.erasure[part]
        axis.imshow(both[0], cmap=sequential(), vmin=0, vmax=top, aspect="auto", interpolation="nearest")
        axis.imshow(both[1], cmap=diverging(), vmin=-peak, vmax=peak, aspect="auto", interpolation="nearest")
        axis.set_yticks([0, 1], ["starts here", "matters"])
        token_ticks(axis, names[part])
        cells(axis, 2, width)
        axis.set_xlim(-0.5, min(columns, len(names)) - 0.5)
    found = f"“{label(record.quote, 60)}”" if record.quote else "nothing"
    axes[-1].set_xlabel(
        f"found: {found}   no answer here: {record.none:.0%}   strongest start: {top:.0%}"
        f"   strongest effect: {peak:.2g} nats",
        color=SOFT,
    )
    note(figure, names)
    return figure


def _peak(rows: Sequence[Sequence[float]]) -> float:
    """The largest magnitude: the end of a scale that has its zero in the middle."""
    return float(max((abs(value) for row in rows for value in row), default=0.0)) or 1e-9
