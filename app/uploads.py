"""Files that come through the browser: checked, renamed safely, copied whole into ``<store>/uploads``."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.i18n import both
from ingest.parsers import is_supported

MAX_FILES = 50
MAX_MEGABYTES = 64  # per file; larger collections are ingested from the command line, folder by folder
MAX_NAME = 150  # bytes of UTF-8, below the 255 every file system takes, with room for a suffix
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.I)
_UNSAFE = re.compile(r"[^\w.()\[\]+,@ -]+")


@dataclass(slots=True)
class Uploads:
    """Copies ready to ingest, and for each file refused its name and the reason as HTML."""

    paths: list[Path] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


def safe_name(name: str) -> str:
    """A file name that cannot leave its folder, hide, or mean a device; letters of any script stay.

    >>> safe_name("../../etc/passwd")
    'passwd'
    """
    base = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    base = _UNSAFE.sub("_", base).strip(" .")
    stem, dot, suffix = base.rpartition(".")
    if not dot or len(suffix) > 12:
        stem, suffix = base, ""
    limit = MAX_NAME - len(suffix.encode()) - 1
    stem = stem.encode()[:limit].decode(errors="ignore").strip(" .")
    base = f"{stem or 'document'}.{suffix}" if suffix else stem or "document"
    return f"_{base}" if _RESERVED.fullmatch(base) else base


def _refusal(path: Path, inbox: Path) -> str | None:
    """Why a temporary file is not taken (HTML), or None."""
    if not path.is_relative_to(inbox):
        return both("upload.outside")
    if not path.is_file():
        return both("upload.unreadable")
    if not is_supported(path):
        return both("upload.type", suffix=path.suffix or path.name)
    size = path.stat().st_size
    if size == 0:
        return both("upload.empty")
    if size > MAX_MEGABYTES * 2**20:
        return both("upload.too_big", size=f"{size / 2**20:.0f}", limit=MAX_MEGABYTES)
    return None


def _place(source: Path, target: Path) -> None:
    """Copies whole or not at all: a half-written file must never be ingested."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".incoming-")
    os.close(handle)
    try:
        shutil.copyfile(source, name)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def accept(files: Sequence[str], store: Path, inbox: Path) -> Uploads:
    """Copies what may be ingested from Gradio's upload folder ``inbox`` to ``store/uploads``.

    A file of the same name replaces the earlier upload, so that an edited document can be uploaded again; two
    files of one name in the same upload get different names.
    """
    result = Uploads()
    folder = (store / "uploads").resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    taken: set[str] = set()
    for text in files[:MAX_FILES]:
        path = Path(text).resolve()
        reason = _refusal(path, inbox.resolve())
        if reason is not None:
            result.refused.append((path.name, reason))
            continue
        name = safe_name(path.name)
        stem, suffix = Path(name).stem, Path(name).suffix
        count = 2
        while name.casefold() in taken:
            name, count = f"{stem} ({count}){suffix}", count + 1
        taken.add(name.casefold())
        _place(path, folder / name)
        result.paths.append(folder / name)
    if len(files) > MAX_FILES:
        reason = both("upload.too_many", n=len(files), limit=MAX_FILES)
        result.refused.append((f"+{len(files) - MAX_FILES}", reason))
    return result
