"""Rows of packed documents: nothing is cropped, every epoch has every token once, and any row can be asked for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gpt.tokenizer import Tokenizer
from gpt.training.packing import Packed, quotas, tokenise

LENGTHS = [5, 1, 40, 3, 17, 8]
SIZE = 8


def packed(seed: int = 1) -> Packed:
    """74 tokens, all different, so that each can be told."""
    return Packed(np.arange(sum(LENGTHS), dtype=np.uint16), np.array(LENGTHS), SIZE, seed)


def stream(rows: Packed, tokens: int) -> list[int]:
    """The stream behind the rows: each goes on where the last one ended, one token of overlap."""
    ids = rows.row(0)
    number = 1
    while len(ids) < tokens:
        row = rows.row(number)
        assert row[0] == ids[-1] and len(row) == SIZE
        ids += row[1:]
        number += 1
    return ids[:tokens]


def test_every_token_is_seen_once_an_epoch() -> None:
    rows = packed()
    ids = stream(rows, 3 * len(rows))
    epochs = [ids[e * len(rows) : (e + 1) * len(rows)] for e in range(3)]
    assert all(Counter(epoch) == Counter(range(len(rows))) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_documents_stay_whole_and_in_order_within() -> None:
    rows = packed()
    epoch = stream(rows, len(rows))
    at = 0
    for length in LENGTHS:
        place = epoch.index(at)
        assert epoch[place : place + length] == list(range(at, at + length))
        at += length


def test_a_row_depends_on_seed_and_number_alone() -> None:
    forwards, backwards = packed(), packed()
    numbers = [0, 30, 3, 11, 12]
    assert [forwards.row(n) for n in sorted(numbers)] == [backwards.row(n) for n in sorted(numbers, reverse=True)][::-1]
    assert packed(seed=1).row(0) != packed(seed=2).row(0)


def test_rows_too_short_to_predict_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        Packed(np.arange(4), np.array([4]), 1, 0)
    with pytest.raises(ValueError, match="no text"):
        Packed(np.arange(0), np.array([], dtype=np.int64), 8, 0)


def test_documents_begin_with_bos_and_are_tokenised_once(tokenizer: Tokenizer, tmp_path: Path) -> None:
    texts = ["The cat sat.", "北京是首都。"]
    tokens, lengths = tokenise(tokenizer, texts, tmp_path / "t.safetensors")
    expected = [[tokenizer.bos, *tokenizer.encode(text)] for text in texts]
    assert tokens.tolist() == [*expected[0], *expected[1]] and lengths.tolist() == [len(e) for e in expected]
    written = (tmp_path / "t.safetensors").stat().st_mtime_ns
    again, _ = tokenise(tokenizer, texts, tmp_path / "t.safetensors")
    assert again.tolist() == tokens.tolist() and (tmp_path / "t.safetensors").stat().st_mtime_ns == written
    other, _ = tokenise(tokenizer, texts[:1], tmp_path / "t.safetensors")
    assert other.tolist() == expected[0]


def test_quotas_keep_the_shares_and_follow_on() -> None:
    weights, rows = [0.1, 0.55, 0.35], 32
    at = [0, 0, 0]
    for step in range(50):
        drawn = quotas(weights, step, rows)
        assert [before for before, _ in drawn] == at
        assert sum(count for _, count in drawn) == rows
        at = [before + count for before, count in drawn]
    assert all(abs(n - share * rows * 50) <= 1 for n, share in zip(at, weights, strict=True))
