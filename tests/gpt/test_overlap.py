"""Shared runs are found whatever the case, punctuation and script, and what shares one is left out of training."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from gpt.__main__ import main
from gpt.training.corpus import Prose, read_questions
from gpt.training.overlap import Runs, Without, units
from tests.gpt.training_data import EN, ZH, command, write_data

COPIED = "it was the best of times it was the worst of times it was the age of wisdom".split()
HAN = "春眠不觉晓处处闻啼鸟夜来风雨声花落知多少"


def question_set(path: Path, *paragraphs: tuple[str, str]) -> Path:
    data = [{"context": text, "qas": [{"id": asked, "question": asked, "answers": []}]} for text, asked in paragraphs]
    path.write_text(json.dumps({"data": [{"paragraphs": data}]}), encoding="utf-8")
    return path


def test_units_are_words_and_han_characters_as_they_sound() -> None:
    assert units("Don’t — STOP_it, 3.5 km; 漢語拼音！ok") == ["dont", "stop", "it", "3", "5", "km", *"汉语拼音", "ok"]


def test_a_run_of_13_is_found_and_one_of_12_is_not() -> None:
    runs = Runs([" ".join(COPIED), HAN])
    words = [w.upper() + "," for w in COPIED]
    assert [(s.index, s.size) for s in runs.find("Once " + " ".join(words[2:15]) + " again")] == [(0, 13)]
    assert not runs.any("Once " + " ".join(words[2:14]) + " again")
    assert runs.any("詩：" + "，".join(HAN[:13])) and not runs.any(HAN[:12] + "春" + HAN[12:])
    assert Runs([HAN], characters=20).any(HAN) and not Runs([HAN], characters=20).any(HAN[:19])
    assert len(runs) == len(COPIED) - 12 + len(HAN) - 12
    assert not runs.find("") and not Runs(["short"]).any("short")


def test_hashes_find_what_a_search_of_the_tuples_finds() -> None:
    rng = random.Random(1)
    texts = [" ".join(rng.choice("abc") for _ in range(60)) for _ in range(8)]
    runs = Runs(texts[:4], words=5)
    grams = [{tuple(t.split()[i : i + 5]) for i in range(56)} for t in texts]
    for text, mine in zip(texts[4:], grams[4:], strict=True):
        assert {s.index for s in runs.find(text)} == {i for i in range(4) if grams[i] & mine}
        for shared in runs.find(text):
            assert tuple(shared.text.split()[:5]) in grams[shared.index] and len(shared.text.split()) == shared.size


def test_the_report_counts_documents_and_questions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    poem = " ".join(COPIED)
    exam = question_set(tmp_path / "dev.json", (f"A poem: {poem}.", "Whose?"), ("Nothing here.", poem), (EN, "Who?"))
    shard = tmp_path / "prose.jsonl"
    lines = [poem, "Something else.", f"Twice: {poem}. {poem}."]
    shard.write_text("".join(json.dumps({"text": text}) + "\n" for text in lines), encoding="utf-8")
    other = question_set(tmp_path / "train.json", (ZH, "谁？"))
    argv = ["overlap", "--train", str(shard), str(other), "--evaluation", str(exam)]
    assert main([*argv, "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["pairs"]
    assert (first["training"], first["evaluation"]) == ("prose.jsonl", "dev.json")
    assert (first["documents"], first["documents_shared"]) == (3, 2)
    assert (first["evaluation_documents"], first["evaluation_documents_shared"]) == (3, 2)
    assert (first["evaluation_questions"], first["evaluation_questions_shared"]) == (3, 2)
    assert first["examples"] == [{"units": len(COPIED), "text": poem}]
    assert second["documents_shared"] == second["evaluation_questions_shared"] == 0
    assert main(argv) == 0
    shown = capsys.readouterr().out
    assert "2 of 3 documents" in shown and "1 of 2 pairs of files share nothing" in shown


def test_what_overlaps_is_left_out(tmp_path: Path) -> None:
    exam = question_set(tmp_path / "dev.json", (" ".join(COPIED), "Whose?"))
    without = Without([exam])
    kept = list(without.prose([Prose(" ".join(COPIED), "en"), Prose(EN, "en")]))
    assert [p.text for p in kept] == [EN]
    path = question_set(tmp_path / "t.json", (" ".join(COPIED), "a?"), (EN, "b?"), (EN, " ".join(COPIED)), (ZH, "c？"))
    questions = without.questions(read_questions(path))
    assert questions.paragraphs == [EN, EN, ZH] and len(questions.articles) == 3
    assert [(q.text, questions.paragraphs[q.paragraph]) for q in questions.questions] == [("b?", EN), ("c？", ZH)]
    assert without.dropped == {"documents": 1, "paragraphs": 1, "questions": 2}


def test_training_without_the_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_data(tmp_path)
    exam = question_set(tmp_path / "dev.json", (ZH, "谁？"))
    argv = command(data, tmp_path / "run", "--without", str(exam), "--steps", "1", "--no-prefetch")
    assert main(argv) == 0
    assert "30 documents, 2 paragraphs, 2 questions" in capsys.readouterr().err
    assert main([*argv, "--out", str(tmp_path / "b"), "--without", str(data / "qa.json")]) == 2
    assert "nothing to train on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "message"),
    [(["--words", "1"], "give at least 2"), (["--evaluation", "missing.json"], "missing.json does not exist")],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str], message: str
) -> None:
    path = str(question_set(tmp_path / "dev.json", (EN, "Who?")))
    assert main(["overlap", "--train", path, "--evaluation", path, *extra]) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in told
