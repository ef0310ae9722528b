"""Faults at system calls: builds ``shim.c`` and speaks to it in a process that has it preloaded."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

NONE, KILL, TEAR, FAIL, FULL = range(5)
SOURCE = Path(__file__).with_name("shim.c")
_MOST = 1 << 40


def build(folder: Path) -> Path | None:
    """The compiled shim, or None where there is no C compiler: kills then fall at random times alone."""
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None:
        return None
    target = folder / "shim.so"
    line = [compiler, "-shared", "-fPIC", "-O2", "-o", str(target), str(SOURCE), "-ldl", "-lpthread"]
    subprocess.run(line, check=True, capture_output=True, timeout=60)
    return target


def preloaded() -> bool:
    """Whether this process has the shim."""
    return hasattr(ctypes.CDLL(None), "fault_arm")


def arm(
    folder: Path,
    mode: int,
    *,
    at: int = _MOST,
    room: int = _MOST,
    times: int = 1,
    shadow: Path | None = None,
) -> None:
    """From now on, faults happen to what changes files under ``folder``: at call ``at``, or after ``room`` bytes."""
    name = None if shadow is None else os.fsencode(shadow)
    numbers = [ctypes.c_long(number) for number in (at, room, times)]
    ctypes.CDLL(None).fault_arm(os.fsencode(folder), mode, *numbers, name)


def disarm() -> int:
    """No more faults; returns how many calls there were."""
    library = ctypes.CDLL(None)
    library.fault_disarm.restype = ctypes.c_long
    return int(library.fault_disarm())
