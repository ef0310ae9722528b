"""``python -m rag``: a strategy by name, and strategies side by side on a question file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag.__main__ import main
from tests.rag.test_rag_cli import last, squad


def test_ask_by_a_strategy(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = "When was the lighthouse of Skarholm built and how many eggs does a queen bee lay a day?"
    assert main(["ask", question, "--store", str(store), "--model", "none", "--strategy", "decompose", "--json"]) == 0
    answer = last(capsys)
    assert answer["strategy"] == "decompose" and "1874" in answer["answer"] and "2,000" in answer["answer"]
    assert main(["ask", question, "--store", str(store), "--model", "none", "--strategy", "decompose"]) == 0
    assert "1. When was the lighthouse" in capsys.readouterr().out
    assert main(["ask", question, "--store", str(store), "--model", "none", "--strategy", "magic"]) == 2
    assert "self-consistency" in capsys.readouterr().err


def test_strategies_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = squad(tmp_path / "small.json")
    names = ["direct", "decompose", "self-consistency"]
    assert main(["evaluate", str(path), "--model", "none", "--strategies", *names, "--limit", "8", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["small.json"]
    assert list(found["strategies"]) == names and found["questions"] == 8
    direct = found["strategies"]["direct"]
    assert direct["recall"] == 1.0 and direct["calls"] == 0 and direct["answer_in_quote"] > 0.7
    assert direct["seconds_p95"] >= direct["seconds_p50"] > 0
    assert found["difference"]["decompose"]["recall"] == {"gain": 0.0, "interval_95": [0.0, 0.0], "verdict": "noise"}
    assert main(["evaluate", str(path), "--model", "none", "--strategies", "direct", "few-shot", "--limit", "2"]) == 0
    assert "few-shot" in capsys.readouterr().out


def test_what_does_not_go_together_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = squad(tmp_path / "small.json")
    assert main(["evaluate", str(path), "--strategies", "direct", "magic"]) == 2
    assert "magic" in capsys.readouterr().err
    assert main(["evaluate", str(path), "--strategies", "direct", "--strategy", "few-shot"]) == 2
    assert "--strategies takes" in capsys.readouterr().err
