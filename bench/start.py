"""From nothing to the first token of the bundled model, in seconds of processor time, beyond importing torch.

Each round starts two fresh processes, one that only imports torch and one that imports gpt, loads the bundled model
and writes one token; their user and system time are taken by the operating system, so that other work on the machine
counts little. Prints one JSON line: medians, the difference, and where the time goes by a third process.

    python bench/start.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TORCH = "import torch"
FIRST_TOKEN = """
import gpt
engine = gpt.Engine.load("bundled")
step = next(iter(engine.generate(engine.prompt("The capital of France is"), max_new_tokens=1)))
assert step.finish is not None
"""
STAGES = """
import json, time
marks = {}
def mark(name, last=[0.0]):
    now = time.process_time()
    marks[name], last[0] = round(now - last[0], 3), now
mark("python")
import torch
mark("import torch")
import gpt
mark("import gpt")
engine = gpt.Engine.load("bundled")
mark("load")
ids = engine.prompt("The capital of France is")
mark("encode")
next(iter(engine.generate(ids, max_new_tokens=1)))
mark("first token")
print(json.dumps(marks))
"""


def processor_time(code: str) -> tuple[float, str]:
    """Seconds of user and system time of a fresh Python that runs ``code``, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, check=True, capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    processor_time(FIRST_TOKEN)  # compiled Python files and the disk's cache are there afterwards
    taken = [(processor_time(TORCH)[0], processor_time(FIRST_TOKEN)[0]) for _ in range(rounds)]
    torch_only, first_token = zip(*taken, strict=True)
    result = {
        "bench": "start",
        "beyond_torch_seconds": round(statistics.median(first_token) - statistics.median(torch_only), 3),
        "torch_seconds": round(statistics.median(torch_only), 3),
        "first_token_seconds": round(statistics.median(first_token), 3),
        "stages": json.loads(processor_time(STAGES)[1]),
        "rounds": rounds,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
