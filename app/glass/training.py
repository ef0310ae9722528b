"""The training curves of the bundled model, from the log that lies beside its weights."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import Any

from app.i18n import attribute, both

_WIDTH, _HEIGHT = 680, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 12, 30
_LOSSES = (
    ("prose", "glass.training.prose"), ("start", "glass.training.start"), ("stop", "glass.training.stop"),
)  # fmt: skip
Curve = list[list[tuple[float, float]]]  # per stage: (million tokens since the beginning, loss)


@lru_cache(maxsize=1)
def log() -> dict[str, Any] | None:
    """The log, with ``current``: whether it belongs to the weights that lie beside it. None when there is none."""
    from gpt.load import BUNDLED, WEIGHTS

    try:
        found = json.loads((BUNDLED / "training.json").read_text(encoding="utf-8"))
        digest = hashlib.sha256((BUNDLED / WEIGHTS).read_bytes()).hexdigest()
    except (OSError, ValueError):
        return None
    return {**found, "current": digest == found.get("model_sha256")}


def curves(stages: Sequence[dict[str, Any]]) -> tuple[dict[str, Curve], list[float]]:
    """Per loss its curve, and where each stage ends, in million tokens."""
    found: dict[str, Curve] = {name: [] for name, _ in _LOSSES}
    before, ends = 0.0, []
    for stage in stages:
        for name in found:
            found[name].append([((before + row["tokens"]) / 1e6, row[name]) for row in stage["log"] if name in row])
        before += stage["log"][-1]["tokens"]
        ends.append(before / 1e6)
    return found, ends


def html(*, bundled: bool) -> str:
    """The curves with a sentence for each stage; ``bundled``: whether the chat runs that model."""
    found = log()
    if found is None:
        return f'<p class="ob-soft">{both("glass.training.none")}</p>'
    stages = found["stages"]
    lines, ends = curves(stages)
    note = ""
    if not bundled:
        note = f'<p class="ob-notice">{both("glass.training.not_bundled")}</p>'
    elif not found["current"]:
        note = f'<p class="ob-notice">{both("glass.training.other")}</p>'
    charts = "".join(f"<h4>{both(key)}</h4>{chart(lines[name], ends)}" for name, key in _LOSSES)
    said = "".join(f"<li>{_stage(stage)}</li>" for stage in stages)
    return f'{note}{charts}<ol class="ob-stages-said">{said}</ol>{_table(stages)}'


def _stage(stage: dict[str, Any]) -> str:
    last = stage["log"][-1]
    kind = "glass.training.kind.pre" if stage["kind"] == "pre-training" else "glass.training.kind.tune"
    values = {"seed": stage["seed"], "tokens": f"{last['tokens'] / 1e6:.1f}", "minutes": f"{last['seconds'] / 60:.0f}"}
    said = both("glass.training.stage", kind="\0", **values).replace("\0", both(kind))
    held = stage.get("bits_per_byte") or {}
    if {"en", "zh"} <= set(held):
        said += " " + both("glass.training.held", en=f"{held['en']:.2f}", zh=f"{held['zh']:.2f}")
    return said


def chart(curve: Curve, ends: Sequence[float]) -> str:
    """One loss over the tokens read, a line per stage, the stages told apart by thin rules."""
    points = [point for line in curve for point in line]
    values = [loss for _, loss in points]
    steps = _ticks(min(values), max(values))
    low, high = steps[0], steps[-1]
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x(tokens: float) -> float:
        return _LEFT + width * tokens / ends[-1]

    def y(loss: float) -> float:
        return _TOP + height * (high - loss) / (high - low)

    grid = "".join(
        f'<line class="ob-grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(v):.1f}" y2="{y(v):.1f}"></line>'
        f'<text class="ob-tick" x="{_LEFT - 7}" y="{y(v) + 4:.1f}" text-anchor="end">{v:.3g}</text>'
        for v in steps
    )
    rules = "".join(
        f'<line class="ob-stage-rule" x1="{x(end):.1f}" x2="{x(end):.1f}" y1="{_TOP}" y2="{_TOP + height}"></line>'
        for end in ends[:-1]
    )
    every = max(1, round(ends[-1] / 8))
    across = "".join(
        f'<text class="ob-tick" x="{x(n):.1f}" y="{_HEIGHT - 12}" text-anchor="middle">{n}</text>'
        for n in range(0, int(ends[-1]) + 1, every)
    )
    paths = "".join(
        f'<polyline points="{" ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in line)}"></polyline>'
        for line in curve
        if line
    )
    ends_at = {"first": f"{values[0]:.2f}", "last": f"{values[-1]:.2f}"}
    label = attribute("aria-label", "glass.training.from_to", **ends_at)
    caption = f"{both('glass.training.from_to', **ends_at)} · {both('glass.training.axis')}"
    return (
        f'<figure class="ob-figure"><svg class="ob-chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" {label}>'
        f"{grid}{rules}{across}{paths}</svg><figcaption>{caption}</figcaption></figure>"
    )


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers around the values, at most seven."""
    units = (0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
    unit = next((unit for unit in units if high - low <= 5 * unit), 10.0)
    first = math.floor(low / unit)
    return [unit * n for n in range(first, math.ceil(high / unit) + 1)]


def _table(stages: Sequence[dict[str, Any]]) -> str:
    heads = [both("glass.training.step"), both("glass.training.tokens"), both("glass.training.rate")]
    heads += [both(key) for _, key in _LOSSES]
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    rows = []
    for number, stage in enumerate(stages, 1):
        for row in stage["log"]:
            cells = [f"{number}.{row['step']}", f"{row['tokens']:,}", f"{row['rate']:.3g}"]
            cells += [f"{row[name]:.4f}" if name in row else "–" for name, _ in _LOSSES]
            rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    table = f'<table class="ob-data"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    summary = f"<summary>{both('glass.training.table')}</summary>"
    return f'<details class="ob-more">{summary}<div class="ob-scroll">{table}</div></details>'
