"""Two settings on the same questions: is the difference more than chance?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rag.own.items import OwnItem
from rag.own.measure import Asked
from rag.settings import Settings
from rag.tuning.check import interval
from rag.types import RagError

KEYS = ("k", "model", "mode", "strategy", "temperature", "top_p", "seed", "encoder")

# Name, whether more is better, and the value of one question; None where the question has none.
MEASURES: tuple[tuple[str, bool, Callable[[Asked], float | None]], ...] = (
    ("hybrid r1", True, lambda a: _within(a.ranks["hybrid"], 1)),
    ("hybrid r5", True, lambda a: _within(a.ranks["hybrid"], 5)),
    ("hybrid r10", True, lambda a: _within(a.ranks["hybrid"], 10)),
    ("dense r5", True, lambda a: _within(a.ranks["dense"], 5)),
    ("answer_in_quote", True, lambda a: float(a.holds and not a.refused)),
    ("refused_answerable", False, lambda a: float(a.refused)),
    ("refused_planted", True, lambda a: None if a.planted is None else float(a.planted)),
    ("latency_ms", False, lambda a: a.milliseconds),
)


def _within(rank: int | None, k: int) -> float:
    return float(rank is not None and rank <= k)


def read_changes(given: Sequence[str]) -> dict[str, str]:
    """``k=8 model=none`` as a mapping; RagError when it is not of that shape."""
    changes: dict[str, str] = {}
    for change in given:
        key, equals, value = change.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or key not in KEYS or not value.strip():
            raise RagError(
                f"{change!r} is no setting to compare with: write KEY=VALUE, where KEY is {', '.join(KEYS)}."
            )
        changes[key] = value.strip()
    return changes


def differ(settings: Settings, other: Settings, changes: dict[str, str]) -> None:
    """RagError when the two settings are the same."""
    if "encoder" not in changes and settings == other:
        said = " ".join(f"{key}={value}" for key, value in changes.items())
        raise RagError(f"{said} is what is measured already: give another value to compare with.")


def compare(items: Sequence[OwnItem], one: Sequence[Asked], other: Sequence[Asked]) -> dict[str, Any]:
    """For each measure the mean of both, the gain from the first to the second with its 95 % interval, and a verdict:
    better, worse, or noise where the interval holds 0.

    The interval is a paired bootstrap over sections: questions about one section stand or fall together.
    """
    found: dict[str, Any] = {}
    for name, more_is_better, value in MEASURES:
        pairs = [(value(a), value(b), item.section) for a, b, item in zip(one, other, items, strict=True)]
        kept = [(a, b, section) for a, b, section in pairs if a is not None and b is not None]
        if not kept:
            continue
        before, after = np.array([a for a, _, _ in kept]), np.array([b for _, b, _ in kept])
        low, high = interval(before, after, [section for _, _, section in kept])
        verdict = "noise" if low <= 0 <= high else "better" if (low > 0) == more_is_better else "worse"
        found[name] = {
            "first": round(float(before.mean()), 4),
            "second": round(float(after.mean()), 4),
            "gain": round(float((after - before).mean()), 4),
            "interval_95": [low, high],
            "verdict": verdict,
        }
    return found
