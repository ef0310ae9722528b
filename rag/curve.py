"""Risk and coverage: how right the quotations are when only the surest share of the questions is answered.

The threshold of refusal moves from 1 to 0; coverage is the share of questions answered, accuracy the share of those
whose quotations hold a right answer (El-Yaniv & Wiener 2010). A question that the documents do not answer can only be
answered wrongly, so full coverage cannot be fully accurate where there are such questions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpt.glass.style import ACCENT, AGAINST, LINE, SOFT, bare, new_figure, save, styled
from rag import metrics
from rag.outcomes import Outcome
from rag.types import RagError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 51
LABELS = {"as_asked": "as the file asks", "gold_removed": "their paragraphs taken away"}
COLOURS = {"as_asked": ACCENT, "gold_removed": AGAINST}


def curve(outcomes: Sequence[Outcome], threshold: float) -> dict[str, Any] | None:
    """Points of the curve, the area under it (its mean accuracy over all coverages), the area that the same outcomes in
    the best order would have, and where the calibrated ``threshold`` lies; None without outcomes."""
    if not outcomes:
        return None
    confidence = [o.answer.confidence for o in outcomes]
    right = [o.holds for o in outcomes]
    answered = [o for o in outcomes if not o.answer.refused]
    points = metrics.risk_coverage(confidence, right, POINTS)
    return {
        "questions": len(outcomes),
        "area": _area(np.array(right)[np.argsort(-np.array(confidence), kind="stable")]),
        "best_area": _area(np.sort(np.array(right))[::-1]),
        "threshold": threshold,
        "coverage": round(len(answered) / len(outcomes), 4),
        "accuracy": round(sum(o.holds for o in answered) / len(answered), 4) if answered else None,
        "points": [
            {"coverage": p["coverage"], "threshold": p["threshold"], "accuracy": round(1 - p["risk"], 4)}
            for p in points
        ],
    }


def _area(right: np.ndarray) -> float:
    return round(float((np.cumsum(right) / np.arange(1, len(right) + 1)).mean()), 4)


def curves(
    answers: Sequence[Outcome], removed: Sequence[Outcome], threshold: float
) -> dict[str, dict[str, Any] | None]:
    """The curve of the questions as asked, and of the answerable ones together with those that lost their paragraph."""
    answerable = [o for o in answers if o.answerable]
    return {"as_asked": curve(answers, threshold), "gold_removed": curve([*answerable, *removed], threshold)}


def check(path: Path) -> Path:
    """The path of a curve; RagError unless it is a PNG or JSON file in a folder that is there."""
    if path.suffix.lower() not in (".png", ".json"):
        raise RagError(f"{path} ends neither in .png nor in .json, and a curve is written as one of them.")
    if not path.expanduser().parent.is_dir():
        raise RagError(f"The folder of {path} does not exist.")
    return path.expanduser()


def write(path: Path, results: Mapping[str, Mapping[str, Any]]) -> None:
    """The curves of all files, drawn or as JSON by the name's end."""
    found = {name: figures["curve"] for name, figures in results.items()}
    try:
        if path.suffix.lower() == ".png":
            save(draw(found), path)
        else:
            path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise RagError(f"The curve cannot be written to {path} ({error.strerror}).") from None
    except ValueError as error:
        raise RagError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from None


@styled
def draw(found: Mapping[str, Mapping[str, Any]]) -> Figure:
    """A panel for each file: accuracy over coverage, a dot where the calibrated threshold refuses the rest."""
    figure = new_figure(3.8 * len(found) + 0.6, 3.6)
    panels = figure.subplots(1, len(found), sharey=True, squeeze=False, gridspec_kw={"wspace": 0.12})[0]
    for axis, (name, parts) in zip(panels, found.items(), strict=True):
        for part, line in parts.items():
            if line is None:
                continue
            x = [p["coverage"] for p in line["points"]]
            y = [p["accuracy"] for p in line["points"]]
            label = f"{LABELS[part]}: area {line['area']:.2f} of {line['best_area']:.2f}"
            if line["accuracy"] is not None:
                label += f"\n● {line['coverage']:.0%} answered, {line['accuracy']:.0%} of them right"
                axis.plot(line["coverage"], line["accuracy"], "o", color=COLOURS[part], ms=6, zorder=3)
            axis.plot(x, y, color=COLOURS[part], lw=1.6, label=label)
        axis.set_title(name, fontsize=9, loc="left")
        axis.set_xlim(0, 1.02)
        axis.set_ylim(0, 1.02)
        axis.set_xlabel("share of the questions answered", color=SOFT)
        axis.grid(color=LINE, lw=0.8)
        axis.tick_params(length=0)
        bare(axis)
        axis.legend(loc="lower left", fontsize=8, frameon=False)
    panels[0].set_ylabel("share of those whose quotation holds the answer", color=SOFT)
    return figure
