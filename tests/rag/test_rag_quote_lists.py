"""Answers of several items, and quotations that disagree."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ingest.fold import language
from ingest.pipeline import ingest
from rag import build_chain
from rag.chain import AnswerChain
from rag.conflicts import differ
from rag.listing import JOINED, MOST, ROOM, asks_for_several, items
from rag.shown import OTHERWISE
from rag.window import cost

FILES = {
    "safety.md": (
        "# Workshop\n\n## Safety rules\n\nThe safety rules of the workshop are:\n\n- Wear goggles at the lathe.\n"
        "- Tie back long hair.\n- Never leave a running machine.\n\nThe kettle stands in the corner.\n"
    ),
    "kiln.md": (
        "# Kiln\n\nOne more safety rule of the workshop: the kiln may be opened only below 80 degrees. "
        "The kiln was bought in 2011 from a potter in Delft.\n"
    ),
    "report.md": "# Report\n\nThe water tower of Elmham was finished in 1912. It is painted white.\n",
    "leaflet.md": "# Leaflet\n\nThe water tower of Elmham was finished in 1921. Visitors may climb it on Sundays.\n",
    "茶.md": "# 茶具\n\n泡茶需要以下茶具：\n\n1. 紫砂壶\n2. 公道杯\n3. 闻香杯\n\n茶室在二楼。\n",
    "塔.md": "# 水塔\n\n榆林镇的水塔建成于1912年，用红砖砌成。\n",
    "册.md": "# 小册子\n\n榆林镇的水塔建成于1921年，用红砖砌成。\n",
}


@pytest.fixture(scope="module")
def listing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnswerChain]:
    folder = tmp_path_factory.mktemp("lists")
    (folder / "files").mkdir()
    for name, text in FILES.items():
        (folder / "files" / name).write_text(text, encoding="utf-8")
    ingest([folder / "files"], folder / "store")
    made = build_chain(folder / "store", "none")
    yield made
    made.close()


@pytest.mark.parametrize(
    "question",
    [
        "List all safety rules", "What are the safety rules?", "Which tools are kept in the shed?", "Name the members",
        "What kinds of tea are there?", "列出所有的茶具", "有哪些茶具？", "泡茶需要哪些茶具？",
    ],
)  # fmt: skip
def test_questions_for_several_things(question: str) -> None:
    assert asks_for_several(question)


@pytest.mark.parametrize(
    "question",
    [
        "When was the tower finished?", "What is the safety rule?", "Which city is the largest?", "Who wrote it?",
        "What are you?", "What does the list say?", "茶室在几楼？", "水塔是哪一年建成的？",
    ],
)  # fmt: skip
def test_questions_for_one_thing(question: str) -> None:
    assert not asks_for_several(question)


@pytest.mark.parametrize("question", ["List all safety rules of the workshop.", "What are the safety rules of the workshop?"])
def test_items_come_from_several_passages(listing: AnswerChain, question: str) -> None:
    answer = listing.invoke(question)
    quotes = [citation.quote for citation in answer.citations]
    for item in ("Wear goggles at the lathe.", "Tie back long hair.", "Never leave a running machine."):
        assert item in quotes
    assert any("kiln may be opened only below 80 degrees" in quote for quote in quotes)
    assert not any("kettle" in quote for quote in quotes)
    assert len({citation.doc_id for citation in answer.citations}) == 2
    store = listing.retriever.searcher.store  # type: ignore[attr-defined]
    for c in answer.citations:
        assert store.text(c.doc_id)[c.start : c.end] == c.quote
        assert f"“{c.quote}” [{c.n}]" in answer.answer
    # What is not quoted is ours: the opening, and the names of the documents.
    ours = [line for line in answer.answer.splitlines() if not line.startswith("- “")]
    assert ours == [JOINED["en"], "From Workshop:", "From Kiln:"]
    assert len(quotes) <= MOST and sum(cost(quote, language(quote)) for quote in quotes) <= ROOM


@pytest.mark.parametrize("question", ["泡茶需要哪些茶具？", "列出泡茶的茶具"])
def test_chinese_items(listing: AnswerChain, question: str) -> None:
    answer = listing.invoke(question)
    assert {"紫砂壶", "公道杯", "闻香杯"} <= {citation.quote for citation in answer.citations}
    assert answer.answer.startswith(JOINED["zh"])


def test_a_question_for_one_thing_is_answered_as_ever(listing: AnswerChain) -> None:
    answer = listing.invoke("When was the kiln bought?")
    assert "2011" in answer.citations[0].quote and JOINED["en"] not in answer.answer


def test_the_items_of_a_list() -> None:
    text = "Rules:\n\n1. First\n2) Second\n- Third\n\n\n\n- Far away"
    assert [text[a:b] for a, b in items(text, 0, 6)] == ["First", "Second", "Third"]
    assert [text[a:b] for a, b in items(text, text.index("Second"), text.index("Second") + 3)] == ["First", "Second", "Third"]
    assert items("No list here. Nothing.", 0, 12) == []
    assert items("", 0, 0) == []


@pytest.mark.parametrize(
    ("question", "years", "lang"),
    [("When was the water tower of Elmham finished?", {"1912", "1921"}, "en"), ("榆林镇的水塔是哪一年建成的？", {"1912", "1921"}, "zh")],
)
def test_sources_that_disagree_are_shown_as_such(
    listing: AnswerChain, question: str, years: set[str], lang: str
) -> None:
    answer = listing.invoke(question)
    (conflict,) = answer.conflicts
    assert set(conflict.values) == years and conflict.first.doc_id != conflict.second.doc_id
    assert conflict.first in answer.citations and conflict.second in answer.citations
    assert all(year in answer.answer for year in years)
    assert OTHERWISE[lang] in answer.answer or len(answer.citations) > 1
    assert listing.invoke("When was the kiln bought?").conflicts == []


DISAGREE = [
    ("The tower was finished in 1912.", "The tower was finished in 1921."),
    ("A ticket for adults costs 12 kronor.", "A ticket for adults costs 14 kronor."),
    ("The bridge spans 312 metres between the towers.", "The bridge spans 321 metres between its towers."),
    ("The contract ends on 4 May 2024.", "The contract ends on 9 May 2024."),
    ("The contract ends on 4 May 2024.", "The contract ends on 4 June 2024."),
    ("The committee has seven members.", "The committee has nine members."),
    ("Employees receive 28 days of paid holiday every year.", "Employees receive 25 days of paid holiday every year."),
    ("The pump delivers 40 litres per minute at full load.", "At full load the pump delivers 45 litres per minute."),
    ("Water boils at 95 degrees in the high valley.", "In the high valley, water boils at 92 degrees."),
    ("水塔建成于1912年，用红砖砌成。", "水塔建成于1921年，用红砖砌成。"),
    ("员工每年有28天带薪假期。", "员工每年有25天带薪假期。"),
    ("成人门票每张十二元。", "成人门票每张十五元。"),
    ("委员会共有七名成员。", "委员会共有九名成员。"),
    ("合同于2024年5月4日到期。", "合同于2024年5月9日到期。"),
    ("大桥主跨312米，由铁缆悬吊。", "大桥主跨321米，由铁缆悬吊。"),
]
AGREE = [
    ("The tower was finished in 1912.", "The tower was finished in 1912."),
    ("The tower was finished in 1912.", "The bridge was finished in 1921."),
    ("Anna Berg was born in Oslo in 1901.", "Nils Berg was born in Oslo in 1904."),
    ("A ticket for adults costs 12 kronor.", "A ticket for children costs 6 kronor."),
    ("The school opened in 1890 and has 200 pupils.", "The school opened in 1890."),
    ("The population was 4,000 in 1950.", "The population was 9,000 in 2010."),
    ("It costs 5 euros.", "It costs 7 euros."),
    ("The tower is one thousand two hundred metres above the sea.", "The tower is 1,200 metres above the sea."),
    ("The engine has 4 cylinders.", "The engine does not have 6 cylinders."),
    ("Version 2 reads PDF files and pictures.", "Version 3 reads office files and mail."),
    ("In 1950 the factory made 300 pianos.", "In 1960 the factory made 700 pianos."),
    ("The train to Bergen leaves at 9.", "The train to Oslo leaves at 11."),
    ("北湖公司的员工每年有28天假期。", "橡岭公司的员工每年有25天假期。"),
    ("林素心生于1902年。", "高远山生于1888年。"),
    ("成人门票每张十二元。", "儿童门票每张六元。"),
    ("1950年人口为四千人。", "2010年人口为九千人。"),
    ("水塔建成于1912年。", "水塔建成于一九一二年。"),
    ("青岚桥主跨312米。", "石溪高架桥全长548米。"),
]


@pytest.mark.parametrize(("one", "other"), DISAGREE)
def test_sentences_that_disagree(one: str, other: str) -> None:
    assert differ(one, other) is not None and differ(other, one) is not None


@pytest.mark.parametrize(("one", "other"), AGREE)
def test_sentences_that_do_not(one: str, other: str) -> None:
    assert differ(one, other) is None and differ(other, one) is None
