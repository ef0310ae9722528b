"""``python -m rag``: JSON, exit codes, one-sentence errors, evaluate and calibrate on a tiny question file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag.__main__ import main


def last(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_search(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "How tall is the lighthouse?", "--store", str(store), "-k", "2", "--json"]) == 0
    hits = last(capsys)["hits"]
    assert len(hits) == 2 and "42 metres" in hits[0]["text"]
    assert {"source", "title", "start", "end", "text", "score", "dense_rank", "lexical_rank"} <= set(hits[0])
    assert main(["search", "How tall is the lighthouse?", "--store", str(store)]) == 0
    assert "lighthouse.md" in capsys.readouterr().out


def test_ask(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "龙井茶产于哪里？", "--store", str(store), "--model", "none", "--json"]) == 0
    answer = last(capsys)
    assert "杭州" in answer["answer"] and not answer["refused"]
    assert {"n", "source", "title", "page", "start", "end", "quote", "score"} <= set(answer["citations"][0])
    assert main(["ask", "When was the lighthouse built?", "--store", str(store), "--model", "none"]) == 0
    shown = capsys.readouterr().out
    assert "1874" in shown and "lighthouse.md" in shown


@pytest.mark.parametrize(
    "flags",
    [
        ["ask", "  "],
        ["ask", "x" * 20_000],
        ["ask", "q", "--temperature", "3"],
        ["ask", "q", "--temperature", "hot"],
        ["ask", "q", "-k", "0"],
        ["ask", "q", "--model", "no-such-model"],
        ["search", ""],
    ],
)
def test_bad_input_is_one_line_and_exit_2(store: Path, flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*flags, "--store", str(store)]) == 2
    told = capsys.readouterr().err.strip()
    assert told and "\n" not in told and "Traceback" not in told


def test_a_missing_store_says_how_to_make_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "q", "--store", str(tmp_path / "none"), "--model", "none"]) == 2
    assert "python -m ingest" in capsys.readouterr().err


def test_a_wrong_flag_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["ask"])
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_chat(store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = iter(["When was the lighthouse of Skarholm built?", "How tall is it?", ""])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    assert main(["chat", "--store", str(store), "--model", "none"]) == 0
    shown = capsys.readouterr().out
    assert "1874" in shown and "42 metres" in shown


TOPICS = ["lighthouse", "harbour", "museum", "bridge", "garden", "library", "station", "theatre", "mill", "chapel"]


def squad(path: Path) -> Path:
    """Ten paragraphs, each with an answerable and an unanswerable question."""
    paragraphs = []
    for i, topic in enumerate(TOPICS):
        answer = str(1800 + i)
        context = f"The {topic} of Skarholm opened in {answer}. Visitors like the {topic} very much. Tea is served."
        qas = [
            {"id": f"{i}a", "question": f"When did the {topic} open?",
             "answers": [{"text": answer, "answer_start": context.index(answer)}]},
            {"id": f"{i}b", "question": f"Which king burned the {topic} of Patagonia?", "answers": [],
             "is_impossible": True},
        ]  # fmt: skip
        paragraphs.append({"context": context, "qas": qas})
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), encoding="utf-8")
    return path


def test_evaluate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = squad(tmp_path / "small.json")
    assert main(["evaluate", str(path), "--model", "none", "--json"]) == 0
    found = last(capsys)["small.json"]
    assert found["questions"] == 20 and found["paragraphs"] == 10
    assert set(found["retrieval"]) == {"dense", "lexical", "hybrid"}
    assert found["retrieval"]["hybrid"]["r1"] == 1.0 and found["retrieval"]["lexical"]["r5"] == 1.0
    assert found["end_to_end"]["answer_in_quote"] >= 0.9
    assert found["verbatim_rate"] == 1.0
    assert found["abstention"]["auroc"] > 0.8
    assert found["latency_ms"]["p95"] >= found["latency_ms"]["p50"] > 0
    assert {"em", "f1"} == set(found["reader"])


def test_calibrate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = squad(tmp_path / "small.json"), tmp_path / "calibration.json"
    assert main(["calibrate", str(path), "--dev", str(path), "--model", "none", "--out", str(out), "--json"]) == 0
    figures = last(capsys)["en plain"]
    assert figures["auroc"] > 0.9 and figures["refused_answerable"] <= 0.1
    from rag.calibration import load

    profile = load(out)["en"]["plain"]
    assert 0 < profile.threshold < 1 and profile.curve[-1]["coverage"] == 1.0


def test_files_that_are_no_question_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.json").write_text('{"data": [{"paragraphs": [{}]}]}', encoding="utf-8")
    for path in (tmp_path / "bad.json", tmp_path / "missing.json"):
        assert main(["evaluate", str(path), "--model", "none"]) == 2
        assert path.name in capsys.readouterr().err
