"""``python -m ingest verify``: whether every byte of a store is as it was written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from ingest.commands.common import Counter, parser, tell
from ingest.discover import printable
from ingest.store.audit import audit
from ingest.store.salvage import pending


def main(arguments: Sequence[str]) -> int:
    """Print a line for each problem; exit code 0 when there is none, 1 when there is, 2 without a store."""
    what = "Check every checksum of a store: texts, chunks, vectors, indexes and the database itself."
    options = parser("verify", what).parse_args(arguments)
    started = time.perf_counter()
    folder = Path(options.store).absolute()
    counter = Counter()
    documents = 0

    def progress(done: int, total: int) -> None:
        nonlocal documents
        documents = done
        counter("checked", done, total)

    problems = audit(folder, progress)
    counter.clear()
    mend = f"mend it: python -m ingest repair --store {options.store}"
    if pending(folder):
        print(f"An earlier repair was interrupted; {mend}")
    for problem in problems:
        print(f"{printable(' '.join(problem.what.split()))}; {mend}")
    seconds = time.perf_counter() - started
    if not problems:
        print(f"{documents} documents and their indexes are as they were written; {seconds:.1f} s.")
    found = [{"where": problem.where, "what": problem.what, "path": problem.path} for problem in problems]
    report = {"documents": documents, "problems": found, "repair": pending(folder), "seconds": round(seconds, 3)}
    tell(report, options.json)
    return 1 if problems or pending(folder) else 0
