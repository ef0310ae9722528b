"""``/search``: the passages that an answer would be made from, without one."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from app.api import asking
from app.api.errors import described
from app.workspace import Workspace
from rag.settings import MAX_QUESTION
from rag.types import Source

router = APIRouter(tags=["search"])


class SearchRequest(BaseModel):
    """A question, or words to look for; ``k`` passages at most."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"query": "toll of the bridge", "k": 3}]})

    query: str = Field(min_length=1, max_length=MAX_QUESTION)
    k: int = Field(5, ge=1, le=50)


class Found(BaseModel):
    """The passages, best first, with their ranks and scores on each leg of the search."""

    query: str
    hits: list[Source]


_ERRORS = described(404, 503)


@router.post("/search", responses=_ERRORS, operation_id="search")
async def search(request: Request, asked: SearchRequest) -> Found:
    """Search the documents."""
    workspace = asking.workspace_of(request)
    return await asking.computed(request, lambda: find(workspace, asked.query, asked.k))


@router.get("/search", responses=_ERRORS, operation_id="search_by_link")
async def search_by_link(
    request: Request,
    query: Annotated[str, Query(min_length=1, max_length=MAX_QUESTION)],
    k: Annotated[int, Query(ge=1, le=50)] = 5,
) -> Found:
    """Search the documents by a link."""
    workspace = asking.workspace_of(request)
    return await asking.computed(request, lambda: find(workspace, query, k))


def find(workspace: Workspace, query: str, k: int) -> Found:
    """The passages for a query. RagError when it is empty or names a document that is not there."""
    from rag.retriever import to_source
    from rag.settings import check_question

    chain: Any = workspace.chain()
    hits = chain.retriever.search(check_question(query), k).hits
    return Found(query=query, hits=[to_source(hit) for hit in hits])
