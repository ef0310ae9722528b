"""``python -m ingest status | verify | repair | export | import``: commands about a store as a whole."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from ingest.types import IngestError

COMMANDS = {
    "status": "what is in the store",
    "verify": "whether every byte of it is as it was written",
    "repair": "make it whole again",
    "export": "write it to one file, to be taken elsewhere",
    "import": "make a store from such a file",
}
HELP = "or one of these commands (a folder of that name is meant by ./NAME):\n" + "\n".join(
    f"  {name:8} {what}" for name, what in COMMANDS.items()
)
_MODULES = {name: f"ingest.commands.{name}" for name in COMMANDS} | {"import": "ingest.commands.taking_in"}


def run(name: str, arguments: Sequence[str]) -> int:
    """Run one of `COMMANDS`; returns the exit code: 0 all is well, 1 something is not, 2 nothing was done."""
    from ingest.commands.common import failed

    try:
        return int(importlib.import_module(_MODULES[name]).main(arguments))
    except KeyboardInterrupt:
        return failed("Interrupted; run the same command again.", arguments)
    except (IngestError, OSError) as error:
        return failed(str(error), arguments)
