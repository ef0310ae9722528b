"""The Chinese half: which rows a text adds up."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from ingest.bilingual.model import pack, unpack
from ingest.bilingual.table import Table, by_kind, terms

TERMS = ["机", "器", "学", "机器", "学习", "#py", "#thon"]


@pytest.fixture(scope="module")
def pieces() -> Tokenizer:
    vocabulary = {"[UNK]": 0, "py": 1, "thon": 2, "other": 3}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", continuing_subword_prefix=""))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


@pytest.fixture(scope="module")
def table(pieces: Tokenizer) -> Table:
    return Table(TERMS, np.eye(len(TERMS), dtype=np.float32), pieces)


def test_a_text_is_the_sum_of_its_known_terms(table: Table) -> None:
    vectors = table.encode(["机器学习", "機器學習", "Python 机", "习", "机。器", ""])
    assert vectors[0].tolist() == [1, 1, 1, 1, 1, 0, 0]
    assert vectors[1].tolist() == vectors[0].tolist()  # traditional characters are folded
    assert vectors[2].tolist() == [1, 0, 0, 0, 0, 1, 1]
    assert not vectors[3].any() and not vectors[5].any()
    assert vectors[4].tolist() == [1, 1, 0, 0, 0, 0, 0]  # no pair across a stop


def test_terms_are_named_as_the_rows_are(pieces: Tokenizer, table: Table) -> None:
    text = "机器学习 python"
    known = [TERMS.index(term) for term in terms(text, pieces) if term in TERMS]
    assert sorted(known) == sorted(table.ids([text])[0].tolist())


def test_a_vocabulary_takes_the_most_frequent_of_each_kind() -> None:
    counted = [("甲", 1), ("乙", 5), ("甲乙", 9), ("乙甲", 2), ("#a", 4), ("#b", 3)]
    assert by_kind(counted, single=2, pairs=1, latin=1, least=3) == ["乙", "甲", "甲乙", "#a"]
    assert by_kind(counted, single=1, pairs=5, latin=5, least=3) == ["乙", "甲乙", "#a", "#b"]


def test_eight_bits_keep_a_row_to_half_a_step() -> None:
    rows = np.random.default_rng(0).normal(size=(20, 64)).astype(np.float32) * np.logspace(-3, 2, 20)[:, None]
    again = unpack(pack(rows.astype(np.float32), "words"), "words")
    step = np.abs(rows).max(axis=1, keepdims=True) / 127
    assert (np.abs(again - rows) <= 0.501 * step).all()
