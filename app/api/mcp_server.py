"""The MCP server: the tools ``search`` and ``ask`` for agents, and the documents as resources."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any, Literal

from anyio import to_thread
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import ToolAnnotations
from pydantic import BaseModel, Field

from app.api import asking, documents
from app.api.errors import ApiError, told
from app.api.search import find
from app.workspace import Workspace
from rag.settings import MAX_QUESTION
from rag.types import Answer, ChainInput, Source

_INSTRUCTIONS = (
    "The user's own documents. `ask` gives an answer that is quoted from them and cited, or refuses when they do not "
    "hold one: pass its quotations on as they are. `search` gives passages to read. A citation's `document` with its "
    "`start` and `end` is the run of the resource openbook://documents/{document}."
)
_READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
Question = Annotated[str, Field(min_length=1, max_length=MAX_QUESTION, description="in English or Chinese")]
Count = Annotated[int, Field(ge=1, le=50, description="passages to read")]


class Passage(BaseModel):
    """A passage of a document: the characters start to end of its text."""

    n: int = Field(description="its rank, and its number in an answer's [n] marks")
    document: int
    name: str
    title: str
    headings: list[str]
    page: int | None
    start: int
    end: int
    score: float
    text: str


class Passages(BaseModel):
    """What a search found, best first."""

    passages: list[Passage]


class Quotation(BaseModel):
    """What a document says, word for word."""

    n: int
    document: int
    name: str
    title: str
    page: int | None
    start: int
    end: int
    quote: str
    score: float


class Answered(BaseModel):
    """An answer whose quotations have been compared with the documents, or a refusal."""

    answer: str
    refused: bool = Field(description="whether the documents do not answer")
    confidence: float
    citations: list[Quotation]
    warnings: list[str]
    rewritten: str = Field(description="the question as it was searched for")
    seed: int


def build(workspace: Workspace) -> MCPServer[Any]:
    """The server with its tools, for any transport."""
    server: MCPServer[Any] = MCPServer("openbook", title="Openbook", instructions=_INSTRUCTIONS, log_level="WARNING")

    @server.tool(title="Search the documents", annotations=_READS, structured_output=True)
    async def search(query: Question, k: Count = 5) -> Passages:
        """Find the passages of the user's documents that fit a question or some words best."""
        try:
            found = await to_thread.run_sync(find, workspace, query, k)
        except Exception as error:
            raise ToolError(str(told(error))) from error
        return Passages(passages=[_passage(hit) for hit in found.hits])

    @server.tool(title="Ask the documents", annotations=_READS, structured_output=True)
    async def ask(
        question: Question,
        context: Context[Any, Any],
        k: Count = 5,
        mode: Literal["quote", "compose"] | None = None,
        temperature: Annotated[float, Field(ge=0, le=2)] = 0.0,
        seed: Annotated[int, Field(ge=0, lt=2**53)] = 0,
    ) -> Answered:
        """Answer a question from the user's documents, with quotations; it refuses when they do not answer."""
        asked = ChainInput(question=question, k=k, temperature=temperature, seed=seed)
        if mode is not None:
            asked["mode"] = mode
        try:
            job = asking.submit(workspace, _owner(context), asked)
            async for event in asking.events(job, 5.0):
                if event is None or event.keys() & {"stage", "position"}:
                    await context.report_progress(0.0, message=_said(job))
            return _answered(asking.outcome(job))
        except ApiError as error:
            raise ToolError(str(error)) from error

    @server.resource("openbook://documents", name="documents", mime_type="application/json")
    async def listed() -> str:
        """The documents with their ids."""
        records = await to_thread.run_sync(workspace.documents)
        found = [{"id": r.id, "name": PurePath(r.path).name, "title": r.title} for r in records]
        return _Listing(documents=found).model_dump_json()

    @server.resource("openbook://documents/{document}", name="document", mime_type="text/plain")
    async def document(document: int) -> str:
        """The text of a document, which offsets count in."""
        try:
            return (await to_thread.run_sync(documents.read_text, workspace, document)).text
        except ApiError as error:
            raise ResourceNotFoundError(str(error)) from error

    return server


def over_http(workspace: Workspace) -> Any:
    """The ASGI application. Which hosts and origins may ask is the business of `app.guard`, as for all paths; each
    request stands for itself, so that a server that was started again is no trouble to its clients."""
    security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    return build(workspace).streamable_http_app(
        streamable_http_path="/mcp", stateless_http=True, transport_security=security
    )


class _Listing(BaseModel):
    documents: list[dict[str, Any]]


def _owner(context: Context[Any, Any]) -> str:
    """The owner that `app.guard` found for the HTTP request; over stdio there is only one."""
    request = context.request_context.request
    return asking.LOCAL if request is None else asking.owner_of(request)


def _said(job: Any) -> str:
    return f"{job.position} before this one" if job.status == "waiting" else str(job.stage)


def _passage(source: Source) -> Passage:
    return Passage(
        n=source.n, document=source.doc_id, name=PurePath(source.source).name, title=source.title,
        headings=list(source.headings), page=source.page, start=source.start, end=source.end, score=source.score,
        text=source.text,
    )  # fmt: skip


def _answered(answer: Answer) -> Answered:
    quotations = [
        Quotation(
            n=c.n, document=c.doc_id, name=PurePath(c.source).name, title=c.title, page=c.page, start=c.start,
            end=c.end, quote=c.quote, score=c.score,
        )
        for c in answer.citations
    ]  # fmt: skip
    return Answered(
        answer=answer.answer, refused=answer.refused, confidence=answer.confidence, citations=quotations,
        warnings=answer.warnings, rewritten=answer.rewritten, seed=answer.seed,
    )  # fmt: skip
