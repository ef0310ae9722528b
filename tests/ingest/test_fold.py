"""Folding and lexical terms."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.fold import fold, is_cjk, language, terms


def test_fold_gives_one_spelling() -> None:
    assert fold("ＡBC　後面") == "abc 后面"
    assert fold("Straße") == fold("STRASSE")
    assert fold("頭髮乾燥") == "头发干燥"


def test_english_words_are_stemmed() -> None:
    assert terms("The dog's cities were running; dogs’ don't") == [
        "the", "dog", "citi", "were", "run", "dog", "dont",
    ]  # fmt: skip
    assert terms("'quoted' words.") == ["quot", "word"]
    assert terms("O'Brien") == ["obrien", "brien"]
    assert terms("Beyoncé") == terms("Beyonce")


def test_identifiers_stay_whole_and_in_parts() -> None:
    assert terms("foo_bar") == ["foo_bar", "foo", "bar"]
    assert terms("v1.2.3")[:2] == ["v1.2.3", "1.2.3"]
    assert {"src/gpt/model.py", "model.py", "src", "gpt", "model", "py"} == set(terms("src/gpt/model.py"))
    assert terms("foo_bar.baz") == ["foo_bar.baz", "foo_bar", "foo", "bar", "baz"]
    assert "2.13" in set(terms("v2.13.0")) & set(terms("torch-2.13.1+cpu")) and "3.11" in terms("Python3.11")
    assert terms(".gitignore") == [".gitignore", "gitignor"] and terms("... and. So") == ["and", "so"]
    assert {"get", "user", "name"} < set(terms("getUserName"))
    assert {"http", "server"} < set(terms("HTTPServer"))
    assert set(terms("GPT-2")) & set(terms("GPT2")) == {"gpt", "2"}
    assert terms("e-mail")[0] == terms("email")[0]
    assert terms("C++ C# C") == ["c++", "c", "c#", "c", "c"]


def test_numbers_and_acronyms() -> None:
    assert terms("1,234,567.5 and 3.14") == ["1234567.5", "and", "3.14"]
    assert terms("U.S. policy") == ["us", "polici"]
    assert terms("2024-01-15") == ["2024-01-15", "2024", "01", "15"]


def test_chinese_gives_unigrams_and_bigrams() -> None:
    assert terms("後面第3章") == ["后", "面", "第", "后面", "面第", "3", "章"]
    assert terms("用GPT回答") == ["用", "gpt", "回", "答", "回答"]
    assert terms("カタ") == ["カ", "タ", "カタ"]


def test_what_cannot_be_seen_parts_nothing() -> None:
    assert terms("inter\u00adnational hand\u200bbook") == terms("international handbook")
    assert terms("\ufeff葛\U000e0100飾区") == terms("葛飾区")
    assert terms("e\u2011mail, don\u2018t, don\u02bct") == terms("e-mail, don't, don't")


def test_a_line_of_chinese_may_be_broken_anywhere() -> None:
    assert terms("打开数据\r\n 库文 件\u3000夹") == terms("打开数据库文件夹")
    assert terms("标题\n\n正文") == ["标", "题", "标题", "正", "文", "正文"]  # but not across paragraphs


def test_full_width_is_half_width() -> None:
    assert terms("－－ｎｏ－ｃａｃｈｅ　Ｃ＋＋　ＨＴＴＰ／２　ｖ２．１３．０") == terms("--no-cache C++ HTTP/2 v2.13.0")
    assert terms("１，２３４時") == ["1234", "时"] and terms("C#語言")[0] == "c#"


def test_a_hash_or_base64_run_is_kept_short() -> None:
    assert all(len(term) <= 64 for term in terms("QUJD" * 5000 + " " + "a" * 9000 + " " + "1" * 9000))


def test_language() -> None:
    assert (language("FAISS 是什么？"), language("What does 北京 mean here?"), language("plain")) == (
        "zh",
        "en",
        "en",
    )
    assert is_cjk("a 字") and not is_cjk("naïve …")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_terms_are_clean_and_independent_of_case_for_plain_words(text: str) -> None:
    found = terms(text)
    assert all(term and not any(c.isspace() for c in term) for term in found)
    assert found == terms(text)


def test_speed() -> None:
    """A slip into quadratic time would take minutes here; a quiet machine does ten times the floor."""
    text = "The quick brown foxes aren't jumping over lazy dogs, which has 1,200 issues in v1.2.3. " * 6000
    start = time.perf_counter()
    terms(text)
    assert len(text) / 1e6 / (time.perf_counter() - start) > 0.1
