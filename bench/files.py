"""Very many files: a first run, a second with nothing changed, and how long one change takes to be seen.

Prints one JSON line. ``files`` short text files in folders of 1,000 (100,000 by default; --files 1000000 is the long
form) are ingested with a small static encoder, by the command line in a process of its own, which is also what the
second run is timed as (median of three). Then a reader holds the store open while one file is edited and ingested by
its name, while the folder that it lies in is ingested, and while another file is removed from the store: each figure
is the median time from the call of `ingest` or `remove` until the open reader, refreshed, finds the new words or no
longer finds the old ones, over --changes changes.

    python bench/files.py [--files 100000] [--changes 5] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

WORDS = "river stone cloud paper engine garden winter signal market letter copper window bridge harbour".split()
PER_FOLDER = 1000


def name_of(number: int) -> str:
    """A word of consonants, which is no other word's part or stem."""
    return "".join("bcdfghjkmn"[int(digit)] for digit in f"{number:07}")


def path_of(base: Path, number: int) -> Path:
    """Where file ``number`` lies."""
    return base / f"part{number // PER_FOLDER:04}" / f"note{number:07}.txt"


def make_files(base: Path, count: int) -> None:
    """``count`` files of one or two sentences, each with a word that no other file has."""
    generator = random.Random(5)
    for number in range(count):
        path = path_of(base, number)
        if number % PER_FOLDER == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{' '.join(generator.choices(WORDS, k=12)).capitalize()} {name_of(number)}.\n")


def run(docs: Path, store: Path, encoder: Path) -> tuple[float, dict[str, Any]]:
    """One process of the command line: seconds and its report."""
    line = [sys.executable, "-m", "ingest", str(docs), "--store", str(store), "--encoder", str(encoder), "--json"]
    started = time.perf_counter()
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT, check=True)
    return time.perf_counter() - started, json.loads(done.stdout.splitlines()[-1])


def seen(act: Callable[[], object], visible: Callable[[], bool]) -> float:
    """Seconds from the call until the open reader has the change; it must not have had it before."""
    assert not visible(), "the reader sees a change that was not made yet"
    started = time.perf_counter()
    act()
    took = time.perf_counter() - started
    assert visible(), "the reader does not see the change"
    return took


def changes(docs: Path, home: Path, encoder: Path, files: int, times: int) -> dict[str, float]:
    """Median seconds until an edit, one found by looking through its folder, and a removal are visible."""
    from ingest.encode import Encoder
    from ingest.pipeline import ingest, remove
    from ingest.store import Store

    loaded = Encoder.load(str(encoder))
    taken: dict[str, list[float]] = {"edit_file": [], "edit_in_folder": [], "remove_file": []}
    with Store.open(home) as reader:

        def finds(word: str) -> bool:
            reader.refresh()
            return bool(reader.lexical(word, 1))

        def lacks(word: str) -> bool:
            return not finds(word)

        reader.warm()
        for n, number in enumerate(random.Random(6).sample(range(files), 3 * times)):
            path, kind = path_of(docs, number), list(taken)[n % 3]
            new = f"v{name_of(number)}"
            if kind == "remove_file":
                act, visible = partial(remove, [path], home), partial(lacks, name_of(number))
            else:
                path.write_text(f"Edited, with the word {new}.\n")
                given = path if kind == "edit_file" else path.parent
                act, visible = partial(ingest, [given], home, encoder=loaded), partial(finds, new)
            taken[kind].append(seen(act, visible))
    return {kind: round(statistics.median(values), 3) for kind, values in taken.items()}


def main() -> None:
    """Run the benchmark."""
    from tests.ingest.tiny_encoder import write_static

    parser = argparse.ArgumentParser(description="Ingest very many files, twice, and change some.")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--changes", type=int, default=5, help="changes of each kind that are timed")
    parser.add_argument("--folder", type=Path, help="keep files and store here; what is there already is used again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        base = options.folder or Path(temporary)
        docs, home, encoder = base / "docs", base / "store", base / "encoder"
        result: dict[str, Any] = {"bench": "files", "files": options.files}
        if not docs.exists():
            make_files(docs, options.files)
            write_static(encoder, dimension=64, words=["[UNK]", *WORDS])
        first, report = run(docs, home, encoder)
        result |= {"first_added": report["added"], "first_seconds": round(first, 1)}
        again = [run(docs, home, encoder) for _ in range(3)]
        assert all(done["unchanged"] == options.files for _, done in again), "something was not unchanged"
        result |= {"chunks": again[0][1]["chunks"], "second_encoded": sum(done["encoded"] for _, done in again)}
        result["second_seconds"] = round(statistics.median(seconds for seconds, _ in again), 2)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        result["peak_mib"] = round(peak)
        timed = changes(docs, home, encoder, options.files, options.changes)
        result |= {f"{kind}_seconds": value for kind, value in timed.items()}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
