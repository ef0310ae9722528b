"""Is the tuned reader better? Measured on items it did not learn from, and on a guard set that no store holds.

A tuning is kept when, on held-out items, the log-probability of the right answer has risen by more than noise (the
lower end of a 95 % interval from a paired bootstrap over sections lies above 0), F1 has not fallen and no kind of item
has become worse beyond noise, and when on the guard set, natural questions over passages on everything else, neither
figure has fallen by more than its tolerance.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np

from gpt.reader import Reader
from gpt.training.cloze import Item
from gpt.training.examples import reading_row
from gpt.training.judge import answer_logprobs
from rag.metrics import f1
from rag.tuning.items import HeldItem

RESAMPLES = 2000
LEAST_OF_A_KIND = 10  # items, below which an interval says nothing
LOWEST = 0.025  # quantile: the lower end of a 95 % interval
# One of the 80 answerable guard questions is 0.0125 of F1; a run over text from elsewhere moves one or two.
GUARD_F1 = 0.025
GUARD_LOGPROB = 0.1  # nats


@dataclass(frozen=True, slots=True)
class Scores:
    """What a reader reaches on a list of items, item by item. ``f1`` is nan where there is no answer to find."""

    f1: np.ndarray
    logprob: np.ndarray

    def as_dict(self) -> dict[str, float]:
        answerable = self.f1[~np.isnan(self.f1)]
        mean = float(answerable.mean()) if len(answerable) else 0.0
        return {"f1": round(mean, 4), "logprob": round(float(self.logprob.mean()), 4)}

    def only(self, chosen: Sequence[int]) -> Scores:
        return Scores(self.f1[list(chosen)], self.logprob[list(chosen)])


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to keep a tuning, why not if not, and all figures."""

    kept: bool
    reason: str
    figures: dict[str, Any]


@lru_cache(maxsize=1)
def guard_items() -> tuple[HeldItem, ...]:
    """The guard set of the package: short passages with a question, answerable or not, in English and Chinese."""
    lines = (resources.files("rag") / "guard.jsonl").read_text(encoding="utf-8").splitlines()
    found = []
    for number, line in enumerate(lines):
        entry = json.loads(line)
        passage, answer = entry["passage"], entry["answer"]
        at = passage.index(answer) if answer else -1
        item = Item(entry["question"], passage, (at, at + len(answer)) if answer else None)
        found.append(HeldItem(item, str(number), "guard", entry["language"]))
    return tuple(found)


def usable(items: Sequence[HeldItem], reader: Reader) -> list[HeldItem]:
    """The items that the reader's tokenizer can put in a row: an answer may be too long for it."""
    return [held for held in items if reading_row(reader.tokenizer, held.item, random.Random(0)) is not None]


def score(reader: Reader, items: Sequence[HeldItem]) -> Scores:
    """F1 of the span that the reader chooses, and the log-probability (nats) of the right one or of <none>."""
    rows = [reading_row(reader.tokenizer, held.item, random.Random(0)) for held in items]
    logprobs = answer_logprobs(reader.model, reader.tokenizer, [row for row in rows if row is not None])
    found = []
    for held in items:
        item = held.item
        if item.answer is None:
            found.append(np.nan)
            continue
        spans = reader.read(item.question, [item.passage]).spans
        said = item.passage[spans[0].start : spans[0].end] if spans else ""
        found.append(f1(said, [item.passage[slice(*item.answer)]], held.language))
    return Scores(np.array(found), np.array(logprobs))


def interval(before: np.ndarray, after: np.ndarray, groups: Sequence[str]) -> tuple[float, float]:
    """The 95 % interval of the mean gain: whole groups are drawn with replacement, as their items are alike."""
    names = sorted(set(groups))
    place = {name: i for i, name in enumerate(names)}
    where = np.array([place[group] for group in groups])
    sums = np.bincount(where, weights=after - before, minlength=len(names))
    counts = np.bincount(where, minlength=len(names))
    drawn = np.random.default_rng(0).integers(0, len(names), (RESAMPLES, len(names)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [LOWEST, 1 - LOWEST])
    return round(float(low), 4), round(float(high), 4)


def judge(
    held: Sequence[HeldItem], held_scores: tuple[Scores, Scores], guard_scores: tuple[Scores, Scores]
) -> Verdict:
    """Keep or throw away, by (before, after) on the held-out items and on the guard set."""
    (before, after), (guard_before, guard_after) = held_scores, guard_scores
    span = interval(before.logprob, after.logprob, [item.section for item in held])
    kinds: dict[str, Any] = {}
    worse = []
    for kind in sorted({item.kind for item in held}):
        mine = [i for i, item in enumerate(held) if item.kind == kind]
        old, new = before.only(mine), after.only(mine)
        gain = interval(old.logprob, new.logprob, [held[i].section for i in mine])
        kinds[kind] = {"items": len(mine), "before": old.as_dict(), "after": new.as_dict()}
        kinds[kind]["logprob_gain_95"] = list(gain)
        worse += [kind] if gain[1] < 0 and len(mine) >= LEAST_OF_A_KIND else []
    figures: dict[str, Any] = {
        "held_out": {"items": len(held), "before": before.as_dict(), "after": after.as_dict()},
        "guard": {"items": len(guard_before.f1), "before": guard_before.as_dict(), "after": guard_after.as_dict()},
        "kinds": kinds,
        "logprob_gain_95": list(span),
        "tolerance": {"f1": GUARD_F1, "logprob": GUARD_LOGPROB},
    }
    lost = {name: guard_before.as_dict()[name] - guard_after.as_dict()[name] for name in ("f1", "logprob")}
    if not span[0] > 0:
        reason = f"on held-out items it is no better beyond noise (gain {span[0]:+.3f} to {span[1]:+.3f} nats)"
    elif after.as_dict()["f1"] < before.as_dict()["f1"]:
        reason = "F1 on held-out items has fallen"
    elif worse:
        reason = f"held-out questions of the kind {worse[0]} have become worse"
    elif lost["f1"] > GUARD_F1:
        reason = f"F1 on other texts has fallen by {lost['f1']:.3f}, more than {GUARD_F1}"
    elif lost["logprob"] > GUARD_LOGPROB:
        reason = f"the log-probability of right answers on other texts has fallen by {lost['logprob']:.3f} nats"
    else:
        return Verdict(True, "", figures)
    return Verdict(False, reason, figures)
