"""Random faults, a few at every run of the tests: OPENBOOK_FAULTS sets how many (2,000 before a release).

``python -m tests.faults.campaign`` runs them by the thousand and says which; bench/faults.py is the claim.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import shim
from tests.faults.campaign import WITHOUT_SHIM, start
from tests.faults.damage import damage, files
from tests.faults.power import Disk

TRIALS = int(os.environ.get("OPENBOOK_FAULTS", "24"))
STEP = int(os.environ.get("OPENBOOK_FAULT_STEP", "60"))  # 1: a kill at every single call


@pytest.mark.timeout(120 + 5 * TRIALS)
def test_random_faults(tmp_path: Path) -> None:
    report = start(TRIALS, 1)
    assert report["wrong"] == [] and report["survived"] == TRIALS
    if shim.build(tmp_path) is not None:
        assert not set(report["kinds"]) <= set(WITHOUT_SHIM)  # type: ignore[call-overload]


@pytest.mark.timeout(7200)
def test_a_kill_at_every_call_of_a_run() -> None:
    """Every write, sync, rename, link, truncation and removal in turn, or every `STEP`th."""
    report = start(0, 1, "--every", str(STEP))
    assert report["wrong"] == [] and report["survived"] == report["trials"]


def test_the_shim_fails_the_call_it_is_told_to(tmp_path: Path) -> None:
    """A fault that never happens would be survived by anybody."""
    library = shim.build(tmp_path)
    if library is None:
        assert shutil.which("cc") is None
        return
    program = """
import os, sys
from pathlib import Path
from tests.faults import shim
home = Path(sys.argv[1])
def put(name, data):
    with open(home / name, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
shim.arm(home, shim.FULL)
put("a", b"x" * 100)
(home / "a").rename(home / "b")
print(shim.disarm())                                   # open, write, sync, rename
shim.arm(home, shim.FULL, room=150)
try:
    put("c", b"x" * 100); put("d", b"x" * 100)
except OSError as error:
    print(error.errno)
print(sorted((path.name, path.stat().st_size) for path in home.iterdir()), shim.disarm() > 0)
shim.arm(home, shim.FAIL, at=3)
try:
    put("e", b"x")
except OSError as error:
    print(error.errno)
shim.arm(home, shim.TEAR, at=2)
put("f", b"x" * 100)
"""
    line = [sys.executable, "-u", "-c", program, str(tmp_path)]
    environment = {**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == -9, done.stderr
    names = [("b", 100), ("c", 100), ("d", 50), ("shim.so", library.stat().st_size)]
    assert done.stdout.splitlines() == ["4", "28", f"{names} True", "5"]
    assert (tmp_path / "f").stat().st_size == 50


def test_a_power_cut_keeps_what_was_synced(tmp_path: Path) -> None:
    home, shadow = tmp_path / "home", tmp_path / "shadow"
    home.mkdir()
    (home / "old").write_bytes(b"before")
    seen: set[tuple[tuple[str, bytes], ...]] = set()
    for seed in range(400):  # which file meets which fate depends on the order the folder is read in
        disk = Disk(home, shadow)
        (home / "old").write_bytes(b"after!")  # not synced
        (home / "new").write_bytes(b"new")
        disk.cut(random.Random(seed))
        seen.add(tuple(sorted((path.name, path.read_bytes()) for path in home.iterdir())))
        for path in home.iterdir():
            path.unlink()
        (home / "old").write_bytes(b"before")
    assert (("old", b"before"),) in seen and (("new", b"new"), ("old", b"after!")) in seen
    assert any(("new", b"") in state for state in seen)  # a name without what was to be in it


def test_damage_changes_one_file(tmp_path: Path) -> None:
    for name in ("store.sqlite3", "lexical/a", "vectors/b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(range(256)) * 40)
    (tmp_path / "writer.lock").write_text("1")
    assert [path.name for path in files(tmp_path)] == ["a", "store.sqlite3", "b"]
    for seed in range(30):
        before = {path: path.read_bytes() for path in files(tmp_path)}
        damage(tmp_path, random.Random(seed))
        after = {path: path.read_bytes() for path in files(tmp_path)}
        assert sum(after.get(path) != data for path, data in before.items()) <= 1
        for path, data in before.items():
            path.write_bytes(data)
