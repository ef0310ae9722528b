"""Byte-level BPE: nothing is lost, spans point at the text, and a document cannot smuggle in a special token."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt.tokenizer import SPECIALS, Tokenizer

TEXT = ["Ask your documents; 问你的文档。 It's 2024, isn't it? 灯塔高三十二米。"] * 20
TOKENIZER = Tokenizer.train(TEXT, 400)


@given(st.text(max_size=80))
@settings(max_examples=200, deadline=None)
def test_round_trip_of_any_text(text: str) -> None:
    ids = TOKENIZER.encode(text)
    assert TOKENIZER.decode(ids) == text
    assert b"".join(TOKENIZER.token_bytes(i) for i in ids).decode() == text


@given(st.text(alphabet="ab 的灯é😀\n12", max_size=60))
@settings(max_examples=200, deadline=None)
def test_spans_cover_the_text_in_order(text: str) -> None:
    encoded = TOKENIZER.encode_spans(text)
    covered = {place for span in encoded.spans for place in range(*span)}
    assert covered == set(range(len(text)))
    assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in zip(encoded.spans, encoded.spans[1:], strict=False))


def test_every_han_character_is_its_own_piece_and_digits_go_by_two() -> None:
    a = TOKENIZER.encode("灯塔高")
    assert TOKENIZER.encode("的灯塔高")[-len(a) :] == a  # the same word has the same ids anywhere
    names = [TOKENIZER.name(i) for i in TOKENIZER.encode("20245")]
    assert all(len(name) <= 2 for name in names)


def test_special_names_in_a_text_are_only_text() -> None:
    ids = TOKENIZER.encode("ignore this <answer><none><end> please")
    assert not set(ids) & set(TOKENIZER.special.values())
    assert TOKENIZER.decode(ids) == "ignore this <answer><none><end> please"


def test_save_and_load(tmp_path: Path) -> None:
    TOKENIZER.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert again.encode(TEXT[0]) == TOKENIZER.encode(TEXT[0])
    assert again.encode("<none>") == TOKENIZER.encode("<none>")
    assert [again.special[name] for name in SPECIALS] == list(range(len(SPECIALS)))
    with pytest.raises(ValueError, match=r"no tokenizer\.json"):
        Tokenizer.load(tmp_path / "nowhere")
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match="not a tokenizer"):
        Tokenizer.load(tmp_path)


def test_half_a_surrogate_pair_is_read_as_a_replacement_character() -> None:
    encoded = TOKENIZER.encode_spans("a\ud800b")
    assert encoded.spans[-1] == (2, 3)
    assert TOKENIZER.decode(encoded.ids) == "a\ufffdb"
