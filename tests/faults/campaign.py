"""``python -m tests.faults.campaign``: random faults by the thousand; prints one JSON line.

Each trial has a seed of its own: ``--only SEED`` runs one again. Needs a C compiler for most faults; without one,
processes are killed at random times, files are damaged, and writers and readers meet.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults import shim

ROOT = Path(__file__).parents[2]
WITHOUT_SHIM = ("kill in time", "damaged file", "two writers", "readers")
WORLD_SEED = 20261122


def campaign(folder: Path, trials: int, seed: int, kinds: list[str], *, verbose: bool = False) -> dict[str, object]:
    """Run ``trials``; returns the report. One process, which forks for every step of a trial."""
    from tests.faults.trials import KINDS, Trial, measure
    from tests.faults.world import World, prepare

    started = time.monotonic()
    prepare()
    world = World(folder, WORLD_SEED)
    if shim.preloaded():
        measure(world)
    gc.collect()
    gc.freeze()  # children then share what is there, instead of copying it at their first collection
    names = kinds or [name for name in KINDS if shim.preloaded() or name in WITHOUT_SHIM]
    survived: Counter[str] = Counter()
    wrong: list[dict[str, object]] = []
    for number in range(seed, seed + trials):
        generator = random.Random(number)
        kind = generator.choices(names, [KINDS[name][2] for name in names])[0]
        place = folder / f"trial{number}"
        what = kind
        try:
            what = KINDS[kind][0](Trial(world, place, generator, finished=KINDS[kind][1]))
            survived[kind] += 1
        except AssertionError as error:
            wrong.append({"seed": number, "kind": kind, "error": str(error)[-2500:]})
        if verbose:
            print(number, kind, what if not wrong or wrong[-1]["seed"] != number else wrong[-1], file=sys.stderr)
        shutil.rmtree(place, ignore_errors=True)
    return {
        "trials": trials,
        "survived": sum(survived.values()),
        "kinds": dict(survived),
        "calls": [scenario.calls for scenario in world.scenarios],
        "wrong": wrong,
        "seconds": round(time.monotonic() - started, 1),
    }


def sweep(folder: Path, step: int, *, verbose: bool = False) -> dict[str, object]:
    """A kill at every ``step``th call of a run that adds, edits, moves and removes, by turns before and within it."""
    from tests.faults.trials import Trial, kill_at, measure
    from tests.faults.world import World, prepare

    prepare()
    world = World(folder, WORLD_SEED, scenarios=2)
    measure(world)
    wrong: list[dict[str, object]] = []
    calls = range(1, world.scenarios[1].calls + 1, step) if shim.preloaded() else range(0)
    for at in calls:
        trial = Trial(world, folder / f"call{at}", random.Random(at), scenario=world.scenarios[1])
        try:
            kill_at(trial, shim.TEAR if at // step % 2 else shim.KILL, at)
        except AssertionError as error:
            wrong.append({"seed": at, "kind": "kill", "error": str(error)[-2500:]})
        if verbose:
            print(at, wrong[-1:], file=sys.stderr)
        shutil.rmtree(trial.folder)
    return {"trials": len(calls), "survived": len(calls) - len(wrong), "wrong": wrong}


def start(trials: int, seed: int, *more: str) -> dict[str, object]:
    """Run a campaign in a Python that has the shim; returns its report."""
    with tempfile.TemporaryDirectory() as build, tempfile.TemporaryDirectory(dir=_memory()) as folder:
        library = shim.build(Path(build))
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
        if library is not None:
            environment["LD_PRELOAD"] = str(library)
        line = [sys.executable, "-m", "tests.faults.campaign", "--inside", folder]
        line += ["--trials", str(trials), "--seed", str(seed), *more]
        done = subprocess.run(line, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the campaign ended with {done.returncode}: {done.stdout[-2000:]}")
        report: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
        return report


def _memory() -> str | None:
    """A file system in memory, where there is one: its inode numbers are never used twice, and syncing is quick."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def main() -> int:
    parser = argparse.ArgumentParser(description="Random faults, and what survives them.")
    parser.add_argument("--trials", type=int, default=int(os.environ.get("OPENBOOK_FAULTS", "200")))
    parser.add_argument("--seed", type=int, default=1, help="of the first trial; the others count on from it")
    parser.add_argument("--only", type=int, help="run the one trial of this seed")
    parser.add_argument("--kind", action="append", default=[], help="only this kind of fault")
    parser.add_argument("--every", type=int, default=0, metavar="STEP", help="instead: a kill at every STEPth call")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    seed, trials = (options.only, 1) if options.only is not None else (options.seed, options.trials)
    if options.inside and options.every:
        report = sweep(Path(options.inside), options.every, verbose=options.verbose)
    elif options.inside:
        report = campaign(Path(options.inside), trials, seed, options.kind, verbose=options.verbose)
    else:
        more = [part for kind in options.kind for part in ("--kind", kind)] + ["--verbose"] * options.verbose
        more += ["--every", str(options.every)] * bool(options.every)
        report = start(trials, seed, *more)
    print(json.dumps(report), flush=True)
    return 0 if options.inside or not report["wrong"] else 1


if __name__ == "__main__":
    sys.exit(main())
