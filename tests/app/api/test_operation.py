"""Health, metrics, the description, methods that are not there, and clients that leave."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.api.outline import outline
from app.workspace import Workspace
from tests.app.api.conftest import QUESTION, serving
from tests.browser.conftest import wait_until

ROOT = Path(__file__).parents[3]


def figures(http: httpx.Client) -> dict[tuple[str, ...], float]:
    found = {}
    for family in text_string_to_metric_families(http.get("/metrics").text):
        for sample in family.samples:
            found[sample.name, *sorted(sample.labels.values())] = sample.value
    return found


def test_health(http: httpx.Client) -> None:
    assert http.get("/health").json() == {"status": "ok"}
    http.post("/search", json={"query": "bridge"})
    ready = http.get("/health/ready")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})


def test_metrics_count_what_happens(http: httpx.Client) -> None:
    before = figures(http)
    http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": QUESTION}]})
    http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "Who composed Tosca?"}]})
    http.get("/documents/77/text")
    http.get("/made/up/path")
    after = figures(http)

    def grown(*key: str) -> float:
        return after[key] - before.get(key, 0)

    assert grown("openbook_answers_total", "false", "quote") == 1
    assert grown("openbook_answers_total", "quote", "true") == 1
    assert grown("openbook_jobs_ended_total", "done") == 2
    assert grown("openbook_wait_seconds_count") == 2
    assert grown("openbook_tokens_total", "completion") > 5
    assert grown("openbook_requests_total", "/documents/{document}/text", "404", "GET") == 1
    assert grown("openbook_request_seconds_count", "/v1/chat/completions") == 2
    assert grown("openbook_answer_seconds_total", "reading") > 0
    assert after["process_resident_memory_bytes",] > 50e6
    assert not any("made" in part for key in after for part in key)


def test_the_description_is_complete(http: httpx.Client) -> None:
    described = http.get("/openapi.json").json()
    assert {"/v1/chat/completions", "/v1/models", "/v1/embeddings", "/search", "/documents"} <= set(described["paths"])
    for path, operations in described["paths"].items():
        for operation in operations.values():
            assert operation["summary"].endswith(".") and operation["tags"], path
            assert "422" not in operation["responses"]
    assert "ErrorBody" in described["components"]["schemas"]


@pytest.mark.parametrize(("language", "title"), [("en", "Openbook for programs"), ("zh-CN", "Openbook 程序接口")])
def test_the_page_about_it_needs_nobody_else(http: httpx.Client, language: str, title: str) -> None:
    reply = http.get("/docs", headers={"accept-language": language})
    assert f"<h1>{title}</h1>" in reply.text
    assert "<script" not in reply.text
    foreign = [found for found in re.findall(r'(?:src|href)="([^"]*)"', reply.text) if not found.startswith("/")]
    assert foreign == []
    for path in http.get("/openapi.json").json()["paths"]:
        assert path in reply.text


def test_the_examples_of_the_description_work(http: httpx.Client) -> None:
    described = http.get("/openapi.json").json()
    for path in ("/v1/chat/completions", "/v1/embeddings", "/search"):
        body = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        schema = described["components"]["schemas"][body["$ref"].rpartition("/")[2]]
        for example in schema["examples"]:
            assert http.post(path, json=example).status_code == 200, path


def test_the_page_is_at_the_root_and_beside_it_nothing_is_lost(http: httpx.Client) -> None:
    assert "gradio" in http.get("/", headers={"accept": "text/html"}).text
    for method, path, status in (
        ("DELETE", "/search", 405),
        ("PATCH", "/v1/chat/completions", 405),
        ("GET", "/v1/completions", 404),
        ("POST", "/v1/responses", 404),
    ):
        reply = http.request(method, path)
        assert reply.status_code == status, path
        assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
    assert http.request("DELETE", "/search").headers["allow"] == "GET, POST"


class Slow:
    """A chain that writes until it is stopped."""

    def __init__(self) -> None:
        self.began, self.stopped = threading.Event(), threading.Event()

    def stream(self, asked: dict[str, Any], /) -> Iterator[dict[str, Any]]:
        self.began.set()
        yield {"stage": "writing"}
        if asked["cancel"].wait(30):
            self.stopped.set()
            yield {"stage": "cancelled"}


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_its_job(workspace: Workspace, stream: bool) -> None:
    chain = Slow()
    own = Workspace(workspace.store, chain=chain)
    with serving(own) as url:
        body = {"messages": [{"role": "user", "content": "slow"}], "stream": stream}

        def ask() -> None:
            with (
                httpx.Client(base_url=url) as client,
                client.stream("POST", "/v1/chat/completions", json=body) as reply,
            ):
                for line in reply.iter_lines():
                    if "writing" in line:
                        return

        if stream:
            ask()
        else:
            head = json.dumps(body).encode()
            left = httpx.URL(url)
            with socket.create_connection((left.host, left.port or 80)) as raw:
                raw.sendall(
                    b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\n\r\n%s" % (len(head), head)
                )
                assert chain.began.wait(20)
        assert chain.stopped.wait(5)
        wait_until(lambda: own.jobs.counts()["stopped"] == 1)


def test_a_full_queue_says_when_to_come_back(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.jobs.MAX_WAITING_OF_ONE", 0)
    with serving(Workspace(workspace.store, chain=Slow())) as url:
        reply = httpx.post(f"{url}/v1/chat/completions", json={"messages": [{"role": "user", "content": "slow"}]})
    assert reply.status_code == 429
    assert int(reply.headers["retry-after"]) >= 1
    assert reply.json()["error"]["code"] == "busy"


def test_a_schema_is_told_in_lines() -> None:
    schemas = {
        "Leaf": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]},
    }
    schema = {
        "properties": {
            "leaves": {"type": "array", "items": {"$ref": "#/components/schemas/Leaf"}, "maxItems": 1000},
            "kind": {"anyOf": [{"enum": ["a", "b"]}, {"type": "null"}], "description": "which"},
        },
        "required": ["leaves"],
    }
    assert outline(schema, schemas) == [
        "leaves: list of object, at most 1,000",
        "  n: integer, from 1",
        'kind: "a" | "b", optional (which)',
    ]


def test_the_start_waits_for_no_library_of_later() -> None:
    code = (
        "import sys; from app.__main__ import load_gradio; load_gradio(); import app.server, app.ui;"
        "assert not {'mcp', 'torch', 'langchain_core'} & set(sys.modules); import mcp.server"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
