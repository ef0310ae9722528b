"""What the page's listeners do with what is sent to them, rightly or not; the chain says what the test wants."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app import payload, prompt_editor, settings_panel
from app.chat import MAX_QUESTION, reason, view
from app.owner import owner_of
from app.sidebar import Cabinet
from app.talk import Talk
from app.turns import Turn
from app.workspace import Workspace
from rag.types import RagError
from tests.app.app_samples import Page, make_answer, make_citation, make_source

SOURCE = make_source()
ANSWER = make_answer("“A dam holds them back.” [1]", [SOURCE], [make_citation(SOURCE, "A dam holds them back.")])


class Script:
    """Gives the prepared events of each question in turn; with `hold` it waits for `go` or the cancel event."""

    def __init__(self, *events: dict[str, Any] | Exception) -> None:
        self.events = events or (
            {"stage": "searching"},
            {"sources": [SOURCE]},
            {"stage": "writing"},
            {"answer": ANSWER},
        )
        self.asked: list[dict[str, Any]] = []
        self.hold = False
        self.go = threading.Event()

    def stream(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self.asked.append(asked)
        while self.hold and not self.go.wait(0.01):
            if asked["cancel"].is_set():
                yield {"stage": "cancelled"}
                return
        for event in self.events:
            if isinstance(event, Exception):
                raise event
            yield event


def request(name: str = "", session: str = "tab") -> Any:
    return SimpleNamespace(username=name or None, session_hash=session)


def event(**data: Any) -> Any:
    return SimpleNamespace(_data=data)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Talk]]:
    made: list[Workspace] = []

    def build(chain: Script | None = None) -> Talk:
        made.append(Workspace(tmp_path / "store", chain=chain or Script()))
        return Talk(made[-1])

    yield build
    for workspace in made:
        workspace.close()


def ask(talk: Talk, question: object, here: object = "", sent: object = "", who: Any = None) -> list[Any]:
    """[question, notice, done, live, passages, turns, here, chats], once the answer is there."""
    given = talk.ask(question, sent, here, who or request())
    return given if isinstance(given[6], dict) else [*given[:2], *done(talk, given[6], who)]


def done(talk: Talk, here: str, who: Any = None) -> list[Any]:
    for job in talk._workspace.jobs.of(owner_of(who or request())):
        job.wait(10)
    return talk.open(here, who or request())


def follow(talk: Talk, here: object, who: Any = None) -> list[list[Any]]:
    async def all_of_it() -> list[list[Any]]:
        return [update async for update in talk.follow(here, who or request())]

    return asyncio.run(all_of_it())


def test_a_question_is_answered_stored_and_listed(make: Callable[..., Talk]) -> None:
    talk = make()
    _, _, _, live, passages, turns, here, chats = ask(talk, "  What holds rivers back? ")
    assert (turns[0].question, turns[0].status, turns[0].answer) == ("What holds rivers back?", "done", ANSWER)
    assert "A dam holds them back." in Page(live).text
    assert "A dam holds them back." in Page(passages).text
    assert "What holds rivers back?" in Page(chats).text
    assert f'data-id="{here}"' in chats


def test_a_follow_up_knows_what_came_before(make: Callable[..., Talk]) -> None:
    chain = Script()
    talk = make(chain)
    here = ask(talk, "first")[6]
    ask(talk, "second", here)
    assert [message["content"] for message in chain.asked[1]["history"]] == ["first", ANSWER.answer]


def test_following_streams_the_stages_and_ends_with_the_answer(make: Callable[..., Talk]) -> None:
    talk = make()
    here = talk.ask("q", "", "", request())[6]
    frames = follow(talk, here)
    assert "A dam holds them back." in frames[-1][0]
    assert frames[-1][2][0].status == "done"


def test_following_what_has_ended_shows_it(make: Callable[..., Talk]) -> None:
    talk = make()
    here = ask(talk, "q")[6]
    assert [frame[2][0].status for frame in follow(talk, here)] == ["done"]
    assert all(isinstance(update, dict) for update in follow(talk, "nowhere")[0])  # nothing is overwritten


def test_a_reload_finds_the_running_answer_and_stop_ends_it(make: Callable[..., Talk]) -> None:
    chain = Script()
    chain.hold = True
    talk = make(chain)
    here = talk.ask("q", "", "", request())[6]
    _, live, _, turns, place, _ = talk.open(here, request(session="another tab"))
    assert turns[0].open
    assert place == here
    assert 'aria-busy="true"' in live
    assert talk.ask("meanwhile", "", here, request())[6] != ""  # skipped: one question at a time
    assert len(talk.turns("local", here)) == 1
    talk.halt(here, request())
    assert done(talk, here)[3][0].status == "stopped"


def test_a_conversation_is_its_owners_alone(make: Callable[..., Talk]) -> None:
    talk, mine, yours = make(), request("ann"), request("bob")
    here = ask(talk, "secret", who=mine)[6]
    assert talk.open(here, yours)[3:5] == [[], ""]
    assert "secret" not in talk.chats("bob", here)
    cabinet = Cabinet(talk._workspace)
    for form in ("markdown", "json"):
        assert cabinet.export(yours, event(id=here, form=form)) == ""
        assert "secret" in cabinet.export(mine, event(id=here, form=form))
    assert cabinet.delete(yours, event(id=here)) == ""
    assert "secret" in cabinet.rename("", mine, event(id=here, title=""))
    talk.choose(here, yours, event(turn=0, version=0))
    talk.rate(here, yours, event(turn=0, thumb="down"))
    talk.again("", here, yours, event(turn=0))
    assert len(talk.turns("ann", here)[0].versions) == 1
    assert talk.turns("ann", here)[0].rating == ""
    assert ask(talk, "mine", here, who=yours)[6] != here  # a new conversation
    assert cabinet.delete(mine, event(id=here)) == here


def test_regenerating_takes_another_seed_and_keeps_the_earlier_version(make: Callable[..., Talk]) -> None:
    chain = Script()
    talk = make(chain)
    here = ask(talk, "q")[6]
    talk.again("", here, request(), event(turn=0))
    talk.again("", done(talk, here)[4], request(), event(turn=0))
    turns = done(talk, here)[3]
    assert [asked["seed"] for asked in chain.asked] == [0, 1, 2]
    assert len(turns) == 1
    assert len(turns[0].versions) == 3
    first = talk.choose(here, request(), event(turn=0, version=0))[3][0]
    assert first.id == turns[0].versions[0]
    assert talk.turns("local", here)[0].id == first.id  # also after a reload


def test_an_edited_question_is_a_version_too(make: Callable[..., Talk]) -> None:
    chain = Script()
    talk = make(chain)
    here = ask(talk, "q")[6]
    talk.again("", here, request(), event(turn=0, question=" better "))
    turns = done(talk, here)[3]
    assert [turn.question for turn in turns] == ["better"]
    assert chain.asked[1]["seed"] == 0


def test_only_passages_of_the_turn_can_be_pinned_or_dropped(make: Callable[..., Talk]) -> None:
    chain = Script()
    talk = make(chain)
    here = ask(talk, "q")[6]
    talk.again("", here, request(), event(turn=0, pinned=[SOURCE.chunk_id, 999, "x"], dropped="all"))
    done(talk, here)
    assert (chain.asked[1]["pinned"], chain.asked[1]["dropped"]) == ([SOURCE.chunk_id], [])


def test_thumbs_are_kept_with_known_reasons(make: Callable[..., Talk]) -> None:
    talk = make()
    here = ask(talk, "q")[6]
    sent = event(turn="0", thumb="down", reasons=["wrong", "<b>", "source"], comment="  <i>no</i> ")
    talk.rate(here, request(), sent)
    turn = talk.turns("local", here)[0]
    assert (turn.rating, turn.reasons, turn.comment) == ("down", ["wrong", "source"], "<i>no</i>")
    assert Page(talk.open(here, request())[1]).inert


@pytest.mark.parametrize(
    "data", [{}, {"turn": 9}, {"turn": -1}, {"turn": True}, {"turn": 0, "version": 7}, {"turn": "x"}]
)
def test_forged_turns_do_nothing(make: Callable[..., Talk], data: dict[str, Any]) -> None:
    talk = make()
    here = ask(talk, "q")[6]
    for forged in (None, data):
        sent: Any = SimpleNamespace(_data=forged)
        assert all(isinstance(update, dict) for update in talk.choose(here, request(), sent))
        if data.get("turn") != 0:
            assert all(isinstance(update, dict) for update in talk.again("", here, request(), sent))
            assert all(isinstance(update, dict) for update in talk.rate(here, request(), sent))


@pytest.mark.parametrize("question", ["", "  \n", None, 7, ["x"], {"text": "x"}])
def test_what_is_not_a_question_is_ignored(make: Callable[..., Talk], question: object) -> None:
    assert all(isinstance(update, dict) for update in make().ask(question, "", "", request()))


def test_a_long_question_is_refused_with_its_length(make: Callable[..., Talk]) -> None:
    given = make().ask("x" * (MAX_QUESTION + 1), "", "", request())
    assert "2,001" in given[1]


def test_errors_are_told_not_raised(make: Callable[..., Talk]) -> None:
    turn = ask(make(Script(RagError("The <b>store</b> is gone."))), "q")[5][0]
    assert turn.status == "failed"
    assert "The &lt;b&gt;store&lt;/b&gt; is gone." in turn.reason
    turn = ask(make(Script(ZeroDivisionError("secret detail"))), "q")[5][0]
    assert "ZeroDivisionError" in turn.reason
    assert "secret detail" not in turn.reason


def test_no_documents(make: Callable[..., Talk], tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "none")
    turn = ask(Talk(workspace), "q")[5][0]
    workspace.close()
    assert "there are no documents yet" in turn.reason
    assert "还没有文档" in turn.reason


def test_reasons_that_are_keys_are_said_in_both_languages() -> None:
    assert "还没有文档" in reason("answer.no_documents")
    assert "&lt;i&gt;" in reason("a <i> sentence | with a bar")


@pytest.mark.parametrize(
    "values",
    [{"temperature": 3}, {"temperature": -1}, {"top_p": 0}, {"seed": -1}, {"k": 0}, {"k": 999}, {"temperature": "0"},
     {"temperature": None}, {"temperature": True}, {"temperature": float("nan")}, {"k": 0.5}, {"mode": "shout"},
     {"mode": None}, {"strategy": "luck"}, {"strategy": ["direct"]}],
)  # fmt: skip
def test_settings_out_of_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(payload.Refused):
        settings_panel.checked(values)


def test_settings_in_range_are_taken_and_the_rest_are_defaults() -> None:
    chosen = settings_panel.checked({"temperature": 0.7, "seed": 3, "mode": "compose", "unknown": 1})
    assert chosen == {"temperature": 0.7, "top_p": 1.0, "seed": 3, "k": 5, "mode": "compose", "strategy": "direct"}
    assert settings_panel.checked("rubbish")["temperature"] == 0


def test_a_refused_setting_is_told_and_nothing_is_asked(make: Callable[..., Talk]) -> None:
    chain = Script()
    talk = make(chain)
    given = talk.ask("q", json.dumps({"settings": {"temperature": 9}}), "", request())
    assert "temperature" in given[1]
    given = talk.ask("q", json.dumps({"prompts": {"no_such": "x"}}), "", request())
    assert "no_such" in given[1]
    given = talk.ask("q", json.dumps({"scope": {"files": [77]}}), "", request())
    assert "no longer in the index" in given[1]
    assert chain.asked == []
    assert talk._workspace.conversations.list("local") == []


def test_a_prompt_is_judged_before_it_is_kept() -> None:
    told = json.loads(prompt_editor.judge({"name": "human_en", "text": "no variables <b>"}))
    assert not told["fine"]
    assert "<b>" not in told["said"]
    assert json.loads(prompt_editor.judge({"name": "quote_en", "text": "Copy."}))["fine"]
    assert not json.loads(prompt_editor.judge(None))["fine"]


@pytest.mark.parametrize("sent", [None, 3, "[", "[1]", "[" * 100_000, "x" * 2_000_000])
def test_rubbish_sent_with_a_question_counts_as_nothing(sent: object) -> None:
    assert payload.sent(sent) == {}


def test_the_newest_turn_is_kept_apart() -> None:
    shown = view([Turn("one", "done", answer=ANSWER), Turn("two")])
    assert "one" in shown.done
    assert "two" not in shown.done
    assert "two" in shown.live
