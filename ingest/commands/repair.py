"""``python -m ingest repair``: make a store whole again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ingest.commands.common import Counter, parser, tell
from ingest.discover import printable
from ingest.repair import RepairReport, repair
from ingest.store.salvage import KEPT


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 when the store is whole, 1 when something could not be restored, 2 when nothing was done."""
    what = "Make a damaged store whole again, from what is good in it and from your files; what is good stays."
    made = parser("repair", what)
    made.add_argument("--encoder", metavar="NAME", help="the store's encoder, where it has been moved")
    options = made.parse_args(arguments)
    counter = Counter()
    report = repair(options.store, encoder=options.encoder, progress=counter)
    counter.clear()
    for line in lines(report, options.store):
        print(line)
    tell(report.to_json(), options.json)
    return 1 if report.lost else 0


def lines(report: RepairReport, store: str) -> list[str]:
    """The report for people."""
    if not report.problems:
        return [f"Nothing was damaged: {report.documents} documents are as they were written; {report.seconds:.1f} s."]
    found = [printable(" ".join(problem.split())) for problem in report.problems]
    found += [f"{printable(path)} was read again from its file" for path in report.reread]
    found += [f"{printable(path)} was made whole again from what else was stored of it" for path in report.restored]
    found += [f"{printable(entry.path)} is lost: {printable(' '.join(entry.reason.split()))}" for entry in report.lost]
    if report.lost:
        found.append(f"The damaged database is kept as {printable(Path(store) / KEPT)}.")
    done = f"{report.documents} documents are whole and indexed; {report.encoded} chunks were encoded again"
    return [*found, f"{done}; {report.seconds:.1f} s."]
