"""``/v1/models``: what this server answers with, and what it makes vectors with."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from app.api import asking
from app.api.errors import ApiError, described
from app.api.shapes import ALIAS
from app.workspace import Workspace

router = APIRouter(prefix="/v1", tags=["models"])
ENCODER = "openbook-encoder"  # the name that always means the encoder of the store


class Model(BaseModel):
    """A model that can be asked for by its id."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0  # not known
    owned_by: str = "openbook"


class Models(BaseModel):
    """All models of this server."""

    object: Literal["list"] = "list"
    data: list[Model]


def named(workspace: Workspace) -> list[str]:
    """Their ids. The address of a foreign model server is nobody's business: the alias stands for it."""
    names = [ALIAS, ENCODER]
    if ":" not in workspace.model and "/" not in workspace.model:
        names.insert(1, workspace.model)
    return names


@router.get("/models", responses=described(), operation_id="models")
def listed(request: Request) -> Models:
    """List the models."""
    return Models(data=[Model(id=name) for name in named(asking.workspace_of(request))])


@router.get("/models/{model}", responses=described(404), operation_id="model")
def one(request: Request, model: str) -> Model:
    """One model."""
    if model not in named(asking.workspace_of(request)):
        raise ApiError(404, f"There is no model {model[:80]!r} here: see /v1/models.", "model_not_found", "model")
    return Model(id=model)
