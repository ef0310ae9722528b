"""Chinese questions in the terms of English documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.bilingual import DICTIONARY
from ingest.bilingual.dictionary import Dictionary

ENTRIES = {
    "雨林": [("rain", 0.81), ("forest", 0.64)],
    "雨": [("rain", 0.9)],
    "林": [("wood", 0.5)],
    "热带": [("tropic", 1.0)],
    "什么": [],
}


@pytest.fixture
def small() -> Dictionary:
    return Dictionary.of(ENTRIES)


def test_a_run_is_taken_whole_before_its_parts(small: Dictionary) -> None:
    assert small.units("热带雨林是什么") == ["热带", "雨林", "什么"]
    found = small.translate("熱帶雨林是什麼？")  # traditional characters are folded
    assert list(found) == ["tropic", "rain", "forest"]
    assert found["rain"] == pytest.approx(0.9, abs=0.01) and found["forest"] == pytest.approx(0.8, abs=0.01)


def test_latin_words_and_numbers_are_terms_themselves(small: Dictionary) -> None:
    assert small.translate("Python 3 的雨") == {"rain": pytest.approx(0.949, abs=0.01), "python": 1.0, "3": 1.0}
    assert small.translate("没有") == {}


def test_it_comes_back_from_its_file(small: Dictionary, tmp_path: Path) -> None:
    small.save(tmp_path / "d.safetensors")
    again = Dictionary.load(tmp_path / "d.safetensors")
    for run in (*ENTRIES, "无"):
        assert again.get(run) == small.get(run)
    assert again.get("无") is None and again.get("什么") == []


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("这个国家的人口有多少？", {"countri", "popul"}),
        ("如何安装软件包？", {"instal", "packag"}),
        ("第二次世界大战何时结束？", {"world", "war", "end"}),
    ],
)
def test_the_bundled_one_knows_common_words(question: str, expected: set[str]) -> None:
    assert expected <= set(Dictionary.load(DICTIONARY).translate(question))
