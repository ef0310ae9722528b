"""From a question to a finished turn, with a chain that says what the test wants."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app import chat
from app.chat import MAX_QUESTION, MAX_TURNS, Runs, ask, run, view
from app.turns import Turn
from app.workspace import Workspace
from rag.settings import load
from rag.types import RagError
from tests.app.app_samples import make_answer, make_citation, make_source


class Script:
    """A chain that yields prepared events, and keeps what it was asked."""

    def __init__(self, *events: dict[str, Any] | Exception) -> None:
        self.events = events
        self.asked: dict[str, Any] = {}

    def stream(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self.asked = asked
        for event in self.events:
            if isinstance(event, Exception):
                raise event
            if asked["cancel"].is_set():
                yield {"stage": "cancelled"}
                return
            yield event


SOURCE = make_source()
ANSWER = make_answer("“A dam holds them back.” [1]", [SOURCE], [make_citation(SOURCE, "A dam holds them back.")])
WHOLE = ({"stage": "searching"}, {"sources": [SOURCE]}, {"stage": "writing"}, {"text": "“A dam"}, {"answer": ANSWER})


def answered(chain: Script, turns: list[Turn] | None = None, cancel: threading.Event | None = None) -> Turn:
    turns = turns or [Turn("q")]
    for _ in run(Workspace(Path("nowhere"), chain=chain), turns, load(), cancel or threading.Event()):
        pass
    return turns[-1]


def test_a_whole_answer() -> None:
    chain = Script(*WHOLE)
    turn = answered(chain)
    assert (turn.status, turn.answer, turn.text) == ("done", ANSWER, "“A dam")
    assert chain.asked["question"] == "q"
    assert {"temperature", "top_p", "seed", "k", "history", "cancel"} <= chain.asked.keys()


def test_earlier_answers_are_the_history() -> None:
    chain = Script(*WHOLE)
    answered(chain, [Turn("first", "done", answer=ANSWER), Turn("lost", "failed"), Turn("q")])
    assert [message["content"] for message in chain.asked["history"]] == ["first", ANSWER.answer]


def test_stop_before_the_model_is_free() -> None:
    cancel = threading.Event()
    cancel.set()
    chain = Script(*WHOLE)
    assert answered(chain, cancel=cancel).status == "stopped"
    assert not chain.asked


def test_stop_while_writing_reaches_the_chain() -> None:
    cancel = threading.Event()
    turns = [Turn("q")]
    steps = run(Workspace(Path("nowhere"), chain=Script(*WHOLE)), turns, load(), cancel)
    next(steps)
    cancel.set()
    assert list(steps) == [None]
    assert turns[0].status == "stopped"
    assert turns[0].answer is None


def test_a_page_that_goes_away_stops_the_computation() -> None:
    cancel = threading.Event()
    steps = run(Workspace(Path("nowhere"), chain=Script(*WHOLE)), [Turn("q")], load(), cancel)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert cancel.is_set()


def test_errors_are_told_not_raised(caplog: pytest.LogCaptureFixture) -> None:
    turn = answered(Script(RagError("The <b>store</b> is gone.")))
    assert turn.status == "failed"
    assert "The &lt;b&gt;store&lt;/b&gt; is gone." in turn.reason
    turn = answered(Script({"stage": "searching"}, ZeroDivisionError("secret detail")))
    assert turn.status == "failed"
    assert "ZeroDivisionError" in turn.reason
    assert "secret detail" not in turn.reason
    assert "secret detail" in caplog.text


def test_no_documents(tmp_path: Path) -> None:
    turns = [Turn("q")]
    list(run(Workspace(tmp_path / "none"), turns, load(), threading.Event()))
    assert turns[0].status == "failed"
    assert "there are no documents yet" in turns[0].reason


def test_a_chain_that_ends_without_an_answer_counts_as_stopped() -> None:
    assert answered(Script({"stage": "searching"})).status == "stopped"


@pytest.mark.parametrize("question", ["", "  \n", None, 7, ["x"], {"text": "x"}])
def test_what_is_not_a_question_is_ignored(question: object) -> None:
    assert ask(question, []) is None


def test_one_question_at_a_time() -> None:
    turns = ask("one", [])
    assert turns is not None
    assert ask("two", turns) is None


def test_a_long_question_and_a_long_conversation_are_bounded() -> None:
    turns = ask("x" * (MAX_QUESTION + 1), [])
    assert turns is not None
    assert turns[-1].status == "failed"
    assert "2,001" in turns[-1].reason
    many = ask("q", [Turn("old", "done") for _ in range(MAX_TURNS + 50)])
    assert many is not None
    assert len(many) == MAX_TURNS


@pytest.mark.parametrize(
    "values",
    [(3, 1, 0, 5), (-1, 1, 0, 5), (0, 0, 0, 5), (0, 1, -1, 5), (0, 1, 0, 0), (0, 1, 0, 999), ("0", 1, 0, 5),
     (None, 1, 0, 5), (True, 1, 0, 5), (float("nan"), 1, 0, 5), (0, 1, 0.5, 5)],
)  # fmt: skip
def test_settings_out_of_range_are_refused(values: tuple[object, ...]) -> None:
    with pytest.raises(RagError):
        chat.settings(*values)


def test_settings_in_range_are_taken() -> None:
    chosen = chat.settings(0.7, 0.9, 3, 4)
    assert (chosen.temperature, chosen.top_p, chosen.seed, chosen.k) == (0.7, 0.9, 3, 4)


def test_runs_belong_to_their_session() -> None:
    runs = Runs()
    mine, yours = runs.begin("me"), runs.begin("you")
    runs.stop("me")
    runs.stop("nobody")
    assert mine.is_set()
    assert not yours.is_set()
    runs.end("me")
    assert not runs.begin("me").is_set()


def test_the_newest_turn_is_kept_apart() -> None:
    shown = view([Turn("one", "done", answer=ANSWER), Turn("two")])
    assert "one" in shown.done
    assert "two" not in shown.done
    assert "two" in shown.live
