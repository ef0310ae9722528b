"""``/health``: whether the process lives, and whether it can answer. Nothing else is told, for nobody has to log in."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from app.api import asking
from app.api.errors import described

router = APIRouter(tags=["operation"])


class Health(BaseModel):
    """``loading``: the models are not in memory yet; ``empty``: there are no documents; ``broken``: see the log."""

    status: Literal["ok", "ready", "loading", "empty", "broken"]


@router.get("/health", responses=described(), operation_id="live")
async def live() -> Health:
    """Whether the server lives."""
    return Health(status="ok")


@router.get(
    "/health/ready",
    responses={**described(), 503: {"model": Health, "description": "It cannot answer yet."}},
    operation_id="ready",
)
async def ready(request: Request, response: Response) -> Health:
    """Whether the server can answer now."""
    workspace = asking.workspace_of(request)

    def look() -> Health:
        if workspace.trouble() is not None:
            return Health(status="broken")
        if not workspace.documents():
            return Health(status="empty")
        return Health(status="ready" if workspace.loaded else "loading")

    found = await asking.computed(request, look)
    response.status_code = 200 if found.status == "ready" else 503
    return found
