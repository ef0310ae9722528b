"""E-mail (.eml): subject, sender, recipients and date, the readable body, and the attachments as members."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path
from typing import cast

from ingest.decode import decode_text
from ingest.limits import Budget
from ingest.parsers.bundle import Bundle
from ingest.parsers.draft import Draft, title_of
from ingest.parsers.html import read_html
from ingest.parsers.ledger import Ledger
from ingest.types import IngestError, ParsedDocument

_FIELDS = ("Subject", "From", "To", "Cc", "Date")


def parse(path: Path, data: bytes, budget: Budget) -> ParsedDocument:
    message = email.message_from_bytes(data, policy=email.policy.default)
    if not message.keys():
        raise IngestError("is not an e-mail that can be read; save it again as .eml.")
    bundle = Bundle(path, budget)
    fields = [(name, _field(message, name)) for name in _FIELDS]
    html, plain, attached = _parts(message)
    subject = fields[0][1]
    bundle.text(letter(subject or title_of(path), fields, plain, html))
    with budget.nested():
        for number, part in enumerate(attached, 1):
            bundle.member(*_attachment(part, number))
    return bundle.document(subject or title_of(path), "mail")


def letter(subject: str, fields: list[tuple[str, str]], plain: list[str], html: list[str]) -> ParsedDocument:
    """The message itself: its fields as lines, then the body; where it comes twice, as text and HTML, the text."""
    draft, ledger = Draft(), Ledger()
    draft.heading(1, subject, shown="")
    lines = [f"{name}: {value}" for name, value in fields if value]
    bodies = [text for text in plain if text.strip()]
    for text in [*lines, *bodies]:
        ledger.give(text)
        ledger.keep(text)
    draft.add("\n".join(lines))
    for text in bodies:
        draft.add(text.strip("\n"))
    for source in html:
        if bodies:
            scratch, account = Draft(), Ledger()
            read_html(source, scratch, account)
            ledger.give(scratch.text())
            ledger.leave("the same again as HTML", scratch.text())
        else:
            read_html(source, draft, ledger)
    draft.close_section()
    return draft.document(subject, "mail", ledger.settle(draft.text()))


def _field(message: EmailMessage, name: str) -> str:
    """A header field in one line; fields that break the rules are shown as they are."""
    try:
        values = message.get_all(name, [])
    except Exception:  # the header parser of the standard library raises IndexError and others on broken fields
        values = [value for key, value in message.raw_items() if key.lower() == name.lower()]
    return " ".join(" ".join(str(value) for value in values).split())


def _parts(message: EmailMessage) -> tuple[list[str], list[str], list[EmailMessage]]:
    """HTML bodies, plain bodies, and attachments, in order and at any depth."""
    html: list[str] = []
    plain: list[str] = []
    attached: list[EmailMessage] = []
    pending = [message]
    while pending:
        part = pending.pop()
        kind = part.get_content_type()
        disposition = str(part.get("Content-Disposition", "")).lower()
        if part.get_content_maintype() == "multipart":
            pending.extend(reversed(cast(list[EmailMessage], part.get_payload())))
        elif kind == "message/rfc822" or disposition.startswith("attachment") or part.get_filename():
            attached.append(part)
        elif kind == "text/html":
            html.append(_text(part))
        elif kind == "text/plain":
            plain.append(_text(part))
        else:
            attached.append(part)
    return html, plain, attached


def _text(part: EmailMessage) -> str:
    """The decoded text: by the declared character set when it fits the bytes, else by the ladder."""
    data = cast(bytes, part.get_payload(decode=True)) or b""
    declared = (part.get_content_charset() or "").lower()
    declared = {"gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs", "us-ascii": "utf-8"}.get(declared, declared)
    try:
        return data.decode(declared or "utf-8").replace("\r\n", "\n")
    except (LookupError, UnicodeDecodeError):
        return decode_text(data)[0]


def _attachment(part: EmailMessage, number: int) -> tuple[str, bytes]:
    """Name and bytes; a forwarded message is named after its subject."""
    if part.get_content_type() == "message/rfc822":
        inner = cast(list[EmailMessage], part.get_payload())
        subject = _field(inner[0], "Subject") if inner else ""
        content = inner[0].as_bytes() if inner else b""
        return f"{(subject or f'message {number}').replace('/', '-')[:100]}.eml", content
    name = part.get_filename() or f"attachment {number}.{part.get_content_subtype()}"
    return name.replace("/", "-"), cast(bytes, part.get_payload(decode=True)) or b""
