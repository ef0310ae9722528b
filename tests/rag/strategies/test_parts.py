"""What the strategies are made of: votes, splitting by rules, reading back thoughts and scores."""

from __future__ import annotations

import pytest

from rag.parsers import hide_thinking, split_thinking
from rag.strategies.split import split
from rag.strategies.tree import proposals, scores_of
from rag.strategies.voting import elect


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("When and where was the treaty signed?", ["When was the treaty signed?", "Where was the treaty signed?"]),
        ("When was it built and who built the tower?", ["When was it built?", "Who built the tower?"]),
        ("Who wrote Emma? When did it appear?", ["Who wrote Emma?", "When did Emma appear?"]),
        ("Which is taller, the Eiffel Tower or Big Ben?", ["How tall is the Eiffel Tower?", "How tall is Big Ben?"]),
        ("What are Oslo and Bergen known for?", ["What is Oslo known for?", "What is Bergen known for?"]),
        ("How is a refusal decided, and what is a chunk?", ["How is a refusal decided?", "What is a chunk?"]),
        ("黄河和长江分别有多长？", ["黄河有多长？", "长江有多长？"]),
        ("泰山和华山哪个更高？", ["泰山有多高？", "华山有多高？"]),
        ("故宫建于哪一年？长城有多长？", ["故宫建于哪一年？", "长城有多长？"]),
    ],
)
def test_parts_of_a_question(question: str, parts: list[str]) -> None:
    assert split(question) == parts


@pytest.mark.parametrize(
    "question",
    [
        "When was the lighthouse built?",
        "What do the council and its members decide?",
        "Who discovered salt and pepper?",
        "What is the difference that he and she made?",
        "Why did Romeo and Juliet die?",
        "What happened between 1914 and when the war ended?",
        "长城在哪一年被列为世界遗产？",
        "水和空气的主要成分是什么？",
        "他在什么时候和谁一起离开的？",
    ],
)
def test_questions_of_one_part_stay_whole(question: str) -> None:
    assert split(question) in ([question], split(question)[:1])


def test_the_vote() -> None:
    assert elect(["in 1874", "1931", "In 1874."], "en") == (0, pytest.approx(2 / 3))
    chosen, agreement = elect(["built in the year 1874", "a storm in 1931", "it was built in 1874"], "en")
    assert chosen in (0, 2) and agreement == pytest.approx(1 / 3)
    assert elect(["八十摄氏度", "八十 摄氏度。", "七十"], "zh")[0] == 0
    assert elect(["a"], "en") == (0, 1.0)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<think>hm</think> yes", ("hm", "yes")),
        ("hm</think>yes", ("hm", "yes")),
        ("yes", ("", "yes")),
        ("<think>endless", ("endless", "")),
    ],
)
def test_thinking_is_told_from_the_answer(text: str, found: tuple[str, str]) -> None:
    assert split_thinking(text) == found


@pytest.mark.parametrize("step", [1, 2, 5, 100])
def test_thinking_is_hidden_however_it_arrives(step: int) -> None:
    for text, shown in (
        (" <think>secret</think>\nThe answer <b>.", "The answer <b>."),
        ("Plain <think>", "Plain <think>"),
        ("<thi", "<thi"),
        ("<think>never ends", ""),
        ("", ""),
    ):
        pieces = [text[i : i + step] for i in range(0, len(text), step)]
        assert "".join(hide_thinking(pieces)) == shown


def test_proposals_and_scores_of_any_shape() -> None:
    assert proposals("Sure!\n1. one\n2) two\n3、三\n4. four") == ["one", "two", "三"]
    assert proposals("- a\n- a\nrubbish") == ["a"] and proposals(" \n") == []
    assert proposals("just a line") == ["just a line"]
    assert scores_of("1: 7\n2. 10\nCandidate 3: 4.5\n9: 9\nnoise", 3) == [7.0, 10.0, 4.5]
    assert scores_of("1: 99", 1) == [10.0] and scores_of("", 2) == [0.0, 0.0]
