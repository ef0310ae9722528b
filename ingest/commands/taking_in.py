"""``python -m ingest import FILE``: make a store from a file that `export` wrote."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.commands.common import Counter, parser, tell
from ingest.discover import printable
from ingest.portable.importing import take_in


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 when there is a new store, 2 when nothing was done."""
    made = parser("import", "Make a new store from a file that `python -m ingest export` wrote, here or elsewhere.")
    made.add_argument("file", metavar="FILE", help="the exported store")
    made.add_argument("--root", metavar="DIR", help="the folder that holds the documents' files here, if there is one")
    made.add_argument("--encoder", metavar="NAME", help='"bundled" (default) or a sentence-transformers folder')
    made.add_argument("--rebuild", action="store_true", help="split and encode the texts anew, for any encoder")
    made.add_argument("--sha256", metavar="HEX", help="what `export` said that the digest of the file is")
    options = made.parse_args(arguments)
    counter = Counter()
    report = take_in(
        options.file,
        options.store,
        root=options.root,
        encoder=options.encoder,
        rebuild=options.rebuild,
        sha256=options.sha256,
        progress=lambda done, total: counter("taken in", done, total),
    )
    counter.clear()
    line = (
        f"{report['documents']} documents and {report['chunks']} chunks in the new store {printable(report['store'])}"
    )
    print(f"{line}; {report['encoded']} chunks were encoded; {report['seconds']:.1f} s.")
    tell(report, options.json)
    return 0
