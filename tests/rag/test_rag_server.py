"""A model server of OpenAI's protocol: healthy, down, slow, overloaded, broken, and one that is told to stop."""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.prompt_values import ChatPromptValue, PromptValue

from rag import build_chain
from rag.calling import say, seconds
from rag.models import init_model
from rag.types import Cancelled, RagError
from tests.rag.model_server import Act, Asked, ModelServer, serving, writes
from tests.rag.test_rag_chain import BUILT

KEY = "sk-verysecretkey123"
ASKED: PromptValue = ChatPromptValue(messages=[HumanMessage("Why?")])
OPTIONS = {"temperature": 0.0, "top_p": 1.0, "seed": 0}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def told(server: ModelServer, *, timeout: float = 20, retries: int = 2, cancel: threading.Event | None = None) -> str:
    model = init_model(server.name, timeout=timeout, retries=retries)
    return "".join(say(model, ASKED, {}, OPTIONS, cancel))


def resets(asked: Asked) -> None:
    """Closes the connection with a reset, before any answer."""
    raw = asked.handler.connection
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()
    raise ConnectionResetError


def breaks_off(asked: Asked) -> None:
    asked.begin()
    asked.piece("Because ")
    asked.handler.connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError


def ends_early(asked: Asked) -> None:
    """Ends the reply in good order, without having said that the answer is complete."""
    asked.begin()
    asked.piece("Because ")
    asked.handler.wfile.write(b"0\r\n\r\n")


def silent(asked: Asked) -> None:
    asked.begin()
    asked.piece("Because ")
    asked.handler.connection.settimeout(30)
    asked.gone.set() if asked.handler.connection.recv(1) == b"" else None


def garbage(asked: Asked) -> None:
    asked.begin()
    asked.raw("data: {not json")
    asked.handler.wfile.write(b"0\r\n\r\n")


def status(code: int, message: str = "no", **headers: str) -> Act:
    return lambda asked: asked.status(code, f'{{"error": {{"message": "{message}"}}}}', **headers)


def test_it_writes_as_asked() -> None:
    with serving(writes("It rains a lot.")) as server:
        model = init_model(server.name, temperature=0.5, seed=3)
        said = list(say(model, ASKED, {}, {"temperature": 0.9, "top_p": 0.8, "seed": 11}))
        assert len(said) > 2 and "".join(said).strip() == "It rains a lot."
        body = server.seen[0].body
        assert (body["model"], body["stream"], body["temperature"], body["top_p"], body["seed"]) == (
            "tiny", True, 0.9, 0.8, 11,
        )  # fmt: skip
        assert seconds(model) < 6


@pytest.mark.parametrize("trouble", [status(429), status(503), status(500), resets])
def test_a_passing_trouble_is_tried_again(trouble: Act) -> None:
    with serving(trouble, trouble, writes("At last.")) as server:
        assert told(server).strip() == "At last." and len(server.seen) == 3


@pytest.mark.parametrize(
    ("trouble", "said", "requests"),
    [
        (status(429), "too much to do.*429", 3),
        (status(503, "loading the model"), r"failed \(503\): loading the model", 3),
        (resets, "No model server answers", 3),
        (status(401, f"bad key {KEY}"), r"refuses the key \(401\).*OPENAI_API_KEY", 1),
        (status(404, "no model tiny"), "no model 'tiny'.*404", 1),
        (status(400, f"{KEY} is too long"), "refused", 1),
        (breaks_off, "broke off in the middle", 1),
        (ends_early, "broke off in the middle", 1),
        (garbage, "not OpenAI's protocol", 1),
        (lambda asked: asked.status(200, "<html>hello</html>", Content_Type="text/html"), "not OpenAI's protocol", 1),
    ],
)
def test_a_lasting_trouble_is_one_sentence_without_the_key(
    trouble: Act, said: str, requests: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), serving(trouble) as server, pytest.raises(RagError, match=said) as caught:
        told(server)
    assert len(server.seen) == requests
    assert server.seen[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in str(caught.value) + caplog.text and "127.0.0.1" in str(caught.value)
    assert "\n" not in str(caught.value) and not isinstance(caught.value, Cancelled)


def test_a_server_that_is_down_or_silent_says_so() -> None:
    with serving(writes("x")) as server:
        pass
    with pytest.raises(RagError, match=r"No model server answers at http://127\.0"):
        told(server)
    with serving(silent) as server, pytest.raises(RagError, match=r"silent for too long.*OPENBOOK_TIMEOUT"):
        told(server, timeout=0.2)


def test_a_cancel_closes_the_connection_at_once() -> None:
    cancel = threading.Event()
    with serving(silent) as server:
        model = init_model(server.name, timeout=30)
        pieces: Iterator[str] = say(model, ASKED, {}, OPTIONS, cancel)
        assert next(pieces) == "Because "
        began = time.monotonic()
        cancel.set()
        with pytest.raises(Cancelled):
            next(pieces)
        assert server.seen[0].gone.wait(5) and time.monotonic() - began < 5  # of the 30 s of the time-out


def test_a_reader_that_leaves_closes_the_connection() -> None:
    with serving(silent) as server:
        pieces = say(init_model(server.name), ASKED, {}, OPTIONS)
        next(pieces)
        pieces.close()  # type: ignore[attr-defined]
        assert server.seen[0].gone.wait(5)


@pytest.mark.parametrize(
    "name",
    ["openai:m", "openai:m@localhost:1/v1", "openai:m@http://user:topsecret@host/v1", "openai:m@http://host/v1?key=topsecret"],
)
def test_an_address_of_another_form_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(RagError, match="not of the form") as caught:
        init_model(name)
    assert "topsecret" not in str(caught.value)


def test_the_chain_answers_through_a_server_and_says_when_it_breaks_off(store: Path) -> None:
    with serving(writes("The lighthouse was built in 1874 [1].")) as server:
        chain = build_chain(store, server.name, mode="compose", timeout=20)
        events = list(chain.stream(BUILT))
        answer = events[-1]["answer"]
        assert "1874" in answer.answer and answer.calls == 1 and not answer.refused and answer.model == server.name
        assert sum("text" in event for event in events) > 2  # as it came
        server.acts[:] = [writes("1. Passage 1 says it"), writes("1: 10"), writes("It was built in 1874 [1].")]
        server.seen.clear()
        assert chain.invoke({"question": BUILT, "strategy": "tree-of-thoughts"}).calls == 3
        server.acts[:] = [breaks_off]
        with pytest.raises(RagError, match="broke off"):
            chain.invoke(BUILT)
        chain.close()
