"""What one file may cost before it is set aside, and the check that a packed file does not unpack without end."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

from ingest.types import IngestError

_MIB = 1 << 20
_CHUNK = 1 << 18
_SMALL = 8 * _MIB  # below this an extreme ratio does no harm: a short letter in Word unpacks 20-fold


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes, seconds and characters for one file. ``memory`` bounds the address space of the parsing process."""

    file_bytes: int = 256 * _MIB
    seconds: float = 60.0
    memory: int = 2048 * _MIB
    expanded_bytes: int = 512 * _MIB
    expansion: float = 200.0
    characters: int = 50_000_000


def check_expansion(data: bytes, limits: Limits) -> None:
    """Raise IngestError when the zip file ``data`` unpacks to more than the limits.

    The directory of the file is checked first, then what its members really unpack to: a directory can lie.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            members = package.infolist()
            _check(sum(member.file_size for member in members), len(data), limits)
            unpacked = 0
            for member in members:
                with package.open(member) as stream:
                    while part := stream.read(_CHUNK):
                        unpacked += len(part)
                        _check(unpacked, len(data), limits)
    except IngestError:
        raise
    except Exception as error:  # zipfile raises BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError
        raise IngestError("is a damaged package and cannot be unpacked; save it again.") from error


def _check(unpacked: int, packed: int, limits: Limits) -> None:
    ratio = unpacked / max(1, packed)
    if unpacked > limits.expanded_bytes or (unpacked > _SMALL and ratio > limits.expansion):
        raise IngestError(
            f"unpacks {ratio:.0f}-fold to {unpacked / _MIB:.0f} MiB (at most {limits.expansion:.0f}-fold and "
            f"{limits.expanded_bytes / _MIB:.0f} MiB are read); save it again, or split it."
        )
