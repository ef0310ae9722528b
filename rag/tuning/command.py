"""What ``python -m rag tune`` prints."""

from __future__ import annotations

import json
from typing import Any

from ingest.store import Store
from rag.settings import Settings
from rag.tuning import kept
from rag.tuning.run import tune
from rag.types import RagError


def run(settings: Settings, minutes: Any, *, undo: bool, status: bool, as_json: bool) -> int:
    """Tune, undo or tell; exit code 0 also where the result was thrown away. RagError with one sentence else."""
    store = settings.store
    if not (undo or status):
        if not isinstance(minutes, int | float):
            raise RagError(f"minutes is {minutes!r}, but it must be a number: see --minutes.")
        figures = tune(store, minutes=minutes, seed=settings.seed, model=settings.model)
        _print(figures, as_json, _verdict(figures))
        return 0
    with Store.open(store):  # says where there is no store
        pass
    if undo:
        went = kept.undo(store)
        if went is None:
            raise RagError(f"No reader was tuned on the store {store}: there is nothing to undo.")
        reader = kept.NAME if went else "bundled"
        _print({"undone": True, "reader": reader}, as_json, f"Undone: the store uses the reader {reader!r} again.")
        return 0
    found = kept.find_tuned(store)
    if found is None:
        _print({"reader": "bundled", "tuned": None}, as_json, "The bundled reader: none was tuned on this store.")
        return 0
    reader = kept.NAME if found.folder is not None else "bundled"
    told = "\n".join(filter(None, [f"Reader: {reader}.", found.note, *_lines(found.facts)]))
    _print({"reader": reader, "note": found.note, "tuned": found.facts or None}, as_json, told)
    return 0


def _print(content: dict[str, Any], as_json: bool, text: str) -> None:
    print(json.dumps(content, ensure_ascii=False) if as_json else text, flush=True)


def _lines(figures: dict[str, Any]) -> list[str]:
    """Figures before and after, as a small table."""
    if "held_out" not in figures:
        return []
    lines = [f"{'':26}{'before':>10}{'after':>10}"]
    for part, title in (("held_out", "held out"), ("guard", "other texts")):
        for name, unit in (("f1", "F1"), ("logprob", "log p")):
            before, after = figures[part]["before"][name], figures[part]["after"][name]
            lines.append(f"{title + ' ' + unit:26}{before:>10.3f}{after:>10.3f}")
    low, high = figures["logprob_gain_95"]
    lines.append(f"gain in log p on held-out questions, 95 % interval: {low:+.3f} to {high:+.3f}")
    return lines


def _verdict(figures: dict[str, Any]) -> str:
    said = (
        "Kept: the store's questions are read by the tuned reader from the next start on; --undo goes back."
        if figures["kept"]
        else f"Thrown away, for {figures['reason']}; the reader is as it was."
    )
    return "\n".join([*_lines(figures), said])
