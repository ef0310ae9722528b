"""Asking within a conversation, with a chain that is held; what is exported; feedback asked again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.conversations import FILE, Conversations, NotFound
from app.conversations.asking import HISTORY, again, ask, thread
from app.conversations.feedback import again as asked_again
from app.conversations.feedback import cases, main
from app.jobs import Busy
from app.workspace import Workspace
from tests.app.app_samples import make_answer, make_citation, make_source
from tests.app.job_samples import Gated, until

SOURCE = make_source()
QUOTE = "A dam holds them back."
ANSWER = make_answer(f"“{QUOTE}” [1]", [SOURCE], [make_citation(SOURCE, QUOTE)])


class Telling(Gated):
    """A gated chain that notes all it is asked and answers with a quotation."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs: list[dict[str, Any]] = []

    def stream(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self.inputs.append(asked)
        for event in super().stream(asked):
            yield {"answer": ANSWER} if "answer" in event else event


@pytest.fixture
def chain() -> Telling:
    return Telling()


@pytest.fixture
def workspace(tmp_path: Path, chain: Telling) -> Iterator[Workspace]:
    workspace = Workspace(tmp_path, chain=chain)
    yield workspace
    workspace.close()


def answered(workspace: Workspace, chain: Telling, question: str, conversation: str | None = None) -> str:
    chain.gate.release()
    asked = ask(workspace, "ann", conversation, question, {"seed": 1})
    assert asked.job.wait(10)
    return asked.turn.conversation


def test_a_question_is_stored_then_answered(workspace: Workspace, chain: Telling) -> None:
    asked = ask(workspace, "ann", None, "Who holds them?", {"seed": 7, "k": 3})
    ((turn, job),) = thread(workspace, "ann", asked.turn.conversation)
    assert job is asked.job and turn.open and turn.id == asked.turn.id
    until(asked.job, "stage", "searching")
    ((turn, job),) = thread(workspace, "ann", asked.turn.conversation)
    assert turn.status == "running" and job is not None and job.stage == "searching", "a page loaded again goes on here"
    chain.gate.release()
    assert asked.job.wait(10)
    ((turn, job),) = thread(workspace, "ann", asked.turn.conversation)
    assert (turn.status, turn.answer, job) == ("done", ANSWER, None)
    assert chain.inputs[0]["seed"] == 7 and chain.inputs[0]["history"] == []
    assert workspace.conversations.list("ann")[0].title == "Who holds them?"


def test_follow_ups_have_the_history_of_their_own_thread(workspace: Workspace, chain: Telling) -> None:
    id = answered(workspace, chain, "one")
    answered(workspace, chain, "two", id)
    first = workspace.conversations.turns("ann", id)[0]
    chain.gate.release()
    edited = again(workspace, "ann", first.id, {"seed": 2}, "uno")
    assert edited.job.wait(10) and edited.turn.version == 2
    answered(workspace, chain, "due", id)
    said = [[m["content"] for m in asked["history"]] for asked in chain.inputs]
    assert said == [[], ["one", ANSWER.answer], [], ["uno", ANSWER.answer]]
    for _ in range(HISTORY + 2):
        answered(workspace, chain, "more", id)
    assert len(chain.inputs[-1]["history"]) == 2 * HISTORY


def test_regenerating_keeps_the_question(workspace: Workspace, chain: Telling) -> None:
    id = answered(workspace, chain, "one")
    (turn,) = workspace.conversations.turns("ann", id)
    chain.gate.release()
    regenerated = again(workspace, "ann", turn.id, {"seed": 99})
    assert regenerated.job.wait(10)
    assert chain.inputs[-1]["seed"] == 99 and chain.inputs[-1]["question"] == "one"
    with pytest.raises(NotFound):
        again(workspace, "bob", turn.id, {})


def test_what_becomes_of_a_stopped_and_of_a_failed_question(workspace: Workspace, chain: Telling, tmp_path: Path) -> None:
    asked = ask(workspace, "ann", None, "q", {})
    asked.job.stop()
    ((turn, _),) = thread(workspace, "ann", asked.turn.conversation)
    assert (turn.status, turn.error) == ("stopped", "")
    empty = Workspace(tmp_path)
    failed = ask(empty, "ann", None, "q", {})
    assert failed.job.wait(10) and failed.job.error == "There are no documents yet: add some, then ask again."
    ((turn, _),) = thread(empty, "ann", failed.turn.conversation)
    assert (turn.status, turn.error) == ("failed", "answer.no_documents")
    empty.close()


def test_a_server_that_was_killed_leaves_no_running_turn(workspace: Workspace, tmp_path: Path) -> None:
    asked = ask(workspace, "ann", None, "q", {})
    other = Workspace(tmp_path, chain=Gated())
    ((turn, job),) = thread(other, "ann", asked.turn.conversation)
    assert (turn.status, turn.error, job) == ("stopped", "conversations.interrupted", None)
    assert workspace.conversations.turn("ann", asked.turn.id).open, "only shown so: another process may still answer"
    other.close()


def test_a_full_queue_stores_nothing(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.jobs.MAX_WAITING_OF_ONE", 0)
    with pytest.raises(Busy):
        ask(workspace, "ann", None, "q", {})
    assert workspace.conversations.list("ann") == []


def test_a_deleted_conversation_does_not_come_back(workspace: Workspace, chain: Telling) -> None:
    asked = ask(workspace, "ann", None, "q", {})
    workspace.conversations.delete("ann", asked.turn.conversation)
    chain.gate.release()
    assert asked.job.wait(10) and asked.job.status == "done"
    assert workspace.conversations.list("ann") == []


def test_export_as_json(workspace: Workspace, chain: Telling) -> None:
    id = answered(workspace, chain, "one")
    (turn,) = workspace.conversations.turns("ann", id)
    chain.gate.release()
    assert again(workspace, "ann", turn.id, {"seed": 2}).job.wait(10)
    workspace.conversations.rate("ann", turn.id, "down", ["wrong"], "No.")
    content = json.loads(workspace.conversations.export("ann", id, "json"))
    assert (content["format"], content["version"], content["title"]) == ("openbook-conversation", 1, "one")
    assert content["created"].endswith("+00:00")
    old, new = content["turns"]
    assert content["shown"] == [new["id"]] and old["feedback"] == {"rating": "down", "reasons": ["wrong"], "comment": "No."}
    (citation,) = old["answer"]["citations"]
    assert SOURCE.text[citation["start"] - SOURCE.start : citation["end"] - SOURCE.start] == citation["quote"] == QUOTE


def test_export_as_markdown(workspace: Workspace) -> None:
    kept = workspace.conversations
    source = make_source(text="![x](//evil/x.png) <b>no</b>", page=3)
    cited = make_citation(source, source.text)
    answer = make_answer(f"“{source.text}” [1]\n1. done", [source], [cited])
    turn = kept.append("ann", kept.create("ann", "A *title*").id, "Who\n# is it?")
    kept.finish(turn.id, "done", answer)
    kept.append("ann", turn.conversation, "And?")
    text = kept.export("ann", turn.conversation, "markdown")
    assert text.startswith("# A \\*title\\*\n\n*20")
    assert "## Who \\# is it?" in text and "\n\n1\\. done" in text and text.endswith("## And?\n\n*waiting*\n")
    assert "\\!\\[x\\](//evil/x.png) \\<b\\>" in text and "![" not in text and "<b>" not in text
    assert "p. 3, characters 50–78" in text
    with pytest.raises(Exception, match="markdown"):
        kept.export("ann", turn.conversation, "pdf")
    with pytest.raises(NotFound):
        kept.export("bob", turn.conversation, "json")


def test_feedback_becomes_cases(workspace: Workspace, chain: Telling) -> None:
    kept = workspace.conversations
    id = answered(workspace, chain, "one")
    answered(workspace, chain, "two", id)
    first, second = kept.turns("ann", id)
    kept.rate("ann", first.id, "up")
    kept.rate("ann", second.id, "down", ["wrong"])
    disliked, liked = cases(kept)
    assert (disliked["question"], liked["question"]) == ("two", "one")
    assert disliked["asked"] == {
        "seed": 1, "question": "two",
        "history": [{"role": "user", "content": "one"}, {"role": "assistant", "content": ANSWER.answer}],
    }  # fmt: skip
    other = make_answer("Rivers rise.", [], [])

    class Now:
        def __init__(self, answer: Any) -> None:
            self.answer = answer

        def stream(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
            yield {"stage": "searching"}
            yield {"answer": self.answer}

    results = {
        (case["question"], answer is other): asked_again(case, Now(answer))["regressed"]
        for case in (disliked, liked)
        for answer in (ANSWER, other)
    }
    assert results == {("two", False): True, ("two", True): False, ("one", False): False, ("one", True): True}


def test_the_feedback_command(
    workspace: Workspace, chain: Telling, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    id = answered(workspace, chain, "问题")
    workspace.conversations.rate("ann", workspace.conversations.turns("ann", id)[0].id, "down", [], "错了")
    assert main(["--store", str(tmp_path)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["feedback"]["comment"] == "错了" and "问题" in line
    assert main(["--store", str(tmp_path), "--rating", "up"]) == 0 and capsys.readouterr().out == ""
    assert main(["--store", str(tmp_path), "--again"]) == 2
    assert "no documents" in capsys.readouterr().err
    assert Conversations(tmp_path / FILE).list("ann")
