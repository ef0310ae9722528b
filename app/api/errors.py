"""Errors as OpenAI's clients expect them: one sentence, its kind, and the part of the request it is about."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from app.jobs import Busy
from app.workspace import NoDocuments
from ingest.types import IngestError
from rag.types import ModelError, RagError

log = logging.getLogger("openbook.api")
_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    502: "server_error",
    503: "server_error",
}
_GUARDED = (400, 401, 403, 408, 413, 414, 429, 500)  # what `app.guard` may say before any of this is asked
_LONGEST = 80  # characters of a wrong value that are repeated
NO_DOCUMENTS = "There are no documents yet: add some with POST /documents, on the page, or with python -m ingest."


class ErrorDetail(BaseModel):
    """What was wrong, in one sentence."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """The body of every reply that is not a success."""

    error: ErrorDetail = Field(
        examples=[{"message": "temperature is 3, but it must be from 0 to 2.", "type": "invalid_request_error"}]
    )


class ApiError(Exception):
    """A reply that is not a success."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.headers = status, code, param, dict(headers or {})

    def body(self) -> dict[str, Any]:
        return body(str(self), self.status, self.code, self.param)


def body(message: str, status: int = 400, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """The JSON of an error reply with this status."""
    kind = _KINDS.get(status, "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error replies of an operation, for its description, with those that every operation may have."""
    said = {
        400: "The request is not as it must be.",
        401: "A key or a login is needed.",
        403: "The request comes from another site.",
        404: "There is no such thing, or there are no documents yet.",
        408: "The request came too slowly.",
        413: "The request is too large.",
        414: "The address is too long.",
        429: "Too many requests wait; Retry-After says for how long.",
        500: "The server failed; its log has the details.",
        502: "The model server failed.",
        503: "The store cannot be used.",
    }
    every = sorted({*statuses, *_GUARDED})
    return {status: {"model": ErrorBody, "description": said[status]} for status in every}


def told(failure: Exception) -> ApiError:
    """`from_failure`; what was not foreseen goes into the log."""
    found = from_failure(failure)
    if found.status == 500:
        log.exception("a request failed")
    return found


def from_failure(failure: BaseException) -> ApiError:
    """The reply for what answering, searching or ingesting raised."""
    if isinstance(failure, ApiError):
        return failure
    if isinstance(failure, NoDocuments):
        return ApiError(404, NO_DOCUMENTS, "no_documents")
    if isinstance(failure, Busy):
        return ApiError(429, str(failure), "busy", headers={"Retry-After": str(failure.retry_after)})
    if isinstance(failure, RagError):
        away = isinstance(failure, ModelError)
        return ApiError(502 if away else 400, str(failure), "model_server" if away else "invalid_value")
    if isinstance(failure, IngestError):
        return ApiError(503, str(failure), "store")
    return ApiError(500, f"Something went wrong ({type(failure).__name__}); the log has the details.", "unexpected")


def _sentence(error: RequestValidationError) -> tuple[str, str | None]:
    """The first thing that is wrong with a request, and where."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return f"The body is not JSON: {first.get('ctx', {}).get('error', 'it cannot be read')}.", None
    place = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
    param = ".".join(place) or None
    if first["type"] == "missing":
        return f"{param or 'The body'} is missing.", param
    reason = first["msg"].removeprefix("Value error, ").rstrip(".")
    given = repr(first.get("input"))
    given = given if len(given) <= _LONGEST else given[:_LONGEST] + "…"
    return f"{param or 'The body'} is {given}: {reason[:1].lower()}{reason[1:]}.", param


def register(server: FastAPI) -> None:
    """Every error of our own routes leaves in this shape."""

    @server.exception_handler(ApiError)
    async def told(request: Request, error: ApiError) -> JSONResponse:
        return JSONResponse(error.body(), error.status, headers=error.headers)

    @server.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        message, param = _sentence(error)
        return JSONResponse(body(message, 400, "invalid_request", param), 400)

    @server.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse(body(str(error.detail), error.status_code), error.status_code, headers=error.headers)
