"""A tuning from start to end: items, before, training, after, and whether it is kept."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gpt.engine import Engine
from gpt.load import find_model, load_model
from gpt.model import GPT
from gpt.reader import Reader
from gpt.training.adapt import Rates, adapt
from gpt.training.backprop import written_out
from gpt.training.checkpoint import Progress
from gpt.training.report import clock
from rag.tuning import check, kept
from rag.tuning.items import ItemMaker, Rows, held_items
from rag.tuning.sections import Section, part, read_sections
from rag.types import RagError

MINUTES = (0.1, 240.0)
LEAST_HELD, LEAST_TRAIN = 20, 20
# How much of the change is tried, in turn. A part of it keeps most of the gain and forgets less of other texts
# (Wortsman et al. 2022, WiSE-FT): on public documentation all of it was refused, for it lost .03 of F1 on the guard
# set, and half of it once, for it lost .105 nats there.
SHARES = (1.0, 0.5, 0.25)
Say = Callable[[str], None]


def tune(
    store: Path,
    *,
    minutes: float = 5.0,
    seed: int = 0,
    model: str = "bundled",
    steps: int | None = None,
    rates: Rates | None = None,
    say: Say | None = None,
) -> dict[str, Any]:
    """Tune the reader of ``store`` on its documents; the figures, with ``kept`` for whether it is used from now on.

    ``steps`` replaces ``minutes``, for runs that give the same weights anywhere. RagError or StoreError with one
    sentence, nothing changed: minutes out of range, another model, no store, too little text, a tuning under way.
    """
    if not MINUTES[0] <= minutes <= MINUTES[1]:
        raise RagError(f"A tuning of {minutes:g} minutes is asked for, but it takes {MINUTES[0]:g} to {MINUTES[1]:g}.")
    if model != "bundled":
        raise RagError(f"Only the bundled reader is tuned on a store, not {model!r}: leave out --model.")
    say = say or (lambda line: print(line, file=sys.stderr, flush=True))
    sections = read_sections(store)
    with kept.tuning(store):
        return _tune(store, *part(sections), minutes, seed, steps, rates or Rates(), say)


def _tune(
    store: Path,
    train: list[Section],
    held: list[Section],
    minutes: float,
    seed: int,
    steps: int | None,
    rates: Rates,
    say: Say,
) -> dict[str, Any]:
    found = kept.find_tuned(store)
    earlier = found.folder if found is not None else None
    if found is not None and found.note:
        say(found.note)
    source = earlier or find_model("bundled")
    before = _reader(source)
    items = check.usable(held_items(ItemMaker(held)), before) if held else []
    if len(items) < LEAST_HELD or len(train) < LEAST_TRAIN:
        raise RagError(
            f"The documents of {store} give {len(items)} questions to check with and {len(train)} sections to learn "
            f"from, but {LEAST_HELD} and {LEAST_TRAIN} are needed: add more text."
        )
    guard = check.usable(check.guard_items(), before)
    say(f"{len(train)} sections to learn from, {len(held)} held out: reading {len(items) + len(guard)} questions …")
    held_before, guard_before = check.score(before, items), check.score(before, guard)
    tokenizer = before.tokenizer
    del before
    learner = _trainable(source)
    start = {name: weights.detach().clone() for name, weights in learner.named_parameters()}
    base = kept.digest_of(find_model("bundled"))
    say(f"before: {held_before.as_dict()}, other texts {guard_before.as_dict()}")
    try:
        rows = Rows(ItemMaker(train), tokenizer, seed)
        progress = adapt(learner, tokenizer, rows, minutes=minutes, steps=steps, rates=rates, tell=_teller())
    except FloatingPointError as error:
        raise RagError(f"The tuning failed, for {error}: nothing was changed.") from None
    print(file=sys.stderr)
    learned = {name: weights.detach().clone() for name, weights in learner.named_parameters()}
    for share in SHARES:
        if share < 1:
            for name, weights in learner.named_parameters():
                weights.data = torch.lerp(start[name], learned[name], share)
        after = _reader(kept.write(store, learner, tokenizer))  # as it will be used: in bf16, from its file
        say(f"reading the same questions again, with {share:.0%} of the change …")
        scores = check.score(after, items), check.score(after, guard)
        verdict = check.judge(items, (held_before, scores[0]), (guard_before, scores[1]))
        if verdict.kept:
            break
        say(verdict.reason)
    figures = {
        **verdict.figures,
        "share": share,
        "sections": {"train": len(train), "held_out": len(held)},
        "steps": progress.step,
        "tokens": progress.tokens,
        "seed": seed,
    }
    if verdict.kept:
        generation = found.facts.get("generation", 1) + 1 if earlier is not None and found is not None else 1
        kept.keep(store, {"base": base, "generation": generation, **figures})
    return {"kept": verdict.kept, "reason": verdict.reason, "seconds": round(progress.seconds, 1), **figures}


def _reader(folder: Path) -> Reader:
    try:
        return Reader(Engine.load(folder))
    except ValueError as error:
        raise RagError(f"The reader cannot be tuned: {error}.") from None


def _trainable(folder: Path) -> GPT:
    """The weights in fp32 as plain matrices."""
    model, _ = load_model(folder, device="cpu", dtype=torch.float32, weights="plain")
    assert isinstance(model, GPT)
    if not written_out(model.config):
        raise RagError("The bundled model is of a shape that cannot be tuned here.")
    return model


def _teller() -> Callable[[Progress, float, float], None]:
    """A line on stderr that stays in place; one line every tenth of the run where nobody watches."""
    smooth: list[float] = []
    watched = sys.stderr.isatty()
    told = -1

    def tell(progress: Progress, done: float, loss: float) -> None:
        nonlocal told
        smooth[:] = [loss if not smooth else 0.95 * smooth[0] + 0.05 * loss]
        left = clock(progress.seconds / done - progress.seconds) if done else "?"
        line = f"step {progress.step:,}  {done:.0%}  loss {smooth[0]:.3f}  {left} left"
        if watched:
            print(f"\r{line:<70}", end="", file=sys.stderr, flush=True)
        elif int(done * 10) > told:
            told = int(done * 10)
            print(line, file=sys.stderr, flush=True)

    return tell



