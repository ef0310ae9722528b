"""The translation dictionary learned from parallel sentences."""

from __future__ import annotations

from collections import Counter

import pytest

from ingest.bilingual.training import translations
from ingest.bilingual.training.parallel import NAME, SENTENCE, Pair
from ingest.bilingual.training.translations import Learned, learn, make_dictionary, pruned
from ingest.fold import terms
from tests.ingest.bilingual.training_data import WORDS, sentence_pairs


def pairs() -> list[Pair]:
    return [Pair(english, chinese, SENTENCE) for english, chinese in sentence_pairs()]


def test_each_word_finds_its_translation() -> None:
    found = learn(pairs()).found
    for english, chinese in WORDS.items():
        (word, chance), *rest = found[chinese]
        assert [word] == terms(english) and chance > 0.6, (chinese, found[chinese])
        assert all(other < chance for _, other in rest)


def test_the_dictionary_asks_in_english() -> None:
    dictionary = make_dictionary(pairs())
    assert dictionary.translate("谁的图书馆附近有桥梁？").keys() >= {*terms("library"), *terms("bridge")}
    assert dictionary.get("谁") == []
    assert not dictionary.translate("谁的图书馆？").keys() - set(terms("library near"))


def test_blocks_do_not_change_what_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = learn(pairs()).found
    monkeypatch.setattr(translations, "LINKS", 50)
    assert learn(pairs()).found == whole


def test_a_name_counts_when_it_is_seen_once_and_a_sentence_does_not() -> None:
    name, sentence = Pair("Turing", "图灵", NAME), Pair("Turing", "图灵", SENTENCE)
    assert learn([*pairs(), name]).found["图灵"][0][0] == terms("Turing")[0]
    assert "图灵" not in learn([*pairs(), sentence]).found


def test_long_pairs_are_left_out() -> None:
    long = Pair("word " * 100, "字" * 20, SENTENCE)
    assert learn([long] * 5).found == {}
    with pytest.raises(ValueError, match="no sentence pair that is short enough"):
        make_dictionary([long])


def test_a_rare_run_goes_when_its_parts_translate_it() -> None:
    found = {
        "深圳": [("shenzhen", 0.8)],
        "大学": [("univers", 0.9), ("colleg", 0.1)],
        "深圳大学": [("shenzhen", 0.5), ("univers", 0.5)],
        "北京大学": [("peke", 0.5), ("univers", 0.5)],
        "学": [("univers", 0.2)],
        "圳大": [("shenzhen", 0.1)],
    }
    counts = Counter(dict.fromkeys(found, 4))
    kept = pruned(Learned(found, counts))
    assert kept.keys() == {"深圳", "大学", "北京大学"}  # 学 and 圳大 are unsure
    assert kept["大学"] == [("univers", 0.9)]  # .1 is far behind .9
    counts["深圳大学"] = 100
    assert "深圳大学" in pruned(Learned(found, counts))
