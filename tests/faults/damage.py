"""What disks and people do to files: bits flipped, blocks zeroed, ends cut, files deleted or exchanged."""

from __future__ import annotations

import random
from pathlib import Path


def files(home: Path) -> list[Path]:
    """Every file of a store that says something, in order; the lock's content is for people alone."""
    found = sorted(path for path in home.rglob("*") if path.is_file() and path.stat().st_size)
    return [path for path in found if path.name not in ("writer.lock", "store.sqlite3-shm")]


def damage(home: Path, generator: random.Random, name: str | None = None) -> str:
    """Do one of these to one file, ``name`` or any; mostly the database or its log. Returns what was done."""
    found = files(home)
    logs = [path for path in found if path.name == "store.sqlite3-wal"]
    path = home / "store.sqlite3" if name or generator.random() < 0.5 else generator.choice(found)
    if logs and not name and generator.random() < 0.5:
        path = logs[0]
    data = bytearray(path.read_bytes())
    how = generator.choices(
        ("bits", "byte", "zeros", "cut", "deleted", "exchanged", "longer", "shuffled"), (40, 10, 15, 10, 5, 5, 5, 10)
    )[0]
    if how == "deleted" and name:
        how = "bits"
    if how == "deleted":
        path.unlink()
        return f"{path.relative_to(home)} deleted"
    place = generator.randrange(len(data))
    if how == "bits":
        for _ in range(generator.randint(1, 3)):
            place = generator.randrange(len(data))
            data[place] ^= 1 << generator.randrange(8)
    elif how == "byte":
        data[place] = generator.randrange(256)
    elif how == "zeros":
        length = min(generator.choice((16, 512, 4096)), len(data) - place)
        data[place : place + length] = bytes(length)
    elif how == "cut":
        del data[place:]
    elif how == "exchanged":
        other = generator.choice([other for other in found if other.suffix == path.suffix])
        data = bytearray(other.read_bytes())
    elif how == "longer":
        data += generator.randbytes(generator.randint(1, 5000))
    else:  # two pages change places
        pages = [data[start : start + 4096] for start in range(0, len(data), 4096)]
        generator.shuffle(pages)
        data = bytearray(b"".join(pages))
    path.unlink()  # states share files by hard links; a new file is what a bad disk block amounts to
    path.write_bytes(data)
    return f"{path.relative_to(home)}: {how} at {place}"
