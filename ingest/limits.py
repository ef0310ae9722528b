"""What one file may cost before it is set aside, and the account of what a packed file has unpacked to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ingest.types import IngestError

_MIB = 1 << 20
_SMALL = 8 * _MIB  # below this an extreme ratio does no harm: a short letter in Word unpacks 20-fold


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes, seconds and characters for one file. ``memory`` bounds the address space of the parsing process.

    ``seconds`` is for one step: a file, a member of an archive, or a page of text recognition; ``total_seconds`` for
    all steps of one file. ``nesting`` counts archives within archives, ``members`` the files in all of them.
    """

    file_bytes: int = 256 * _MIB
    seconds: float = 60.0
    total_seconds: float = 1800.0
    memory: int = 2048 * _MIB
    expanded_bytes: int = 512 * _MIB
    expansion: float = 200.0
    characters: int = 50_000_000
    nesting: int = 5
    members: int = 10_000


class LimitReached(IngestError):
    """A file costs more than its limits: the whole file is set aside, however deep in it that was noticed."""


@dataclass(slots=True)
class Budget:
    """What is left of the limits for one file of ``packed`` bytes, shared by everything that is inside it.

    ``step()`` is called when a member or page is done, which starts its time anew.
    """

    limits: Limits = field(default_factory=Limits)
    packed: int = 1
    step: Callable[[], None] = lambda: None
    unpacked: int = 0
    members: int = 0
    depth: int = 0

    def unpack(self, size: int) -> None:
        """Count ``size`` bytes more; LimitReached when that is too much in all, or for so small a file."""
        self.unpacked += size
        self.foresee(0)

    def foresee(self, size: int) -> None:
        """LimitReached when ``size`` more bytes would be too many: a directory may say so before they are unpacked."""
        unpacked, limits = self.unpacked + size, self.limits
        ratio = unpacked / max(1, self.packed)
        if unpacked > limits.expanded_bytes or (unpacked > _SMALL and ratio > limits.expansion):
            raise LimitReached(
                f"unpacks {ratio:.0f}-fold to {unpacked / _MIB:.0f} MiB (at most {limits.expansion:.0f}-fold and "
                f"{limits.expanded_bytes / _MIB:.0f} MiB are read); save it again, or split it."
            )

    @contextmanager
    def nested(self) -> Iterator[None]:
        """One archive deeper."""
        self.depth += 1
        try:
            if self.depth > self.limits.nesting:
                raise LimitReached(f"holds archives within archives, over {self.limits.nesting} deep; unpack it first.")
            yield
        finally:
            self.depth -= 1

    def member(self) -> None:
        """Count a file inside an archive."""
        self.members += 1
        if self.members > self.limits.members:
            raise LimitReached(f"holds more than {self.limits.members} files; unpack it first.")
