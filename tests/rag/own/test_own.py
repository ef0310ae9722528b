"""``evaluate --own``: questions from one's own documents, sound and repeatable, and two settings side by side."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ingest.pipeline import ingest
from ingest.store import Store
from rag.__main__ import main
from rag.own import compare
from rag.own.command import evaluate_own
from rag.own.items import KINDS, OwnItem, Place, make_items, read_places
from rag.own.measure import Asked, find_golds
from rag.search import Searcher
from rag.settings import load
from rag.tuning.sections import Section
from rag.types import RagError

RIVERS = ("Alva", "Borrin", "Cast", "Dunnow", "Ester", "Fallo", "Gimmer", "Hask")
TOWNS = ("Aldby", "Brantor", "Corvale", "Dresk", "Elmouth", "Farrowgate", "Gansted", "Holmwick")
ZH_TOWNS = ("青岚镇", "白石镇", "赤松镇", "黑水镇", "云门镇", "金川镇", "玉泉镇", "银杏镇")


def english(n: int) -> str:
    river, town = RIVERS[n], TOWNS[n]
    return (
        f"# The river {river}\n\n## Where the {river} rises\n\nThe {river} rises in a bog {10 + n} miles above {town}. "
        f"Its water is brown in winter, and the millers of {town} built {n + 3} wheels beside it in {1700 + 11 * n}. "
        f"A ferry crossed it until the great flood took the landing of {town} away one night in spring.\n\n"
        f"## Fishing in the {river}\n\nA {river} permit is a card that allows one rod on the bank for a day. "
        f"Salmon return to the {river} every autumn, and the warden Edda {town}son counts them at the weir. "
        f"Nobody may fish below the bridge of {town} after the bells have rung in the evening.\n"
    )


def chinese(n: int) -> str:
    town = ZH_TOWNS[n]
    return (
        f"# {town}\n\n## {town}的历史\n\n{town}建于{1400 + 13 * n}年，由将军{'赵钱孙李周吴郑王'[n]}云飞主持修筑城墙。"
        f"当年城墙长约{n + 4}公里，后来在洪水中倒塌了一半，居民用河里的石头重新修好。城门上至今刻着工匠的名字。\n\n"
        f"## {town}的特产\n\n{town}最有名的特产是用{'梨桃杏李枣柿橘梅'[n]}花蜜做成的糕点，每年春天有{n + 20}家作坊一起开工。"
        f"外地商人常常提前三个月预订，再沿着旧驿道运到省城的集市上去卖。糕点盒上印着城门的图案。\n"
    )


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "papers").mkdir()
    for n in range(8):
        (folder / "papers" / f"river{n}.md").write_text(english(n), encoding="utf-8")
        (folder / "papers" / f"town{n}.md").write_text(chinese(n), encoding="utf-8")
    (folder / "papers" / "copy.md").write_text(english(0), encoding="utf-8")
    ingest([folder / "papers"], folder / "store")
    return folder / "papers"


@pytest.fixture(scope="module")
def places(papers: Path) -> list[Place]:
    with Store.open(papers.parent / "store") as store:
        return read_places(store, store.documents())


@pytest.fixture(scope="module")
def items(places: list[Place]) -> list[OwnItem]:
    return make_items(places, 60, 0)


def test_questions_are_sound(papers: Path, items: list[OwnItem]) -> None:
    assert {item.kind for item in items} == set(KINDS)
    assert {item.language for item in items} == {"en", "zh"}
    assert len({item.path for item in items}) == 16, "every document is asked about, its copy not once more"
    assert len({item.question for item in items}) == len(items)
    with Store.open(papers.parent / "store") as store:
        for item in items:
            document = store.find(item.path)
            assert document is not None
            said = store.text(document.id)[item.start : item.end]
            assert item.answer in (said, None) and said.strip()
            assert item.answer is None or item.answer not in item.question


def test_the_seed_alone_decides(places: list[Place], items: list[OwnItem]) -> None:
    assert make_items(list(places), 60, 0) == items != make_items(places, 60, 1)
    assert make_items(places, 10, 0) == items[:10]


def test_the_right_passages_include_copies(papers: Path, items: list[OwnItem]) -> None:
    searcher = Searcher.open(papers.parent / "store")
    try:
        golds = find_golds(searcher, items)
        for item, gold in zip(items, golds, strict=True):
            chunks = searcher.store.chunks(sorted(gold.chunks))
            copied = Path(item.path).name in ("copy.md", "river0.md")
            assert {chunk.doc_id for chunk in chunks} == gold.documents and len(gold.documents) == 1 + copied
            assert item.answer is None or all(item.answer in chunk.text for chunk in chunks)
    finally:
        searcher.close()


def section(text: str, *headings: str, language: str = "en") -> Place:
    return Place(Section(text, headings, language, str(hash(text))), "a.md", 0)


@pytest.mark.parametrize(
    "place",
    [
        section("| 12 | 4.5 | 88 |\n| 13 | 4.7 | 89 |\n| 14 | 4.9 | 90 |\n| 15 | 5.1 | 91 |"),
        section("x = foo(1, 2)\ny = bar(3, 4)\nprint(x + y, z[0], {1: 2})"),
        section("Short.", "One"),
    ],
)
def test_tables_and_code_are_not_asked_about(place: Place) -> None:
    with pytest.raises(RagError, match="No questions can be made"):
        make_items([place], 5, 0)


def test_no_question_is_read_as_a_scope() -> None:
    text = "The decorator stands above the method that it turns into an attribute of the class."
    places = [section(f"{text} {n}", "Guide", name) for n, name in enumerate(("@property and more", "in:place change"))]
    made = make_items([*places, section(f"{text} {text}", "Guide", "Setters")], 9, 0)
    assert {item.question for item in made if item.kind == "heading"} == {"Setters"}


def test_figures_of_both_settings(papers: Path) -> None:
    settings = load(model="none", k=3, seed=3)
    found = evaluate_own(papers, settings, store=papers.parent / "store", limit=40, against=["k=1", "seed=3"])
    assert found["questions"] == 40 == sum(found["kinds"].values()) == sum(found["languages"].values())
    assert found["documents"] == 17 and (found["settings"]["k"], found["against"]["settings"]["k"]) == (3, 1)
    for figures in (found, found["against"]):
        for leg in ("lexical", "hybrid"):
            recall = figures["retrieval"][leg]
            assert 0.6 < recall["r1"] <= recall["r5"] <= recall["r10"] <= 1
        assert figures["answer_in_quote"] > 0.5 > figures["refused_answerable"]
        assert figures["planted"] > 3 and 0 <= figures["refused_planted"] <= 1 and 0 <= figures["auroc_planted"] <= 1
        assert 0 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["p95"]
        assert sum(figures["by"][kind]["questions"] for kind in KINDS if kind in figures["by"]) == 40
    assert found["retrieval"] == found["against"]["retrieval"], "k changes what is read, not what is found"
    row = found["comparison"]["answer_in_quote"]
    assert row["interval_95"][0] <= row["gain"] <= row["interval_95"][1] and row["gain"] <= 0


def test_gain_and_noise_are_told_apart(items: list[OwnItem]) -> None:
    def asked(rank: int, *, holds: bool) -> Asked:
        return Asked(dict.fromkeys(("dense", "lexical", "hybrid"), rank), holds, False, 0.5, 10.0)

    rng = np.random.default_rng(0)
    one = [asked(2, holds=bool(rng.random() < 0.5)) for _ in items]
    other = [asked(1, holds=bool(rng.random() < 0.5)) for _ in items]
    found = compare.compare(items, one, other)
    assert found["hybrid r1"]["verdict"] == "better" and found["hybrid r5"]["verdict"] == "noise"
    assert found["answer_in_quote"]["verdict"] == "noise" and "refused_planted" not in found
    assert compare.compare(items, other, one)["hybrid r1"]["verdict"] == "worse"


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--against", "k"], "'k' is no setting to compare with: write KEY=VALUE"),
        (["--against", "colour=red"], "where KEY is k, model"),
        (["--against", "k=900"], "k is '900', but it must be a whole number from 1 to 50"),
        (["--against", "k=5"], "k=5 is what is measured already"),
        (["--limit", "0"], "The limit is 0"),
        (["--curve", "a.png"], "--own makes its own questions"),
    ],
)
def test_one_sentence_for_wrong_flags(
    papers: Path, capsys: pytest.CaptureFixture[str], flags: list[str], sentence: str
) -> None:
    store = str(papers.parent / "store")
    assert main(["evaluate", "--own", str(papers), "--store", store, "--model", "none", *flags]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1


def test_the_command_line(papers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", "--own", str(papers / "river1.md"), "--store", str(papers.parent / "store")]
    assert main([*command, "--model", "none", "--limit", "4"]) == 0
    assert "hybrid" in capsys.readouterr().out
    few = tmp_path / "few"
    few.mkdir()
    (few / "a.md").write_text(english(2), encoding="utf-8")
    assert main(["evaluate", "--own", str(few), "--model", "none", "--limit", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["documents"] == 1 and found["refused_planted"] is None and found["planted"] == 0
    assert main([*command[:2], str(few), *command[3:], "--model", "none"]) == 2
    assert "has no document at or under" in capsys.readouterr().err
    for flags in ([], ["squad.json", "-k", "3"], ["squad.json", "--against", "k=3"]):
        assert main(["evaluate", *flags]) == 2
        assert "--own PATH" in capsys.readouterr().err
