"""``python -m ingest PATH...``: make a store match files and folders.

Exit codes: 0 done; 1 done, but some files were quarantined or the run was interrupted; 2 nothing was done.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from ingest.command_line import Parser
from ingest.commands import COMMANDS, HELP, run
from ingest.terminal import tamed
from ingest.types import IngestError


@tamed()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in COMMANDS:
        return run(given[0], given[1:])
    options = _parser().parse_args(given)
    from ingest.pipeline import ingest  # after --help and usage errors, which should be instant
    from ingest.progress import Progress
    from ingest.report import Event

    commits = 0
    cancel = threading.Event()
    _stop_on_signals(cancel)
    with Progress() as progress:

        def on_event(event: Event) -> None:
            nonlocal commits
            commits += event.kind == "commit"
            progress(event)

        try:
            report = ingest(
                options.paths,
                options.store,
                encoder=options.encoder,
                plan=options.plan,
                rebuild=options.rebuild,
                collection=options.collection,
                on_event=on_event,
                cancel=cancel,
            )
        except KeyboardInterrupt:
            return _failed("Interrupted; what was committed stays, run the same command to go on.", commits, options)
        except (IngestError, OSError) as error:
            return _failed(str(error), commits, options)
    if report.cancelled:
        kept = "what was committed stays, run the same command to go on" if report.commits else "nothing was changed"
        print(f"Interrupted; {kept}.", file=sys.stderr)
    print(report.summary(), file=sys.stderr)
    if options.json:
        print(json.dumps(report.to_json(), ensure_ascii=False), flush=True)
    return report.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m ingest",
        description="Make a store match files and folders.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file or a folder")
    default = os.environ.get("OPENBOOK_STORE") or ".openbook"
    parser.add_argument("--store", default=default, metavar="DIR", help=f"where the store is (default: {default})")
    parser.add_argument("--plan", action="store_true", help="say what would be done, and change nothing")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object on standard output")
    parser.add_argument(
        "--encoder",
        metavar="NAME",
        help='"bundled" or a sentence-transformers folder (default: the store\'s own)',
    )
    parser.add_argument(
        "--collection", metavar="NAME", help='questions may ask for these paths alone with in:NAME ("": no longer)'
    )
    parser.add_argument("--rebuild", action="store_true", help="make the store anew, if need be with another encoder")
    return parser


def _failed(sentence: str, commits: int, options: argparse.Namespace) -> int:
    print(" ".join(sentence.split()), file=sys.stderr)
    if options.json:
        print(json.dumps({"error": sentence}, ensure_ascii=False), flush=True)
    return 1 if commits else 2


def _stop_on_signals(cancel: threading.Event) -> None:
    """The first Ctrl-C (or kill) stops the run at the last commit; a second one does not wait for that."""

    def stop(number: int, frame: FrameType | None) -> None:
        if cancel.is_set():
            raise KeyboardInterrupt
        cancel.set()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)


if __name__ == "__main__":
    sys.exit(main())
