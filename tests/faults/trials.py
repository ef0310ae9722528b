"""One trial: a store, a fault, and whether what comes back is right. `KINDS` names the faults."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import ingest.repair as repairing
from ingest.portable.importing import take_in
from ingest.portable.writing import export
from ingest.repair import repair
from ingest.store import Store, StoreError
from ingest.store.audit import audit
from ingest.store.layout import folder_bytes
from tests.faults import shim
from tests.faults.damage import damage
from tests.faults.forks import Child, Outcome, Tell, run
from tests.faults.power import Disk
from tests.faults.world import Scenario, State, World, check, leftovers, read_state


class Wrong(AssertionError):
    """A trial that the store did not survive."""


class Trial:
    """A fresh copy of a scenario's store in ``folder``, and the checks that every fault is followed by."""

    def __init__(
        self,
        world: World,
        folder: Path,
        generator: random.Random,
        *,
        finished: bool = False,
        scenario: Scenario | None = None,
    ) -> None:
        self.world, self.random, self.folder = world, generator, folder
        self.scenario: Scenario = scenario or generator.choice(world.scenarios)
        self.home = folder / "store"
        folder.mkdir()
        source = self.scenario.base
        if finished:
            source = generator.choice((self.scenario.finished, self.scenario.finished, self.scenario.logged))
        if source is not None:
            shutil.copytree(source, self.home)

    def ingest(self, tell: Tell, before: Callable[[], None] = lambda: None) -> None:
        """What a child does: the run, telling of every commit."""
        before()
        self.world.ingest(self.scenario, self.home, lambda event: tell("commit") if event.kind == "commit" else None)

    def must(self, outcome: Outcome, what: str, *allowed: str) -> Outcome:
        """Wrong unless the child came to a clean end."""
        failure = outcome.failure(*allowed)
        if failure is not None:
            raise Wrong(f"{what}: {failure}")
        return outcome

    def state(self) -> State:
        """In a child: read everything; nothing where there is no store yet."""
        try:
            return self.world.use(self.home, self.scenario)
        except StoreError as error:
            if "There is no store in" in str(error) and self.scenario.base is None:
                return {}
            raise

    def survives(self, acknowledged: int, what: str) -> None:
        """Wrong unless the store is at a state that was committed, no older than what was acknowledged, and running
        the command again gives the results of a run that nothing happened to.
        """

        def work(tell: Tell) -> None:
            state = self.state()
            places = [place for place, known in enumerate(self.scenario.states) if known == state]
            assert places and max(places) >= acknowledged, (
                f"{acknowledged} commits were acknowledged, it is at {places}"
            )
            self.converge()

        self.must(run(work), what)

    def converge(self) -> None:
        """In a child: run the command again and compare."""
        self.world.ingest(self.scenario, self.home)
        assert self.state() == self.scenario.states[-1], "another state after running it again"
        extra = leftovers(self.home)
        assert not extra, f"left behind: {extra}"
        dense, lexical = self.world.results(self.home)
        assert dense == self.scenario.dense, "other dense results"
        assert lexical == self.scenario.lexical, "other lexical results"


def kill(trial: Trial) -> str:
    """kill -9 at any system call of the run."""
    mode = trial.random.choice((shim.KILL, shim.KILL, shim.TEAR))
    return kill_at(trial, mode, trial.random.randint(1, trial.scenario.calls))


def kill_at(trial: Trial, mode: int, at: int) -> str:
    """kill -9 at a system call of the run, before it or in the middle of a write."""
    outcome = run(lambda tell: trial.ingest(tell, lambda: shim.arm(trial.home, mode, at=at)))
    if outcome.signal != 9:
        trial.must(outcome, "the run")
    name = f"{'kill' if mode == shim.KILL else 'torn write'} at call {at}"
    trial.survives(outcome.told.count("commit"), name)
    return name


def kill_in_time(trial: Trial) -> str:
    """kill -9 after some milliseconds, wherever the run is."""
    child = Child(trial.ingest)
    wanted, pause = trial.random.randint(0, 3), trial.random.random() * 0.08
    while child.heard(0.05) < wanted and child.heard(0) < wanted:
        if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            break
    child.heard(pause)
    child.kill()
    outcome = child.wait()
    name = f"kill {pause * 1000:.0f} ms after commit {wanted}"
    trial.survives(outcome.told.count("commit"), name)
    return name


def disk_full(trial: Trial) -> str:
    """The disk is full after some bytes, and then has room again."""
    room = int(trial.scenario.bytes * trial.random.random() ** 2)
    outcome = run(lambda tell: trial.ingest(tell, lambda: shim.arm(trial.home, shim.FULL, room=room)))
    name = f"disk full after {room} bytes"
    trial.must(outcome, name, "IngestError")
    if outcome.error is not None and len(outcome.error[1].splitlines()) > 1:
        raise Wrong(f"{name}: {outcome.error[1]}")
    trial.survives(outcome.told.count("commit"), name)
    return name


def failing_calls(trial: Trial) -> str:
    """One system call, or some in a row, or all from one on, fail with an input/output error."""
    at, times = trial.random.randint(1, trial.scenario.calls), trial.random.choice((1, 1, 3, 1000))
    outcome = run(lambda tell: trial.ingest(tell, lambda: shim.arm(trial.home, shim.FAIL, at=at, times=times)))
    name = f"{times} failing from call {at}"
    trial.must(outcome, name, "IngestError")
    trial.survives(outcome.told.count("commit"), name)
    return name


def power_cut(trial: Trial) -> str:
    """The power fails at a system call: what was not synced may be gone, or half there."""
    trial.home.mkdir(exist_ok=True)
    at = trial.random.randint(1, trial.scenario.calls)
    shadow = trial.folder / "shadow"
    disk = Disk(trial.home, shadow)
    outcome = run(lambda tell: trial.ingest(tell, lambda: shim.arm(trial.home, shim.KILL, at=at, shadow=shadow)))
    if outcome.signal != 9:
        trial.must(outcome, "the run")
    disk.cut(trial.random)
    name = f"power cut at call {at}"
    trial.survives(outcome.told.count("commit"), name)
    return name


def damaged_file(trial: Trial) -> str:
    """A file of the store is altered, cut, or deleted: the store says so or gives the right answers, and is mended."""
    name = damage(trial.home, trial.random)
    without_files = trial.random.random() < 0.25

    def use(tell: Tell) -> None:
        try:
            assert trial.world.use(trial.home, trial.scenario) == trial.scenario.states[-1], "another state"
        except StoreError as error:
            assert "\n" not in str(error)
            tell(str(error))

    said = trial.must(run(use), f"{name}, used").told

    def mend(tell: Tell) -> None:
        if without_files:
            repairing._reread = lambda *_: False
        if said and "There is no store" in said[0]:
            trial.converge()
            return
        report = repair(trial.home, encoder=trial.world.encoder)
        assert not said or report.problems, f"said {said[0]}, but the repair found nothing"
        left = audit(trial.home)
        assert not left, f"after the repair: {left}"
        found = read_state(trial.home)
        lost = {entry.path for entry in report.lost}
        expected, texts = trial.scenario.states[-1], trial.scenario.texts
        assert all(text in texts.get(path, ()) for path, text in found.items()), "a repair that made something up"
        assert set(expected) - set(found) == set() or lost or said, "a repair that lost something"
        named = lost & set(expected)  # of others not even the name is left
        assert without_files or not named, f"lost {named} though the files are there"
        (trial.home / "damaged.sqlite3").unlink(missing_ok=True)
        trial.converge()

    trial.must(run(mend), f"{name}, mended")
    return name + (" (without the files)" if without_files else "")


def killed_repair(trial: Trial) -> str:
    """kill -9, or a full disk, while a damaged store is repaired; the next repair goes on."""
    name = damage(trial.home, trial.random, "store.sqlite3")
    at, cut = trial.random.randint(1, 120), trial.random.random() < 0.25
    mode = shim.KILL if cut else trial.random.choice((shim.KILL, shim.TEAR, shim.FAIL, shim.FULL))
    room, shadow = trial.random.randint(0, 300_000), trial.folder / "shadow"
    disk = Disk(trial.home, shadow) if cut else None

    def broken(tell: Tell) -> None:
        shim.arm(trial.home, mode, at=at, room=room, times=1000, shadow=shadow if cut else None)
        repair(trial.home, encoder=trial.world.encoder)

    outcome = run(broken)
    name = f"{name}, then {'a power cut' if cut else f'mode {mode}'} at call {at} or byte {room} of the repair"
    if outcome.signal != 9:
        trial.must(outcome, name, "IngestError")
    if disk is not None:
        disk.cut(trial.random)

    def mend(tell: Tell) -> None:
        if (trial.home / "store.sqlite3").exists() or (trial.home / "repair").exists():
            repair(trial.home, encoder=trial.world.encoder)
            left = audit(trial.home)
            assert not left, f"after the repair: {left}"
        (trial.home / "damaged.sqlite3").unlink(missing_ok=True)
        trial.converge()

    trial.must(run(mend), f"{name}, repaired again")
    return name


def two_writers(trial: Trial) -> str:
    """Two runs at the same time: one is refused, or waits its turn, and nothing is mixed up."""
    first, second = Child(trial.ingest), Child(trial.ingest)
    killed = trial.random.random() < 0.3
    if killed:
        first.heard(trial.random.random() * 0.3)
        first.kill()
    outcomes = [first.wait(), second.wait()]
    for number, outcome in enumerate(outcomes):
        if not (killed and number == 0):
            trial.must(outcome, f"writer {number}", "IngestError")
            if outcome.error is not None and "is being written by process" not in outcome.error[1]:
                raise Wrong(f"writer {number}: {outcome.error[1]}")
    if not killed and all(outcome.error is not None for outcome in outcomes):
        raise Wrong("both writers were refused")
    trial.survives(max(outcome.told.count("commit") for outcome in outcomes), "two writers")
    return "two writers" + (", one killed" if killed else "")


def readers(trial: Trial) -> str:
    """Readers, one of them open from the start, while a run goes on or is killed."""
    scenario, world = trial.scenario, trial.world

    def read(tell: Tell) -> None:
        if scenario.base is None:
            return
        with Store.open(trial.home, encoder=world.encoder.stamp) as store:
            before = 0
            for _ in range(6):
                state = check(store, world, scenario)
                places = [place for place, known in enumerate(scenario.states) if known == state]
                assert places and max(places) >= before, "a reader saw what was never committed"
                before = min(place for place in places if place >= before)
                tell(before)
                assert check(store, world, scenario) == state, "a reader's state changed under it"
                store.refresh()

    def look(tell: Tell) -> None:
        for _ in range(3 if scenario.base else 0):
            found = audit(trial.home)
            assert not found, f"an audit beside a writer found {found}"

    kept = Child(read)
    kept.heard(5.0)
    writer = Child(trial.ingest)
    late, auditor = Child(read), Child(look)
    killed = trial.random.random() < 0.4
    if killed:
        writer.heard(trial.random.random() * 0.4)
        writer.kill()
    outcome = writer.wait()
    if not killed:
        trial.must(outcome, "the run beside readers")
    trial.must(kept.wait(), "a reader")
    trial.must(late.wait(), "a late reader")
    trial.must(auditor.wait(), "an audit")
    trial.survives(outcome.told.count("commit"), "readers")
    return "readers" + (", writer killed" if killed else "")


def carried(trial: Trial) -> str:
    """An export or an import that is killed, or altered on the way."""
    file, there = trial.folder / "store.openbook", trial.folder / "there"
    what = trial.random.choice(("export", "import", "altered", "altered"))
    mode, at = trial.random.choice((shim.KILL, shim.TEAR, shim.FAIL)), trial.random.randint(1, 60)

    def writing(tell: Tell) -> None:
        shim.arm(trial.folder, mode if what == "export" else shim.NONE, at=at, times=1000)
        export(trial.home, file)

    def reading(tell: Tell) -> None:
        shim.arm(trial.folder, mode if what == "import" else shim.NONE, at=at, times=1000)
        take_in(file, there, root=trial.scenario.docs, encoder=trial.world.encoder)

    name = f"{what}, mode {mode} at call {at}"
    outcome = run(writing)
    if what == "export" and not file.exists():
        if outcome.signal != 9:
            trial.must(outcome, name, "IngestError", "OSError")
        for rest in trial.folder.glob(".store.openbook.*"):
            rest.unlink()
        trial.must(run(lambda tell: export(trial.home, file) and None), f"{name}, again")
    if what == "altered":
        data = bytearray(file.read_bytes())
        for _ in range(trial.random.randint(1, 3)):
            data[trial.random.randrange(len(data))] ^= 1 << trial.random.randrange(8)
        (trial.folder / "whole").write_bytes(file.read_bytes())
        file.write_bytes(data)
    outcome = run(reading)
    if outcome.signal != 9:
        trial.must(outcome, name, "IngestError", "OSError")
    if what == "altered":
        file.write_bytes((trial.folder / "whole").read_bytes())
    if not there.exists():
        take = lambda tell: take_in(file, there, root=trial.scenario.docs, encoder=trial.world.encoder) and None  # noqa: E731
        trial.must(run(take), f"{name}, again")
    trial.home = there
    trial.survives(len(trial.scenario.states) - 1, name)
    return name


Kind = Callable[[Trial], str]

# name -> (trial, whether it begins with the finished store, how often of 100)
KINDS: dict[str, tuple[Kind, bool, int]] = {
    "kill": (kill, False, 22),
    "kill in time": (kill_in_time, False, 8),
    "disk full": (disk_full, False, 12),
    "failing calls": (failing_calls, False, 8),
    "power cut": (power_cut, False, 12),
    "damaged file": (damaged_file, True, 22),
    "killed repair": (killed_repair, True, 6),
    "two writers": (two_writers, False, 3),
    "readers": (readers, False, 3),
    "carried": (carried, True, 4),
}


def measure(world: World) -> None:
    """Let the shim count what the run of each scenario does."""
    for number, scenario in enumerate(world.scenarios):
        home = world.folder / f"measure{number}" / "store"
        home.parent.mkdir()
        if scenario.base is not None:
            shutil.copytree(scenario.base, home)

        def work(tell: Tell, home: Path = home, scenario: Scenario = scenario) -> None:
            shim.arm(home, shim.FULL)
            world.ingest(scenario, home)
            tell(shim.disarm())

        scenario.calls = run(work).told[0]
        scenario.bytes = folder_bytes(home)
        shutil.rmtree(home.parent)
