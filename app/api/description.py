"""``/openapi.json`` for machines and ``/docs`` for people: a page without scripts, made of the same description."""

from __future__ import annotations

import json
import shlex
from functools import partial
from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from app.api.outline import Schemas, named, outline
from app.i18n import Language, preferred, say

_STYLE = """
:root{color-scheme:light dark;--ink:#1d2433;--paper:#fbfaf7;--wash:#f1efe8;--line:#d9d5c8;--accent:#2f5d50}
@media(prefers-color-scheme:dark){:root{--ink:#e9e7e1;--paper:#16191f;--wash:#1f242d;--line:#3a414e;--accent:#8fc7b4}}
body{margin:0 auto;max-width:56rem;padding:2rem 1rem 4rem;background:var(--paper);color:var(--ink);
font:16px/1.6 system-ui,"Noto Sans CJK SC",sans-serif}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}a{color:var(--accent)}
section{border:1px solid var(--line);border-radius:.6rem;padding:.8rem 1rem;margin:.7rem 0}
h3{font:600 1rem ui-monospace,monospace;margin:0 0 .3rem;overflow-wrap:anywhere}h3 b{color:var(--accent)}
p{margin:.3rem 0}summary{cursor:pointer}
pre{background:var(--wash);padding:.7rem;border-radius:.4rem;white-space:pre-wrap;overflow-wrap:anywhere;
font:.85rem/1.5 ui-monospace,monospace}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
"""


def openapi(server: FastAPI) -> dict[str, Any]:
    """The description of every interface. A malformed request gets 400 here, never FastAPI's own 422."""
    if server.openapi_schema is None:
        try:
            number = version("openbook")
        except PackageNotFoundError:
            number = "0"
        described = get_openapi(
            title=say("en", "api.title"), version=number, description=say("en", "api.intro"), routes=server.routes
        )
        for path in described["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
                operation["summary"] = say("en", f"api.{operation['operationId']}")
        schemas = described["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        described["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{}, {"key": []}]
        server.openapi_schema = described
    return server.openapi_schema


def attach(server: FastAPI) -> None:
    """Serves the description and its page."""

    async def for_machines(request: Request) -> JSONResponse:
        return JSONResponse(server.openapi())

    async def for_people(request: Request) -> HTMLResponse:
        asked = request.query_params.get("language") or request.headers.get("accept-language", "")
        return HTMLResponse(page(server.openapi(), preferred(asked.split(",", 1)[0].strip()), str(request.base_url)))

    server.openapi = partial(openapi, server)  # type: ignore[method-assign]
    server.router.routes.append(Route("/openapi.json", endpoint=for_machines, methods=["GET"]))
    server.router.routes.append(Route("/docs", endpoint=for_people, methods=["GET"]))


def page(described: dict[str, Any], language: Language, base: str) -> str:
    """The description as HTML."""
    schemas = described["components"]["schemas"]
    groups: dict[str, list[str]] = {}
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            shown = _operation(path, method, operation, schemas, language, base)
            groups.setdefault(operation["tags"][0], []).append(shown)
    inside = "".join(f"<h2>{escape(say(language, f'api.group.{tag}'))}</h2>{''.join(g)}" for tag, g in groups.items())
    title = escape(say(language, "api.title"))
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="/favicon.ico">'
        f"<style>{_STYLE}</style></head><body><main><h1>{title}</h1><p>{escape(say(language, 'api.intro'))}</p>"
        f"<p>{escape(say(language, 'api.key'))}</p>"
        f'<p>{escape(say(language, "api.machine"))} <a href="/openapi.json">/openapi.json</a></p>'
        f"<p>{escape(say(language, 'api.mcp'))} <code>{escape(base)}mcp</code></p>{inside}</main></body></html>"
    )


def _operation(
    path: str, method: str, operation: dict[str, Any], schemas: Schemas, language: Language, base: str
) -> str:
    def told(key: str, lines: list[str]) -> str:
        label, text = escape(say(language, key)), escape("\n".join(lines))
        return f"<details><summary>{label}</summary><pre>{text}</pre></details>" if lines else ""

    summary = escape(say(language, f"api.{operation['operationId']}"))
    parts = [
        f"<h3><b>{method.upper()}</b> {escape(path)}</h3>"
        f"<p>{summary}</p>"
        f"<pre>{escape(curl(path, method, operation, schemas, base))}</pre>"
    ]
    parameters = operation.get("parameters", [])
    wanted = [p["name"] for p in parameters if p.get("required")]
    takes = outline({"properties": {p["name"]: p["schema"] for p in parameters}, "required": wanted}, schemas)
    for content in operation.get("requestBody", {}).get("content", {}).values():
        takes += outline(content["schema"], schemas)
    parts.append(told("api.takes", takes))
    gives = operation["responses"]["200"].get("content", {}).get("application/json", {}).get("schema", {})
    parts.append(told("api.gives", outline(gives, schemas, given=True)))
    errors = [f"{status} {reply['description']}" for status, reply in operation["responses"].items() if status != "200"]
    parts.append(told("api.errors", errors))
    return f"<section>{''.join(parts)}</section>"


def curl(path: str, method: str, operation: dict[str, Any], schemas: Schemas, base: str) -> str:
    """A command that asks this operation, from the examples of its description."""
    values = {"document": "1", "model": "openbook"}
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", value)
    if any(p["name"] == "query" for p in operation.get("parameters", [])):
        path += "?query=bridge"
    line = [f"curl {shlex.quote(base + path.removeprefix('/'))}"]
    if method == "delete":
        line.append("-X DELETE")
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        if kind == "application/json":
            example = named(content["schema"], schemas)["examples"][0]
            line += [
                "-H 'content-type: application/json'",
                f"-d {shlex.quote(json.dumps(example, ensure_ascii=False))}",
            ]
        else:
            line.append("-F files=@notes.pdf")
    return " \\\n  ".join(line)
