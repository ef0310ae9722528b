"""What the commands about a store share: the flags, how they fail, how they tell how far they are."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from ingest.command_line import Parser


def parser(name: str, what: str) -> Parser:
    """A parser with ``--store`` and ``--json``."""
    made = Parser(prog=f"python -m ingest {name}", description=what)
    default = os.environ.get("OPENBOOK_STORE") or ".openbook"
    made.add_argument("--store", default=default, metavar="DIR", help=f"where the store is (default: {default})")
    made.add_argument("--json", action="store_true", help="print the report as one JSON object on standard output")
    return made


def failed(sentence: str, arguments: Sequence[str]) -> int:
    """Say why nothing was done; exit code 2."""
    print(" ".join(sentence.split()), file=sys.stderr)
    if "--json" in arguments:
        print(json.dumps({"error": sentence}, ensure_ascii=False), flush=True)
    return 2


def tell(report: dict[str, Any], wanted: bool) -> None:
    """Print a report as JSON if it was asked for."""
    if wanted:
        print(json.dumps(report, ensure_ascii=False), flush=True)


class Counter:
    """A line on a terminal's standard error that says how far a long step is, twice a second; silent elsewhere."""

    def __init__(self) -> None:
        self._shown = time.monotonic()
        self._width = 0

    def __call__(self, what: str, done: int, total: int) -> None:
        if sys.stderr.isatty() and time.monotonic() - self._shown > 0.5:
            self._shown = time.monotonic()
            line = f"{done} of {total} documents {what}"
            self._width = max(self._width, len(line))
            print(f"\r{line:<{self._width}}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._width:
            print(f"\r{' ' * self._width}\r", end="", file=sys.stderr, flush=True)
            self._width = 0
