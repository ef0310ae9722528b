"""One question, one seed, one answer: from Python, the terminal, the browser's back end, the queue and HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.conversations import asking
from app.workspace import Workspace
from rag import Answer, build_chain
from rag.chain import AnswerChain
from tests.app.api.conftest import make_store, serving

ROOT = Path(__file__).parents[1]
QUESTIONS = ("When was the Halden bridge opened?", "青石茶园有多少亩？")
HOT = {"temperature": 1.9, "top_p": 0.99, "k": 4}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("everywhere"))


@pytest.fixture(scope="module")
def chain(store: Path) -> Iterator[AnswerChain]:
    made = build_chain(store)
    yield made
    made.close()


@pytest.fixture(scope="module")
def workspace(store: Path) -> Workspace:
    return Workspace(store)


@pytest.fixture(scope="module")
def url(workspace: Workspace) -> Iterator[str]:
    with serving(workspace) as address:
        yield address


def shape(answer: Answer | dict[str, Any]) -> dict[str, Any]:
    """All of an answer but how long it took."""
    data = answer.model_dump(mode="json") if isinstance(answer, Answer) else dict(answer)
    data.pop("timings", None)
    return data


def drawn(chain: AnswerChain, question: str) -> Answer:
    """An answer that a door which forgets the seed does not give."""
    first = chain.invoke({"question": question, "seed": 0, **HOT})
    for seed in range(1, 40):
        answer = chain.invoke({"question": question, "seed": seed, **HOT})
        if answer.answer != first.answer and answer.citations:
            return answer
    raise AssertionError("forty seeds give one answer")


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_door_gives_the_same_answer(
    question: str, chain: AnswerChain, workspace: Workspace, store: Path, url: str
) -> None:
    answer = drawn(chain, question)
    expected, asked = shape(answer), {"seed": answer.seed, **HOT}

    terminal = in_terminal(store, question, answer.seed)
    assert terminal == {name: expected[name] for name in terminal}

    browser = asking.ask(workspace, "local", None, question, asked)
    assert shape(browser.job.result()) == expected
    stored = workspace.conversations.turn("local", browser.turn.id).answer
    assert stored is not None and shape(stored) == expected

    queued = workspace.jobs.submit("someone", {"question": question, **asked}, workspace.chain)
    assert shape(queued.result()) == expected

    body = {
        "messages": [{"role": "user", "content": question}],
        "seed": answer.seed,
        "temperature": HOT["temperature"],
        "top_p": HOT["top_p"],
        "openbook": {"k": HOT["k"]},
    }
    assert shape(over_http(url, body)) == expected
    assert shape(over_http(url, {**body, "stream": True})) == expected


def in_terminal(store: Path, question: str, seed: int) -> dict[str, Any]:
    flags = ["--temperature", "1.9", "--top-p", "0.99", "-k", "4", "--seed", str(seed), "--json"]
    line = [sys.executable, "-m", "rag", "ask", question, "--store", str(store), *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, capture_output=True, text=True, env=environment, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert {"question", "answer", "refused", "confidence", "citations"} <= said.keys()
    return shape(said)


def over_http(url: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = httpx.post(f"{url}/v1/chat/completions", json={"model": "openbook", **body}, timeout=120)
    assert reply.status_code == 200, reply.text
    if not body.get("stream"):
        whole: dict[str, Any] = reply.json()["openbook"]["answer"]
        return whole
    lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: {")]
    found = [json.loads(line).get("openbook") or {} for line in lines]
    (answer,) = [part["answer"] for part in found if "answer" in part]
    return dict(answer)
