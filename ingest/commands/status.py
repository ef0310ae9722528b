"""``python -m ingest status``: what is in a store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ingest.commands.common import parser, tell
from ingest.discover import printable
from ingest.store import Store, layout, schema
from ingest.store.salvage import KEPT, pending

_SHOWN = 20  # quarantined files that are named on the terminal; --json has all


def main(arguments: Sequence[str]) -> int:
    """Print the report; exit code 0, or 1 when a repair is to be run."""
    options = parser("status", "Say what is in a store.").parse_args(arguments)
    report = status(options.store)
    for line in lines(report):
        print(line)
    tell(report, options.json)
    return 1 if report["repair"] else 0


def status(directory: str | Path) -> dict[str, Any]:
    """What is in a store, from its rows and its files' sizes; `verify` is what looks at every byte."""
    folder = Path(directory).absolute()
    with Store.open(folder) as store:
        documents = store.documents()
        encoder = store.encoder
        report: dict[str, Any] = {
            "store": printable(folder),
            "format": schema.VERSION,
            "generation": store.generation,
            "documents": len(documents),
            "kinds": dict(Counter(record.kind for record in documents).most_common()),
            "languages": dict(Counter(record.language for record in documents).most_common()),
            "characters_in": sum(record.characters_in for record in documents),
            "characters_indexed": sum(record.characters for record in documents),
            "chunks": len(store.chunk_ids()),
            "vectors": len(store.chunk_ids()) - store.waiting_count,
            "waiting": store.waiting_count,
            "encoder": {
                "name": encoder.name,
                "digest": encoder.digest,
                "dimension": encoder.dimension,
                "max_tokens": encoder.max_tokens,
                "languages": list(encoder.languages),
            },
            "roots": [printable(root) for root in store.roots()],
            "collections": store.collections(),
            "quarantined": [{"path": path, "reason": reason} for path, reason in sorted(store.quarantined().items())],
        }
        report["indexes"] = {
            name: {"generation": generation, "state": _state(folder / name, generation, store.generation)}
            for name, generation in layout.index_generations(folder).items()
        }
    files = [folder / f"{schema.DATABASE}{ending}" for ending in ("", "-wal", "-shm")]
    report["bytes"] = {"database": sum(layout.folder_bytes(path) for path in files)}
    report["bytes"] |= {name: layout.folder_bytes(folder / name) for name in report["indexes"]}
    report["bytes"]["total"] = layout.folder_bytes(folder)
    report["repair"] = pending(folder)
    report["damaged_copy"] = printable(folder / KEPT) if (folder / KEPT).exists() else None
    return report


def _state(folder: Path, generation: int | None, newest: int) -> str:
    """Whether an index is at the newest commit; one that is not is brought there, or made again, at its next use."""
    if generation is None:
        return "damaged" if folder.exists() else "missing"
    return "current" if generation == newest else "behind"


def lines(report: dict[str, Any]) -> list[str]:
    """The report for people."""

    def counts(found: dict[str, int]) -> str:
        return ", ".join(f"{number} {name}" for name, number in found.items()) or "none"

    size, encoder = report["bytes"], report["encoder"]
    found = [
        f"Store       {report['store']}, format {report['format']}, commit {report['generation']}",
        f"Documents   {report['documents']}: {counts(report['kinds'])}",
        f"Languages   {counts(report['languages'])}",
        f"Characters  {report['characters_indexed']} indexed of {report['characters_in']}",
        f"Chunks      {report['chunks']}, {report['vectors']} with vectors"
        + (f", {report['waiting']} wait for the encoder" if report["waiting"] else ""),
        f"Encoder     {encoder['name']} ({encoder['digest'][:12]}), {encoder['dimension']} numbers a vector, "
        f"for {', '.join(encoder['languages']) or 'any language'}",
        "Indexes     " + ", ".join(f"{name} {entry['state']}" for name, entry in report["indexes"].items()),
        "On disk     " + ", ".join(f"{name} {_size(number)}" for name, number in size.items()),
        *(f"From        {root}" for root in report["roots"]),
        *(f"Collection  {name}: {printable(path)}" for path, name in report["collections"].items()),
        *(
            f"Quarantined {printable(entry['path'])}: {' '.join(entry['reason'].split())}"
            for entry in report["quarantined"][:_SHOWN]
        ),
    ]
    if len(report["quarantined"]) > _SHOWN:
        found.append(f"            and {len(report['quarantined']) - _SHOWN} more; --json names them all")
    if report["repair"]:
        found.append(f"A repair was interrupted; run it again: python -m ingest repair --store {report['store']}")
    if report["damaged_copy"]:
        found.append(f"A repair has kept the damaged database as {report['damaged_copy']}; delete it when you like.")
    return found


def _size(number: int) -> str:
    """Bytes for people."""
    if number < 10_000:
        return f"{number} B"
    return f"{number / 1e6:.1f} MB" if number < 1e9 else f"{number / 1e9:.1f} GB"
