"""Archives: zip, tar (plain, .gz, .bz2, .xz) and single packed files; what is inside is read, nothing is written."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from pathlib import Path

from ingest.limits import Budget
from ingest.parsers.bundle import Bundle, hidden, tidy
from ingest.parsers.draft import title_of
from ingest.parsers.package import unpack
from ingest.types import IngestError, ParsedDocument

_PART = 1 << 18
_PACKERS = {".gz": "gz", ".tgz": "gz", ".bz2": "bz2", ".tbz2": "bz2", ".tbz": "bz2", ".xz": "xz", ".txz": "xz"}
_DAMAGED = "is damaged and cannot be unpacked; make it anew."


def parse(path: Path, data: bytes, budget: Budget) -> ParsedDocument:
    """Every member that a parser reads, in the archive's order; the others are named with the reason."""
    bundle = Bundle(path, budget)
    packer = _PACKERS.get(path.suffix.lower())
    with budget.nested():
        if path.suffix.lower() == ".zip":
            _zip(bundle, data, budget)
        elif packer is None:
            _tar(bundle, data, budget)
        else:
            inner = _inflate(data, packer, budget)
            if _is_tar(path):
                _tar(bundle, inner, budget)
            else:
                bundle.member(path.stem, inner)
    return bundle.document(title_of(Path(path.stem) if _is_tar(path) and packer else path), "archive")


def _is_tar(path: Path) -> bool:
    return path.suffix.lower() in (".tgz", ".tbz2", ".tbz", ".txz", ".tar") or path.stem.lower().endswith(".tar")


def _zip(bundle: Bundle, data: bytes, budget: Budget) -> None:
    try:
        package = zipfile.ZipFile(io.BytesIO(data))
    except Exception as error:  # BadZipFile, and for hostile directories ValueError, OverflowError, struct.error
        raise IngestError(_DAMAGED) from error
    members = [info for info in package.infolist() if not info.is_dir()]
    budget.foresee(sum(info.file_size for info in members))
    for info in members:
        name = _name(info)
        if _passed_over(bundle, name):
            continue
        if (info.external_attr >> 16) & 0o170000 == 0o120000:
            bundle.unread("a link, which is not followed", tidy(name))
            continue
        try:
            content = unpack(package, info, budget)
        except IngestError as error:
            if type(error) is not IngestError:
                raise
            bundle.unread(str(error).rstrip("."), tidy(name))
            continue
        bundle.member(name, content)


def _name(info: zipfile.ZipInfo) -> str:
    """The name of a member; old archives hold Chinese names as GBK bytes, which zipfile takes for code page 437."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        raw = info.filename.encode("cp437")
    except UnicodeEncodeError:
        return info.filename
    if raw.isascii():
        return info.filename
    for encoding in ("utf-8", "gb18030", "big5hkscs"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return info.filename


def _tar(bundle: Bundle, data: bytes, budget: Budget) -> None:
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:", errorlevel=1) as archive:
            for info in archive:
                if info.isdir() or _passed_over(bundle, info.name):
                    continue
                if not info.isreg():
                    bundle.unread("a link, a device or a pipe, which is not followed", tidy(info.name))
                    continue
                budget.foresee(info.size if info.issparse() else 0)
                stream = archive.extractfile(info)
                content = b"" if stream is None else _drained(stream, budget, count=info.issparse())
                if len(content) != info.size:
                    raise IngestError(_DAMAGED)
                bundle.member(info.name, content)
    except (tarfile.TarError, EOFError, ValueError, OverflowError, zlib.error) as error:
        raise IngestError(_DAMAGED) from error


def _passed_over(bundle: Bundle, name: str) -> bool:
    """Whether a member needs no unpacking, because no parser would read it."""
    from ingest.parsers import advice, family

    shown = tidy(name)
    path = Path(shown)
    reason = "hidden" if hidden(shown) else advice(path) if family(path) is None else ""
    if reason:
        bundle.unread(reason, shown)
    return bool(reason)


def _inflate(data: bytes, packer: str, budget: Budget) -> bytes:
    """The unpacked bytes of a single packed stream, counted as they come."""
    source = io.BytesIO(data)
    try:
        with (
            gzip.open(source) if packer == "gz" else bz2.open(source) if packer == "bz2" else lzma.open(source)
        ) as stream:
            return _drained(stream, budget, count=True)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
        raise IngestError(_DAMAGED) from error


def _drained(stream: object, budget: Budget, *, count: bool) -> bytes:
    parts: list[bytes] = []
    while part := stream.read(_PART):  # type: ignore[attr-defined]
        if count:
            budget.unpack(len(part))
        parts.append(part)
    return b"".join(parts)
