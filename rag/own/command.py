"""What ``python -m rag evaluate --own PATH`` does and prints."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ingest.pipeline import ingest
from ingest.plan import in_scope
from rag.chain import build_chain
from rag.own import compare
from rag.own.items import KINDS, OwnItem, make_items, read_places
from rag.own.measure import LEGS, Asked, Asker, figures, find_golds
from rag.retriever import OpenbookRetriever
from rag.search import Searcher
from rag.settings import Settings, load
from rag.types import RagError

QUESTIONS = 200  # unless --limit says otherwise


def evaluate_own(
    path: Path,
    settings: Settings,
    *,
    store: Path | None = None,
    limit: int | None = None,
    against: Sequence[str] = (),
) -> dict[str, Any]:
    """All figures for the documents at ``path``, of ``settings`` and, with ``against``, of another beside it.

    ``store``: one that has them already, which is only read; None builds one and throws it away. The questions depend
    on the documents, ``limit`` and the seed alone.
    """
    changes = compare.read_changes(against)
    kept = {key: value for key, value in changes.items() if key != "encoder"}
    other = load(**{**settings.model_dump(), **kept})
    if changes:
        compare.differ(settings, other, changes)
    roots = [Path(path).absolute()]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="openbook-own-")))
        searcher = stack.enter_context(_Open(store or _build(path, folder / "first", None)))
        documents = [record for record in searcher.store.documents() if in_scope(record.path, roots)]
        if not documents:
            raise RagError(f"The store {store} has no document at or under {path}: ingest it, or leave --store out.")
        places = read_places(searcher.store, documents)
        items = make_items(places, QUESTIONS if limit is None else limit, settings.seed)
        first = _ask(searcher, settings, items, "first" if changes else "asking")
        found: dict[str, Any] = {
            "path": str(path),
            "documents": len(documents),
            "sections": len(places),
            "kinds": {kind: sum(item.kind == kind for item in items) for kind in KINDS},
            "languages": {name: sum(item.language == name for item in items) for name in ("en", "zh")},
            "seed": settings.seed,
            "settings": {**_shown(settings), "encoder": searcher.store.encoder.name},
            **figures(items, first),
        }
        if changes:
            if "encoder" in changes:
                place = _build(path, folder / "second", changes["encoder"])
                searcher = stack.enter_context(_Open(place))
            second = _ask(searcher, other, items, "second")
            found["against"] = {
                "settings": {**_shown(other), "encoder": searcher.store.encoder.name},
                **figures(items, second),
            }
            found["comparison"] = compare.compare(items, first, second)
        return found


class _Open:
    """A searcher that closes its store."""

    def __init__(self, place: Path) -> None:
        self.searcher = Searcher.open(place)

    def __enter__(self) -> Searcher:
        return self.searcher

    def __exit__(self, *_: object) -> None:
        self.searcher.close()


def _build(path: Path, place: Path, encoder: str | None) -> Path:
    print(f"ingesting {path}", file=sys.stderr, flush=True)
    report = ingest([path], place, encoder=encoder)
    for entry in report.quarantined:
        print(entry.reason, file=sys.stderr)
    return place


def _ask(searcher: Searcher, settings: Settings, items: list[OwnItem], name: str) -> list[Asked]:
    chosen = settings.model_dump(exclude={"store", "model"})
    chain = build_chain(model=settings.model, retriever=OpenbookRetriever(store=searcher, k=settings.k), **chosen)
    return Asker(chain, items, find_golds(searcher, items)).ask_all(name)


def _shown(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude={"store", "prompts", "timeout", "retries"})


def report(found: dict[str, Any]) -> str:
    """The figures as a few lines to read."""
    made = ", ".join(f"{count} {kind}" for kind, count in found["kinds"].items() if count)
    spoken = ", ".join(f"{count} {name}" for name, count in found["languages"].items() if count)
    lines = [
        f"{found['path']}: {found['documents']} documents, {found['sections']} sections; questions made: {made} "
        f"({spoken}), seed {found['seed']}"
    ]
    lines += _lines("settings", found)
    if "against" in found:
        lines += _lines("against", found["against"])
        lines.append(f"  {'':20}{'first':>10}{'second':>10}{'gain':>10}   95 % interval")
        for name, row in found["comparison"].items():
            low, high = row["interval_95"]
            lines.append(
                f"  {name:20}{row['first']:>10.3f}{row['second']:>10.3f}{row['gain']:>+10.3f}"
                f"   {low:+.3f} to {high:+.3f}: {row['verdict']}"
            )
    return "\n".join(lines)


def _lines(title: str, found: dict[str, Any]) -> list[str]:
    lines = [f"{title}: {' '.join(f'{key}={value}' for key, value in found['settings'].items())}"]
    for leg in LEGS:
        recall = "  ".join(f"{k} {v:.3f}" for k, v in found["retrieval"][leg].items())
        lines.append(f"  {leg:8} {recall}")
    planted, latency = found["refused_planted"], found["latency_ms"]
    refused = f"{found['refused_answerable']:.3f} of the answerable"
    if planted is not None:
        refused += f", {planted:.3f} of {found['planted']} planted"
    lines.append(f"  answer in quote {found['answer_in_quote']:.3f}  refused {refused}")
    lines.append(f"  latency ms p50 {latency['p50']}, p95 {latency['p95']}")
    for name, part in found["by"].items():
        lines.append(
            f"    {name:10} {part['questions']:4} questions  hybrid r1 {part['retrieval']['hybrid']['r1']:.3f}  "
            f"answer in quote {part['answer_in_quote']:.3f}"
        )
    return lines
