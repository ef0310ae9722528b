"""A power cut acted out: of what a process wrote, only what it had synced is sure to be on the disk."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

BLOCK = 512

Names = dict[str, int]  # of a folder's files -> inode


class Disk:
    """What is on the disk for sure: at first all that is in ``folder``, later what the shim keeps in ``shadow``."""

    def __init__(self, folder: Path, shadow: Path) -> None:
        self._folder, self._shadow = folder, shadow
        shadow.mkdir()
        self._names = {_inode(place): names for place, names in _folders(folder)}
        self._contents = {
            inode: (place / name).read_bytes() for place, names in _folders(folder) for name, inode in names.items()
        }

    def cut(self, generator: random.Random) -> None:
        """Make the folder what may be found of it when the power comes back.

        A name that was not synced may be missing, or still be the old one; of a file that was not synced, any block
        may be the old one, and its end may be missing. Half of the time nothing is there that was not synced.
        """
        self._read_shadow()
        strict = generator.random() < 0.5
        found = list(_folders(self._folder))
        current = {inode: (place / name).read_bytes() for place, names in found for name, inode in names.items()}
        after: dict[int, bytes] = {}
        for place, names in found:
            sure = self._names.get(_inode(place), {})
            for name in {*names, *sure}:
                new, old = names.get(name), sure.get(name)
                chosen = new if new == old or (not strict and generator.random() < 0.5) else old
                if name in names:
                    (place / name).unlink()
                if chosen is not None:
                    if chosen not in after:
                        synced = self._contents.get(chosen, b"")
                        after[chosen] = synced if strict else _mixed(synced, current.get(chosen, synced), generator)
                    (place / name).write_bytes(after[chosen])
        shutil.rmtree(self._shadow)

    def _read_shadow(self) -> None:
        latest: dict[int, tuple[int, Path]] = {}
        for path in self._shadow.iterdir():
            if path.name == "log":
                for line in path.read_text().splitlines():
                    folder, *entries = line[2:].split("\t")
                    pairs = [entry.split("/", 1) for entry in entries]
                    self._names[int(folder)] = {name: int(inode) for inode, name in pairs}
            else:
                inode, number = (int(part) for part in path.name.split("."))
                latest[inode] = max(latest.get(inode, (0, path)), (number, path))
        self._contents.update({inode: path.read_bytes() for inode, (_, path) in latest.items()})
        for folder, names in self._names.items():  # folders within folders stay: only files are played with
            inside = {inode for _, known in _folders(self._folder) for inode in known.values()}
            self._names[folder] = {n: i for n, i in names.items() if i in inside or i in self._contents}


def _mixed(synced: bytes, written: bytes, generator: random.Random) -> bytes:
    length = generator.choice((len(synced), len(written)))
    parts = []
    for start in range(0, length, BLOCK):
        source = generator.choice((synced, written))
        parts.append(source[start : start + BLOCK].ljust(min(BLOCK, length - start), b"\0"))
    return b"".join(parts)


def _inode(path: Path) -> int:
    return path.stat().st_ino


def _folders(folder: Path) -> Iterator[tuple[Path, Names]]:
    for place, _, names in os.walk(folder):
        yield Path(place), {name: _inode(Path(place) / name) for name in names}
