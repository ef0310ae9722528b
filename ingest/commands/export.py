"""``python -m ingest export FILE``: write a store to one file, to be taken elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.commands.common import Counter, parser, tell
from ingest.discover import printable
from ingest.portable.writing import export


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 when the file was written, 2 when it was not."""
    made = parser("export", "Write a store to one file that `python -m ingest import` makes a store from anywhere.")
    made.add_argument("file", metavar="FILE", help="the new file")
    options = made.parse_args(arguments)
    counter = Counter()
    report = export(options.store, options.file, lambda done, total: counter("written", done, total))
    counter.clear()
    print(
        f"{report['documents']} documents, {report['chunks']} chunks and {report['vectors']} vectors in "
        f"{printable(report['file'])}, {report['bytes'] / 1e6:.1f} MB"
    )
    print(f"SHA-256 {report['sha256']}")
    tell(report, options.json)
    return 0
