"""``/documents``: what is indexed, its text, uploads and removal."""

from __future__ import annotations

import re
import shutil
import tempfile
from html import unescape
from pathlib import Path, PurePath
from typing import Annotated, Literal

from fastapi import APIRouter, File, Query, Request, UploadFile
from pydantic import BaseModel, Field

from app.api import asking
from app.api.errors import ApiError, described
from app.uploads import accept, safe_name
from app.workspace import Workspace
from ingest.report import Event

router = APIRouter(prefix="/documents", tags=["documents"])
MAX_TEXT = 1_000_000  # characters of a document in one reply
_ENGLISH = re.compile(r'<span lang="en">(.*?)</span>', re.S)


class Document(BaseModel):
    """An indexed document."""

    id: int
    name: str
    title: str
    kind: str = Field(description="of the file, such as pdf")
    language: str
    characters: int = Field(description="of its text, which offsets count in")
    chunks: int
    bytes: int
    uploaded: bool = Field(description="whether it came through the browser or this interface")


class Documents(BaseModel):
    """A part of the list of documents, by path."""

    object: Literal["list"] = "list"
    data: list[Document]
    total: int


class Text(BaseModel):
    """A run of a document's text: ``text[start:end]``, in Unicode characters."""

    id: int
    name: str
    start: int
    end: int
    characters: int = Field(description="of the whole text")
    text: str


class Added(BaseModel):
    """What became of one file."""

    name: str
    status: Literal["added", "changed", "moved", "unchanged", "refused"]
    id: int | None = None
    reason: str = ""


class Upload(BaseModel):
    """What became of each file."""

    object: Literal["list"] = "list"
    data: list[Added]


class Removed(BaseModel):
    """The document is forgotten; the file of an upload is deleted too, others stay where they are."""

    id: int
    name: str
    deleted: Literal[True] = True


@router.get("", responses=described(503), operation_id="documents")
async def listed(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
) -> Documents:
    """List the documents."""
    workspace = asking.workspace_of(request)

    def read() -> Documents:
        records = workspace.documents()
        uploads = _uploads(workspace)
        data = [
            Document(
                id=record.id, name=PurePath(record.path).name, title=record.title, kind=record.kind,
                language=record.language, characters=record.characters, chunks=record.chunk_count, bytes=record.size,
                uploaded=Path(record.path).is_relative_to(uploads),
            )
            for record in records[offset : offset + limit]
        ]  # fmt: skip
        return Documents(data=data, total=len(records))

    return await asking.computed(request, read)


@router.get("/{document}/text", responses=described(404, 503), operation_id="document_text")
async def text(
    request: Request,
    document: int,
    start: Annotated[int, Query(ge=0, le=2**53)] = 0,
    end: Annotated[int | None, Query(ge=0, le=2**53)] = None,
) -> Text:
    """Read a document, or the run of it that a citation names."""
    workspace = asking.workspace_of(request)
    return await asking.computed(request, lambda: read_text(workspace, document, start, end))


def read_text(workspace: Workspace, doc_id: int, start: int = 0, end: int | None = None) -> Text:
    """A run of a document's text; ApiError when there is no such document, or the run lies outside it."""
    record = next((record for record in workspace.documents() if record.id == doc_id), None)
    if record is None:
        raise _gone(doc_id)
    from ingest.store import Store

    with Store.open(workspace.store) as store:
        whole = store.text(doc_id)
    until = len(whole) if end is None else end
    if not start <= until <= len(whole):
        said = f"The document has {len(whole):,} characters, so {start}:{until} is no part of it."
        raise ApiError(400, said, "invalid_value", "start")
    if until - start > MAX_TEXT:
        said = (
            f"{until - start:,} characters are too many for one reply: ask for {MAX_TEXT:,} at a time by start and end."
        )
        raise ApiError(400, said, "invalid_value", "end")
    name = PurePath(record.path).name
    return Text(id=doc_id, name=name, start=start, end=until, characters=len(whole), text=whole[start:until])


@router.post("", responses=described(503), operation_id="upload")
async def upload(
    request: Request, files: Annotated[list[UploadFile], File(description="the documents; other fields are ignored")]
) -> Upload:
    """Upload documents; each is indexed when the reply comes. A file of the same name replaces the earlier one."""
    workspace = asking.workspace_of(request)
    return await asking.computed(request, lambda: add(workspace, files), "write")


def add(workspace: Workspace, files: list[UploadFile]) -> Upload:
    """Indexes files; ApiError when none of them was taken."""
    with tempfile.TemporaryDirectory(prefix="openbook-inbox-") as inbox:
        paths = []
        for number, file in enumerate(files):
            path = Path(inbox) / str(number) / safe_name(file.filename or "")
            path.parent.mkdir()
            with path.open("wb") as copy:
                shutil.copyfileobj(file.file, copy)
            paths.append(str(path))
        taken = accept(paths, workspace.store, Path(inbox))
    result = {name: Added(name=name, status="refused", reason=_plain(reason)) for name, reason in taken.refused}
    if taken.paths:
        result |= _ingest(workspace, taken.paths)
    if all(added.status == "refused" for added in result.values()):
        first = next(iter(result.values()))
        raise ApiError(400, f"{first.name}: {first.reason}", "unreadable_file", "files")
    return Upload(data=list(result.values()))


def _ingest(workspace: Workspace, paths: list[Path]) -> dict[str, Added]:
    said: dict[str, Event] = {}

    def note(event: Event) -> None:
        if event.kind == "file":
            said[Path(event.path).name] = event

    report = workspace.ingest(paths, note)
    reasons = {Path(entry.path).name: entry.reason for entry in (*report.quarantined, *report.skipped)}
    numbers = {Path(record.path): record.id for record in workspace.documents()}
    workspace.warm()
    found = {}
    for path in paths:
        event, number = said.get(path.name), numbers.get(path)
        status = event.status if event is not None and event.status in ("added", "changed", "moved") else "unchanged"
        if path.name in reasons or number is None:
            found[path.name] = Added(name=path.name, status="refused", id=number, reason=reasons.get(path.name, ""))
        else:
            found[path.name] = Added(name=path.name, status=status, id=number)  # type: ignore[arg-type]
    return found


@router.delete("/{document}", responses=described(404, 503), operation_id="remove")
async def remove(request: Request, document: int) -> Removed:
    """Forget a document."""
    workspace = asking.workspace_of(request)

    def forget() -> Removed:
        name = workspace.remove(document)
        if name is None:
            raise _gone(document)
        return Removed(id=document, name=name)

    return await asking.computed(request, forget, "write")


def _uploads(workspace: Workspace) -> Path:
    return (workspace.store / "uploads").resolve()


def _gone(doc_id: int) -> ApiError:
    return ApiError(404, f"There is no document {doc_id}: see /documents.", "no_document", "document")


def _plain(reason: str) -> str:
    """The English sentence of a reason in both languages."""
    found = _ENGLISH.search(reason)
    return unescape(found[1] if found else reason)
