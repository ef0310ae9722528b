"""Search, documents and uploads over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.workspace import Workspace
from tests.app.api.conftest import DOCUMENTS, make_store, serving


@pytest.fixture
def own(tmp_path: Path) -> Iterator[httpx.Client]:
    """A server over a store of its own, which may be written to."""
    with serving(Workspace(make_store(tmp_path))) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def test_the_list_comes_in_parts(http: httpx.Client) -> None:
    whole = http.get("/documents").json()
    assert whole["total"] == 2
    assert [document["name"] for document in whole["data"]] == list(DOCUMENTS)
    assert whole["data"][0]["characters"] == len(DOCUMENTS["bridge.md"])
    assert http.get("/documents", params={"limit": 1, "offset": 1}).json()["data"] == whole["data"][1:]


def test_a_text_and_its_runs(http: httpx.Client) -> None:
    number = http.get("/documents").json()["data"][1]["id"]
    text = http.get(f"/documents/{number}/text").json()
    assert text["text"] == DOCUMENTS["tea.md"]
    assert http.get(f"/documents/{number}/text", params={"start": 2, "end": 6}).json()["text"] == "青石茶园"
    for wrong in ({"start": 9, "end": 3}, {"end": 999}, {"start": -1}):
        reply = http.get(f"/documents/{number}/text", params=wrong)
        assert reply.status_code == 400, wrong
    assert http.get("/documents/99/text").status_code == 404


def test_a_search_by_body_and_by_link(http: httpx.Client) -> None:
    found = http.post("/search", json={"query": "toll for a cart", "k": 1}).json()
    (hit,) = found["hits"]
    assert Path(hit["source"]).name == "bridge.md"
    assert DOCUMENTS["bridge.md"][hit["start"] : hit["end"]] == hit["text"]
    assert http.get("/search", params={"query": "toll for a cart", "k": 1}).json() == found
    assert http.post("/search", json={"query": "x", "k": 51}).status_code == 400
    assert "nothing.txt" in http.post("/search", json={"query": "@nothing.txt x"}).json()["error"]["message"]


def test_an_upload_is_searched_replaced_and_removed(own: httpx.Client) -> None:
    note = ("../orchard.md", b"# Orchard\n\nThe pear tree was planted by Agnes Thorne.\n")
    picture = ("odd.exe", b"MZ\x00\x01")
    reply = own.post("/documents", files=[("files", note), ("files", picture)]).json()["data"]
    fates: dict[str, Any] = {each["name"]: each for each in reply}
    assert fates["orchard.md"]["status"] == "added"
    assert fates["odd.exe"]["status"] == "refused"
    assert "<" not in fates["odd.exe"]["reason"] and fates["odd.exe"]["reason"]
    number = fates["orchard.md"]["id"]
    hit = own.post("/search", json={"query": "Who planted the pear tree?"}).json()["hits"][0]
    assert hit["doc_id"] == number

    again = own.post("/documents", files=[("files", note)]).json()["data"]
    assert [each["status"] for each in again] == ["unchanged"]
    edited = ("orchard.md", b"# Orchard\n\nThe pear tree was felled.\n")
    assert own.post("/documents", files=[("files", edited)]).json()["data"][0]["status"] == "changed"

    (uploaded,) = [each for each in own.get("/documents").json()["data"] if each["uploaded"]]
    assert own.delete(f"/documents/{uploaded['id']}").json()["deleted"] is True
    assert own.delete(f"/documents/{uploaded['id']}").status_code == 404
    assert own.get("/documents").json()["total"] == 2


def test_files_that_are_not_taken(http: httpx.Client) -> None:
    for name, content in (("odd.exe", b"MZ"), ("empty.md", b""), ("broken.pdf", b"%PDF-1.7 nothing that is a PDF")):
        reply = http.post("/documents", files=[("files", (name, content))])
        assert reply.status_code == 400, name
        assert reply.json()["error"]["message"].startswith(f"{name}: ")
    assert http.post("/documents", files=[("other", ("a.md", b"x"))]).status_code == 400
    assert http.get("/documents").json()["total"] == 2


def test_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    with serving(Workspace(tmp_path / "none")) as url, httpx.Client(base_url=url, timeout=60) as client:
        assert client.get("/documents").json() == {"object": "list", "data": [], "total": 0}
        assert client.get("/health/ready").json() == {"status": "empty"}
        question = {"messages": [{"role": "user", "content": "Anything?"}]}
        for path, body in (
            ("/v1/chat/completions", question),
            ("/v1/chat/completions", {**question, "stream": True}),
            ("/v1/embeddings", {"input": "x"}),
            ("/search", {"query": "x"}),
        ):
            reply = client.post(path, json=body)
            assert reply.status_code == 404, path
            assert reply.json()["error"]["code"] == "no_documents"
        added = client.post("/documents", files=[("files", ("tea.md", DOCUMENTS["tea.md"].encode()))])
        assert added.json()["data"][0]["status"] == "added"
        assert client.post("/search", json={"query": "春茶"}).json()["hits"]
