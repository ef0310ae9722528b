"""Zip packages (Word, PowerPoint, Excel, OpenDocument, EPUB) and the XML in them, read within a budget.

Nothing is written to disk, no entity is expanded, no document type is loaded and nothing outside the package is
looked at.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
from typing import Any
from urllib.parse import unquote

from ingest.limits import Budget
from ingest.types import IngestError

_PART = 1 << 18
_OLD = b"\xd0\xcf\x11\xe0"  # a compound file: an old office format, or a new one behind a password


class Package:
    """The parts of a zip file by name; ``what`` is what the file ought to be, for messages."""

    def __init__(self, data: bytes, budget: Budget, what: str) -> None:
        self._budget = budget
        self._what = what
        if data.startswith(_OLD):
            raise IngestError(f"is an old or password-protected file, not {what}; save an unprotected copy anew.")
        if not data.startswith(b"PK"):
            raise IngestError(f"is not {what} that can be read; save it again.")
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except Exception as error:  # BadZipFile, and for hostile directories ValueError, OverflowError, struct.error
            raise IngestError(f"is damaged and cannot be unpacked; save it again as {what}.") from error
        self.names = list(dict.fromkeys(info.filename for info in self._zip.infolist()))
        self._known = set(self.names)
        budget.foresee(sum(info.file_size for info in self._zip.infolist()))

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def read(self, name: str) -> bytes:
        """The bytes of a part; LimitReached when they are too many, IngestError when it is missing or damaged."""
        if name not in self._known:
            raise IngestError(f"lacks its part {name} and is not {self._what} that can be read; save it again.")
        return unpack(self._zip, self._zip.getinfo(name), self._budget)

    def xml(self, name: str) -> Any:
        """The root element of an XML part."""
        return parse_xml(self.read(name))

    def relations(self, part: str) -> list[tuple[str, str, str]]:
        """``(id, type, target)`` of an Office part: the type's last word, targets as names of parts of this package.

        Targets outside the package are left away.
        """
        folder, name = posixpath.split(part)
        source = posixpath.join(folder, "_rels", f"{name}.rels")
        if source not in self:
            return []
        found = []
        for node in self.xml(source).iter("{*}Relationship"):
            if node.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, unquote(node.get("Target", ""))))[1:]
                found.append((node.get("Id", ""), node.get("Type", "").rsplit("/", 1)[-1], target))
        return found


def unpack(package: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget) -> bytes:
    """The bytes of a member, counted as they come: a directory can lie about their number."""
    if info.flag_bits & 1:
        raise IngestError("is protected by a password; save an unprotected copy.")
    parts: list[bytes] = []
    try:
        with package.open(info) as stream:
            while part := stream.read(_PART):
                budget.unpack(len(part))
                parts.append(part)
    except (IngestError, MemoryError):
        raise
    except Exception as error:  # zipfile raises BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError
        raise IngestError("is damaged and cannot be unpacked; save it again.") from error
    return b"".join(parts)


def parse_xml(data: bytes) -> Any:
    """The root element of ``data``, without comments and processing instructions; entities are refused."""
    from lxml import etree

    refuse_entities(data)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, remove_comments=True,
        remove_pis=True, huge_tree=True,
    )  # fmt: skip
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise IngestError("has damaged XML inside and cannot be read; save it again.") from error


def refuse_entities(data: bytes) -> None:
    """A document type that declares entities is how a small file claims to be billions of characters."""
    if any("<!ENTITY".encode(encoding) in data for encoding in ("ascii", "utf-16-le", "utf-16-be")):
        raise IngestError("declares XML entities, which documents do not need and attacks use; save it again.")


def local(node: Any) -> str:
    """The name of an element without its namespace; the strict and the usual namespaces of Office differ."""
    tag = node.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def text_of(node: Any) -> str:
    """All text inside an element; its tail stands after it and is not part of it."""
    return "".join(node.itertext())


def attribute(node: Any, name: str) -> str | None:
    """An attribute by its local name, whatever its namespace."""
    plain = node.get(name)
    if plain is not None:
        return str(plain)
    return next((str(value) for key, value in node.items() if key.rpartition("}")[2] == name), None)
