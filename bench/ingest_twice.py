"""How much an ingest costs when nothing has changed: 2,000 files, ingested twice, each run a fresh process.

Prints one JSON line. ``first_seconds`` and ``second_seconds`` are the wall time of whole processes, start of Python
included; ``second_opens`` and ``second_bytes_read`` count what the second run opened of the 2,000 files (by Python's
audit hook for "open", installed before anything else) and must be 0. By default the encoder is a small static one,
so the ratio is not flattered by a slow first run; --encoder bundled takes MiniLM.

    python bench/ingest_twice.py [--files 2000] [--encoder bundled]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

WORDS = "river stone cloud paper engine garden winter signal market letter copper window bridge harbour".split()
# Counts opens under a folder, then runs the command line in the same process; the counts are stderr's last line.
WATCHED = """
import os, sys
folder, opened = sys.argv.pop(1), []
def hook(name, arguments):
    if name == "open" and isinstance(arguments[0], (str, bytes)) and os.fsdecode(arguments[0]).startswith(folder):
        opened.append(os.fsdecode(arguments[0]))
sys.addaudithook(hook)
from ingest.__main__ import main
code = main(sys.argv[1:])
files = [path for path in opened if os.path.isfile(path)]
print(len(files), sum(os.path.getsize(path) for path in files), file=sys.stderr)
sys.exit(code)
"""


def make_files(folder: Path, count: int) -> None:
    """``count`` text files of 300 to 3,000 characters, in 20 folders."""
    generator = random.Random(7)
    for number in range(count):
        place = folder / f"part{number % 20:02}"
        place.mkdir(parents=True, exist_ok=True)
        paragraphs = [
            " ".join(generator.choice(WORDS) for _ in range(generator.randint(40, 60))).capitalize() + f" {number}."
            for _ in range(generator.randint(1, 9))
        ]
        (place / f"note{number:05}.txt").write_text("\n\n".join(paragraphs))


def run(folder: Path, store: Path, encoder: str) -> tuple[float, dict[str, Any], int, int]:
    """One process: seconds, its report, and files and bytes of ``folder`` that it opened itself."""
    line = [sys.executable, "-c", WATCHED, str(folder), str(folder), "--store", str(store)]
    started = time.perf_counter()
    done = subprocess.run(
        [*line, "--encoder", encoder, "--json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=dict(os.environ),
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(done.stderr)
    opens, size = (int(number) for number in done.stderr.splitlines()[-1].split())
    return seconds, json.loads(done.stdout.splitlines()[-1]), opens, size


def main() -> None:
    """Run the benchmark."""
    from tests.ingest.tiny_encoder import write_static

    parser = argparse.ArgumentParser(description="Ingest twice and compare.")
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--encoder", default="", help="default: a small static encoder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        make_files(base / "docs", options.files)
        encoder = options.encoder or str(write_static(base / "encoder", dimension=64, words=["[UNK]", *WORDS]))
        first, report, opens, size = run(base / "docs", base / "store", encoder)
        seconds = []
        for _ in range(3):
            again, second, reopened, reread = run(base / "docs", base / "store", encoder)
            seconds.append(again)
        result = {
            "bench": "ingest_twice",
            "files": options.files,
            "chunks": report["chunks"],
            "encoder": options.encoder or "static",
            "first_seconds": round(first, 3),
            "second_seconds": round(sorted(seconds)[1], 3),
            "ratio": round(sorted(seconds)[1] / first, 4),
            "first_opens": opens,
            "second_opens": reopened,
            "second_bytes_read": reread,
            "second_unchanged": second["unchanged"],
            "second_encoded": second["encoded"],
        }
        assert opens >= options.files and size > 0, "the hook does not see the files being opened"
        print(json.dumps(result))


if __name__ == "__main__":
    main()
