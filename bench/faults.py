"""Faults survived with nothing wrong or lost: 2,000 random ones (OPENBOOK_FAULTS), as one JSON line.

kill -9 and torn writes at any system call, a full disk after any number of bytes, failing calls, power cuts, altered,
cut and deleted files, killed repairs, exports and imports, writers that meet, readers during a run. After each, the
store opens, holds a committed state no older than what was acknowledged, and the same command again gives the
search results of a run that nothing happened to. No peer publishes such a figure, so there is no ratio.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.faults.campaign import start


def main() -> None:
    trials = int(os.environ.get("OPENBOOK_FAULTS", "2000"))
    report = start(trials, int(os.environ.get("OPENBOOK_FAULT_SEED", "1")))
    print(json.dumps({"bench": "faults", "faults": trials, **report}))


if __name__ == "__main__":
    main()
