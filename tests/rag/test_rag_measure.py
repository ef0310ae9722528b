"""Evaluation's curve, baselines and failures: what they say about outcomes that are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rag import curve
from rag.__main__ import main
from rag.baselines import best_matching
from rag.calibration import bundled
from rag.chain import AnswerChain
from rag.outcomes import KINDS, Outcome, failure, failures, table
from rag.questions import Question
from rag.types import Answer, Citation, RagError, Source
from tests.rag.test_rag_cli import last, squad

PASSAGE = "The tower was lit in 1871. It is 32 metres tall."


def outcome(
    confidence: float,
    *,
    holds: bool,
    refused: bool = False,
    found: bool = True,
    answerable: bool = True,
    removed: bool = False,
    exact: str = "",
    asked: str = "When?",
) -> Outcome:
    question = Question(asked, 0, ((21, "1871"),) if answerable else ())
    place = {"n": 1, "doc_id": 1, "chunk_id": 1, "source": "a|b", "score": 0.5}
    run = exact or PASSAGE[:26]
    at = PASSAGE.index(run)
    shown = [Citation(**place, start=at, end=at + len(run), quote=run, exact=bool(exact))]
    answer = Answer(
        question=asked, rewritten=asked, answer="x", refused=refused, confidence=confidence, mode="quote",
        language="en", citations=[] if refused else shown,
        sources=[Source(**place, start=0, end=len(PASSAGE), text=PASSAGE)],
    )  # fmt: skip
    return Outcome(question, removed, answer, shown, holds, found)


def test_the_curve_of_known_outcomes() -> None:
    asked = [outcome(c, holds=h, refused=c < 0.5) for c, h in [(0.9, True), (0.8, False), (0.6, True), (0.2, False)]]
    found = curve.curve(asked, 0.5)
    assert found is not None
    assert found["area"] == pytest.approx((1 + 1 / 2 + 2 / 3 + 2 / 4) / 4, abs=1e-4)
    assert found["best_area"] == pytest.approx((1 + 1 + 2 / 3 + 2 / 4) / 4, abs=1e-4)
    assert (found["threshold"], found["coverage"], found["accuracy"]) == (0.5, 0.75, 0.6667)
    assert found["points"][-1] == {"coverage": 1.0, "threshold": 0.2, "accuracy": 0.5}
    coverages = [p["coverage"] for p in found["points"]]
    assert coverages == sorted(coverages)
    assert curve.curve([], 0.5) is None
    refused = curve.curve([outcome(0.1, holds=True, refused=True)], 0.5)
    assert refused is not None and (refused["coverage"], refused["accuracy"]) == (0.0, None)


def test_removed_paragraphs_join_the_answerable_questions_alone() -> None:
    asked = [outcome(0.9, holds=True), outcome(0.8, holds=False, answerable=False)]
    gone = [outcome(0.3, holds=False, removed=True)] * 2
    found = curve.curves(asked, gone, 0.5)
    assert found["as_asked"]["questions"] == 2 and found["gold_removed"]["questions"] == 3  # type: ignore[index]
    assert found["gold_removed"]["area"] == found["gold_removed"]["best_area"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"holds": True}, None),
        ({"holds": True, "exact": "1871"}, None),
        ({"holds": False, "found": False}, 0),
        ({"holds": False, "found": False, "refused": True}, 0),
        ({"holds": False}, 1),
        ({"holds": True, "exact": "tower"}, 2),
        ({"holds": True, "refused": True}, 3),
        ({"holds": False, "answerable": False}, 4),
        ({"holds": False, "removed": True, "found": False}, 4),
        ({"holds": False, "answerable": False, "refused": True}, None),
    ],
)
def test_the_kind_of_a_failure(given: dict[str, Any], kind: int | None) -> None:
    assert failure(outcome(0.5, **given), "en") == (None if kind is None else KINDS[kind])


def test_failures_are_spread_over_the_kinds_and_drawn_by_seed() -> None:
    many = [outcome(0.5, holds=False, asked=f"s{i}") for i in range(20)]
    many += [outcome(0.5, holds=False, found=False, asked=f"p{i}") for i in range(20)]
    many += [outcome(0.1, holds=True, refused=True, asked="r")]
    rows = failures(many, 7, 0, "en")
    assert [row["kind"] for row in rows] == [KINDS[0]] * 3 + [KINDS[1]] * 3 + [KINDS[3]]
    assert rows == failures(many, 7, 0, "en") != failures(many, 7, 1, "en")
    assert len({row["question"] for row in rows}) == 7
    assert len(failures(many, 100, 0, "en")) == 41


def test_the_table_keeps_its_columns() -> None:
    odd = outcome(0.5, holds=False, asked="Is a|b\n\\ here? " + "long " * 100)
    gone = outcome(0.25, holds=False, removed=True)
    lines = table(failures([odd, gone, outcome(0.1, holds=True, refused=True)], 3, 0, "en")).split("\n")
    assert len(lines) == 5
    assert all(len(line.replace("\\\\", "").replace("\\|", "").split("|")) == 7 for line in lines)
    assert "a\\|b \\\\ here?" in lines[2] and "…" in lines[2]
    assert "| a refusal | 0.10 |" in lines[3]
    assert "none (its paragraph was taken away)" in lines[4] and "| 0.25 |" in lines[4]


def test_best_matching_sentences_stay_in_the_budget(chain: AnswerChain) -> None:
    state = chain.prepare("When was the lighthouse of Skarholm built?")
    chain.answer(state)
    shown = best_matching(state["scored"])
    assert "1874" in shown[0]
    assert sum(len(text.split()) for text in shown) <= 60


def test_evaluate_with_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = squad(tmp_path / "small.json")
    argv = ["evaluate", str(path), "--model", "none", "--failures", "3", "--curve"]
    assert main([*argv, str(tmp_path / "curve.json"), "--json"]) == 0
    found = last(capsys)["small.json"]
    assert set(found) == {
        "questions", "paragraphs", "model", "retrieval", "reader", "end_to_end", "abstention", "verbatim_rate",
        "latency_ms", "baselines", "curve", "failures",
    }  # fmt: skip
    base = found["baselines"]
    assert set(base) == {"sentences", "plain", "best_cosine", "bm25_per_term", "encoder_sentence"}
    # Without a model, the chain is its own plain baseline.
    assert base["plain"]["answer_in_quote"] == found["end_to_end"]["answer_in_quote"]
    assert base["plain"]["auroc"] == found["abstention"]["auroc"]
    assert base["plain"]["auroc_gold_removed"] == found["abstention"]["auroc_gold_removed"]
    assert set(base["encoder_sentence"]) == {"em", "f1", "holds_answer"} and base["encoder_sentence"]["f1"] < 0.5
    assert base["sentences"]["answer_in_quote"] >= 0.9 and base["best_cosine"]["auroc"] > 0.8
    line = found["curve"]["as_asked"]
    assert line["questions"] == 20 and line["points"][-1]["accuracy"] == pytest.approx(0.5, abs=0.06)
    assert line["threshold"] == bundled()["en"]["plain"].threshold and line["area"] > 0.7
    assert json.loads((tmp_path / "curve.json").read_text())["small.json"] == found["curve"]
    assert all(row["kind"] in KINDS for row in found["failures"]) and len(found["failures"]) <= 3

    assert main([*argv, str(tmp_path / "curve.png")]) == 0
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    shown = capsys.readouterr().out
    assert "without the model, best cosine: auroc" in shown and "curve, as asked: area" in shown
    assert "| what went wrong |" in shown


def test_a_curve_is_drawn_for_every_file() -> None:
    asked = [outcome(i / 20, holds=i % 3 > 0, refused=i < 5) for i in range(20)]
    parts = curve.curves(asked, [], 0.25)
    figure = curve.draw({"a.json": parts, "b.json": {"as_asked": parts["as_asked"], "gold_removed": None}})
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles == ["a.json", "b.json"]
    dot = next(line for line in figure.axes[1].lines if line.get_marker() == "o")
    assert [float(dot.get_xdata()[0]), float(dot.get_ydata()[0])] == [0.75, 0.6667]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--curve", "curve.pdf"], "ends neither in .png nor in .json"),
        (["--curve", "no/such/curve.png"], "does not exist"),
        (["--failures", "-1"], "give 0 or more"),
        (["--failures", "2", "--seed", "x"], "seed"),
    ],
)
def test_bad_options_are_told_before_the_work(
    tmp_path: Path, flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(squad(tmp_path / "small.json")), "--model", "none", *flags]) == 2
    told = capsys.readouterr().err.strip()
    assert said in told and "\n" not in told


def test_a_curve_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "curve.json").mkdir()
    with pytest.raises(RagError, match="cannot be written"):
        curve.write(tmp_path / "curve.json", {"a": {"curve": {}}})
