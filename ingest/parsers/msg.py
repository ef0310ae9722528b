"""Outlook messages (.msg): the fields, the body and the attachments, out of the compound file that holds them.

Property tags are those of MS-OXPROPS; a stream ``__substg1.0_TTTTYYYY`` holds tag TTTT with type YYYY (001F is UTF-16,
001E is bytes in some code page, 0102 is binary), as in MS-OXMSG 2.4.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from ingest.decode import decode_text
from ingest.limits import Budget
from ingest.parsers.bundle import Bundle
from ingest.parsers.draft import title_of
from ingest.parsers.html import decode_html
from ingest.parsers.mail import letter
from ingest.types import IngestError, ParsedDocument

_SUBJECT, _BODY, _HTML = "0037", "1000", "1013"
_SENDER, _ADDRESS, _TO, _CC, _HEADERS = "0C1A", "0C1F", "0E04", "0E03", "007D"
_NAME, _LONG_NAME, _CONTENT = "3704", "3707", "3701"
_EMBEDDED = "__substg1.0_3701000D"


def parse(path: Path, data: bytes, budget: Budget) -> ParsedDocument:
    import olefile

    if not data.startswith(b"\xd0\xcf\x11\xe0"):
        raise IngestError("is not an Outlook message that can be read; save it again as .eml.")
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as opened:
            return _Message(path, opened, budget).read()
    except IngestError:
        raise
    except (OSError, ValueError, IndexError, AttributeError, TypeError, KeyError) as error:  # olefile's, on damage
        raise IngestError("is a damaged Outlook message; save it again as .eml.") from error


class _Message:
    def __init__(self, path: Path, opened: Any, budget: Budget) -> None:
        self._path = path
        self._opened = opened
        self._budget = budget
        self._streams = {tuple(entry) for entry in opened.listdir(streams=True, storages=False)}

    def read(self) -> ParsedDocument:
        bundle = Bundle(self._path, self._budget)
        subject = self._letter((), bundle)
        with self._budget.nested():
            self._attachments((), bundle)
        return bundle.document(subject or title_of(self._path), "mail")

    def _letter(self, at: tuple[str, ...], bundle: Bundle) -> str:
        subject = " ".join(self._text(at, _SUBJECT).split())
        sender, address = self._text(at, _SENDER), self._text(at, _ADDRESS)
        headers = self._text(at, _HEADERS)
        date = next((line[5:].strip() for line in headers.split("\n") if line.lower().startswith("date:")), "")
        fields = [
            ("Subject", subject),
            ("From", f"{sender} <{address}>" if "@" in address and address != sender else sender),
            ("To", " ".join(self._text(at, _TO).split())),
            ("Cc", " ".join(self._text(at, _CC).split())),
            ("Date", date),
        ]
        html = self._bytes((*at, f"__substg1.0_{_HTML}0102"))
        pages = [decode_html(html)[0]] if html else [text] if (text := self._text(at, _HTML)) else []
        plain = self._text(at, _BODY).replace("\r\n", "\n")
        if not plain.strip() and not pages and self._bytes((*at, "__substg1.0_10090102")):
            bundle.unread("kept as packed rich text only; save the message as .eml", "the body")
        bundle.text(letter(subject or title_of(self._path), fields, [plain], pages))
        return subject

    def _attachments(self, at: tuple[str, ...], bundle: Bundle) -> None:
        depth = len(at)
        folders = sorted({entry[depth] for entry in self._streams if entry[:depth] == at and len(entry) > depth + 1})
        for folder in folders:
            if not folder.startswith("__attach_version1.0_"):
                continue
            inner = (*at, folder)
            name = self._text(inner, _LONG_NAME) or self._text(inner, _NAME) or folder.rpartition("#")[2]
            content = self._bytes((*inner, f"__substg1.0_{_CONTENT}0102"))
            if content is not None:
                bundle.member(name.replace("/", "-"), content)
            elif any(entry[: depth + 2] == (*inner, _EMBEDDED) for entry in self._streams):
                with self._budget.nested():
                    self._letter((*inner, _EMBEDDED), bundle)
                    self._attachments((*inner, _EMBEDDED), bundle)
            else:
                bundle.unread("an attachment that is only linked to", name)

    def _text(self, at: tuple[str, ...], tag: str) -> str:
        wide = self._bytes((*at, f"__substg1.0_{tag}001F"))
        if wide is not None:
            return wide.decode("utf-16-le", "replace").rstrip("\0")
        narrow = self._bytes((*at, f"__substg1.0_{tag}001E"))
        return decode_text(narrow.rstrip(b"\0"))[0] if narrow else ""

    def _bytes(self, name: tuple[str, ...]) -> bytes | None:
        if name not in self._streams:
            return None
        with self._opened.openstream(list(name)) as stream:
            content: bytes = stream.read()
        self._budget.unpack(len(content))
        return content
