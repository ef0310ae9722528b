"""What is kept of conversations: turns and their versions, search in both languages, feedback, limits."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.conversations import FILE, ConversationError, Conversations, NotFound, StoredTurn
from app.conversations import store as module
from app.conversations.search import TITLE, snippet, title
from tests.app.app_samples import make_answer, make_citation, make_source
from tests.app.job_samples import Clock

SOURCE = make_source()
ANSWER = make_answer("“A dam holds them back.” [1]", [SOURCE], [make_citation(SOURCE, "A dam holds them back.")])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(tmp_path: Path, clock: Clock) -> Iterator[Conversations]:
    kept = Conversations(tmp_path / "store" / FILE, clock)
    yield kept
    kept.close()


def talk(kept: Conversations, question: str, answer: str = "No.", owner: str = "ann") -> StoredTurn:
    turn = kept.append(owner, kept.create(owner).id, question)
    kept.finish(turn.id, "done", make_answer(answer, [], []))
    return kept.turn(owner, turn.id)


def questions(kept: Conversations, id: str) -> list[str]:
    return [turn.question for turn in kept.turns("ann", id)]


def test_an_answer_comes_back_whole(kept: Conversations) -> None:
    id = kept.create("ann").id
    turn = kept.append("ann", id, "Who holds it?", {"seed": 3, "k": 5}, job="j1")
    assert (turn.status, turn.open, turn.answer, turn.job, turn.number) == ("waiting", True, None, "j1", 0)
    kept.finish(turn.id, "done", ANSWER, seconds=1.5)
    again = Conversations(kept.path)
    (found,) = again.turns("ann", id)
    assert found.answer == ANSWER and found.answer.citations[0].start == ANSWER.citations[0].start
    assert (found.status, found.seconds, dict(found.options)) == ("done", 1.5, {"seed": 3, "k": 5})
    again.close()


def test_nothing_is_made_by_looking(kept: Conversations) -> None:
    assert kept.list("ann") == [] and kept.list("ann", "river") == []
    with pytest.raises(NotFound):
        kept.turns("ann", "x")
    assert not kept.path.exists()


def test_only_the_owner_sees(kept: Conversations) -> None:
    turn = talk(kept, "A secret?")
    id = turn.conversation
    assert kept.list("bob") == [] and kept.list("bob", "secret") == []
    for forbidden in (
        lambda: kept.get("bob", id),
        lambda: kept.turns("bob", id),
        lambda: kept.turn("bob", turn.id),
        lambda: kept.before("bob", turn.id),
        lambda: kept.append("bob", id, "q"),
        lambda: kept.replace("bob", turn.id),
        lambda: kept.choose("bob", turn.id),
        lambda: kept.rename("bob", id, "mine"),
        lambda: kept.rate("bob", turn.id, "up"),
        lambda: kept.delete("bob", id),
    ):
        with pytest.raises(NotFound, match="no such conversation"):
            forbidden()
    assert kept.clear("bob") == 0 and kept.get("ann", id).turns == 1
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600


def test_a_file_others_could_read_is_closed_to_them(kept: Conversations) -> None:
    talk(kept, "q")
    kept.close()
    kept.path.chmod(0o644)
    kept.list("ann")
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600


def test_newest_first(kept: Conversations, clock: Clock) -> None:
    first = kept.create("ann", "first")
    clock.now += 1
    kept.create("ann", "second")
    assert [c.title for c in kept.list("ann")] == ["second", "first"]
    clock.now += 1
    kept.append("ann", first.id, "again")
    assert [c.title for c in kept.list("ann")] == ["first", "second"]
    assert [c.title for c in kept.list("ann", limit=1, offset=1)] == ["second"]
    assert kept.list("ann")[0].updated == clock.now and kept.list("ann")[0].turns == 1


def test_edit_and_regenerate_keep_what_was(kept: Conversations) -> None:
    id = kept.create("ann").id
    first = kept.append("ann", id, "one", {"seed": 1})
    second = kept.append("ann", id, "two")
    kept.append("ann", id, "three")
    assert questions(kept, id) == ["one", "two", "three"]
    edited = kept.replace("ann", second.id, "zwei")
    assert (edited.version, edited.versions, edited.parent) == (2, [second.id, edited.id], first.id)
    assert questions(kept, id) == ["one", "zwei"], "what followed the old question does not follow the new one"
    kept.append("ann", id, "drei")
    kept.choose("ann", second.id)
    assert questions(kept, id) == ["one", "two", "three"]
    kept.choose("ann", edited.id)
    assert questions(kept, id) == ["one", "zwei", "drei"]
    again = kept.replace("ann", first.id, options={"seed": 2})
    assert (again.question, dict(again.options), again.number) == ("one", {"seed": 2}, 0)
    same = kept.replace("ann", first.id)
    assert (dict(same.options), same.version) == ({"seed": 1}, 3)
    assert questions(kept, id) == ["one"]
    kept.choose("ann", first.id)
    assert questions(kept, id) == ["one", "zwei", "drei"]
    assert [turn.question for turn in kept.before("ann", kept.turns("ann", id)[-1].id)] == ["one", "zwei"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("水库", "zh"),  # two characters, which trigrams cannot find
        ("库", "zh"),
        ("水庫", "zh"),  # traditional
        ("大坝", "zh"),  # in the answer
        ("三峡大坝", ""),  # both words, but not side by side
        ("三峡 大坝", "zh"),
        ("reserv", "en"),
        ("RESERVOIR full", "en"),
        ("full reservoir!", "en"),
        ("“reservoir”", "en"),
        ("eservoir", ""),
        ('" OR * NOT (', ""),
        ("!?", ""),
    ],
)
def test_search(kept: Conversations, query: str, found: str) -> None:
    ids = {
        "en": talk(kept, "Is the reservoir full?", "Not yet.").conversation,
        "zh": talk(kept, "三峡的水库满了吗？", "大坝还没有蓄满。").conversation,
    }
    assert [c.id for c in kept.list("ann", query)] == ([ids[found]] if found else [])


def test_titles_are_searched_and_follow_a_new_name(kept: Conversations) -> None:
    id = talk(kept, "Is it full?").conversation
    kept.rename("ann", id, "  Dams\nand\u202e 水库 ")
    assert kept.get("ann", id).title == "Dams and 水库"
    assert kept.list("ann", "dam") and kept.list("ann", "水库") and kept.list("ann", "full")
    kept.rename("ann", id, "other")
    assert not kept.list("ann", "dam")
    with pytest.raises(ConversationError, match="cannot be empty"):
        kept.rename("ann", id, " \n")


def test_snippets(kept: Conversations) -> None:
    talk(kept, "What then?", "x " * 100 + "the Reservoir is full " + "y " * 100)
    (found,) = kept.list("ann", "reservoir")
    assert "the Reservoir is full" in found.snippet and found.snippet[0] == found.snippet[-1] == "…"
    assert "水库" in snippet("ﬁ" * 30 + "三峡的水库满了吗" + "长" * 99, "水庫"), "folding changes the length of what stands before"
    assert snippet("short", "nothing") == "short"


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Who holds it?", "Who holds it?"),
        ("@dams.md  Who\nholds it?", "Who holds it?"),
        ("word " * 40, "word " * 11 + "word…"),
        ("水" * 40, "水" * 30 + "…"),
        ("w" * 100, "w" * TITLE + "…"),
        ("@dams.md", "@dams.md"),
    ],
)
def test_titles_come_from_the_first_question(question: str, expected: str) -> None:
    assert title(question) == expected


def test_the_second_question_leaves_the_title(kept: Conversations) -> None:
    id = talk(kept, "first").conversation
    kept.append("ann", id, "second")
    assert kept.get("ann", id).title == "first"
    named = kept.create("ann", "mine")
    kept.append("ann", named.id, "first")
    assert kept.get("ann", named.id).title == "mine"


def test_deleted_words_are_gone_from_the_file(kept: Conversations) -> None:
    keep = talk(kept, "Something harmless?")
    gone = talk(kept, "Zanzibarquestion?", "Zanzibaranswer.")
    other = talk(kept, "Madagascarquestion?", owner="bob")
    assert b"zanzibarquestion" in kept.path.read_bytes().lower()
    kept.delete("ann", gone.conversation)
    assert kept.clear("bob") == 1
    kept.finish(gone.id, "done", ANSWER)  # its job ends after all
    kept.close()
    data = kept.path.read_bytes().lower()
    assert b"zanzibar" not in data and b"madagascar" not in data and b"harmless" in data
    assert [c.id for c in kept.list("ann")] == [keep.conversation] and not kept.list("ann", "Zanzibar")
    with pytest.raises(NotFound):
        kept.turn("bob", other.id)


def test_feedback(kept: Conversations) -> None:
    turn = talk(kept, "q")
    kept.rate("ann", turn.id, "down", ["wrong", "x" * 99, *"abcdefghijk"], " It is the other dam. \ud800")
    rated = kept.turn("ann", turn.id)
    assert (rated.rating, rated.comment) == ("down", "It is the other dam. ?")
    assert rated.reasons[0] == "wrong" and len(rated.reasons) == 8 and len(rated.reasons[1]) == 40
    talk(kept, "unrated")
    mine = talk(kept, "bob's", owner="bob")
    kept.rate("bob", mine.id, "down")
    assert [(owner, turn.question) for owner, turn in kept.rated()] == [("ann", "q"), ("bob", "bob's")]
    assert [owner for owner, _ in kept.rated("bob")] == ["bob"] and not list(kept.rated(rating="up"))
    kept.rate("ann", turn.id, "", ["wrong"], "x")
    assert not list(kept.rated("ann")) and kept.turn("ann", turn.id).comment == ""
    with pytest.raises(ConversationError):
        kept.rate("ann", turn.id, "sideways")  # type: ignore[arg-type]


def test_limits(kept: Conversations, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CONVERSATIONS", 2)
    monkeypatch.setattr(module, "MAX_TURNS", 2)
    id = kept.create("ann").id
    kept.create("ann")
    with pytest.raises(ConversationError, match="You have 2 conversations"):
        kept.create("ann")
    kept.create("bob")
    turn = kept.append("ann", id, "q")
    kept.replace("ann", turn.id)
    with pytest.raises(ConversationError, match="has 2 turns"):
        kept.append("ann", id, "q")
    assert kept.turn("ann", turn.id).question == "q"


def test_a_later_version_is_told(kept: Conversations) -> None:
    kept.create("ann")
    kept.close()
    with sqlite3.connect(kept.path) as db:
        db.execute("PRAGMA user_version=9")
    db.close()
    with pytest.raises(ConversationError, match=r"by a later version of Openbook \(format 9, this one knows 1\)"):
        kept.list("ann")


@pytest.mark.parametrize(("content", "said"), [(b"hello " * 500, "is damaged"), (b"", "")])
def test_a_file_of_something_else(kept: Conversations, content: bytes, said: str) -> None:
    kept.path.parent.mkdir()
    kept.path.write_bytes(content)
    if said:
        with pytest.raises(ConversationError, match=said):
            kept.list("ann")
        assert kept.path.read_bytes() == content
    else:
        assert kept.list("ann") == []  # an empty file is what a process killed at once leaves


def test_another_database(kept: Conversations) -> None:
    kept.path.parent.mkdir()
    with sqlite3.connect(kept.path) as db:
        db.execute("CREATE TABLE mine(x)")
    db.close()
    with pytest.raises(ConversationError, match="not a file of conversations"):
        kept.create("ann")


def test_an_answer_of_another_version_is_not_shown(kept: Conversations) -> None:
    turn = talk(kept, "q")
    kept.close()
    with sqlite3.connect(kept.path) as db:
        db.execute("UPDATE turn SET answer = x'00'")
    db.close()
    found = kept.turn("ann", turn.id)
    assert found.answer is None and found.error == "conversations.unreadable"


def test_a_file_that_went_away_is_made_again(kept: Conversations) -> None:
    talk(kept, "q")
    kept.path.unlink()
    assert kept.list("ann") == []
    assert kept.create("ann", "new").title == "new" and len(kept.list("ann")) == 1


def test_no_place_to_keep_them(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConversationError, match="cannot be kept in"):
        Conversations(tmp_path / "file" / FILE).create("ann")
