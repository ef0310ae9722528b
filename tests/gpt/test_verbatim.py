"""Every way to quote, over text made to break offsets: the fuzz of bench/verbatim.py, a few thousand decodes of it."""

from __future__ import annotations

import json
import sys

import pytest

from bench import verbatim
from bench.verbatim import PIECES, Tally, fuzz, holds, tiny_engine


def test_thousands_of_decodes_are_all_verbatim() -> None:
    tally = Tally()
    rounds = sum(1 for _ in fuzz(2000, 11, 0.0, tally))
    assert tally.total >= 2000 and rounds > 100
    assert set(tally.decodes) == {"read", "choose", "generate", "quoter"}
    assert min(tally.decodes.values()) > rounds / 2
    assert tally.wrong == [] and tally.right == tally.checked > 10 * rounds


def test_the_bundled_model_is_verbatim_too() -> None:
    tally = Tally()
    sum(1 for _ in fuzz(60, 5, 1.0, tally))
    assert tally.wrong == [] and tally.right == tally.checked > 60


@pytest.mark.parametrize("kind", PIECES)
def test_a_wrong_place_is_noticed(kind: str) -> None:
    tokenizer, text = tiny_engine(0).tokenizer, "One, " + "x".join(PIECES[kind]) + " two"
    encoded = tokenizer.encode_spans(text)
    assert holds(tokenizer, text, 0, len(text), encoded.ids)
    assert not holds(tokenizer, text, 0, len(text) - 1, encoded.ids)
    assert not holds(tokenizer, text, 1, len(text), encoded.ids)
    assert not holds(tokenizer, text, 0, len(text) + 1, encoded.ids) and not holds(tokenizer, text, 3, 3, encoded.ids)
    assert not holds(tokenizer, text, 0, len(text), encoded.ids[:-4])
    assert not holds(tokenizer, text.upper(), 0, len(text), encoded.ids)


def test_a_quotation_that_does_not_hold_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["verbatim.py", "--decodes", "40", "--bundled", "0", "--chain", "0"]
    monkeypatch.setattr(sys, "argv", argv)
    assert verbatim.main() == 0
    assert json.loads(capsys.readouterr().out)["verbatim_rate"] == 1
    monkeypatch.setattr(verbatim, "holds", lambda *args: False)
    assert verbatim.main() == 1
    found = json.loads(capsys.readouterr().out)
    assert found["verbatim_rate"] < 1 and any("tiny 0 0:0" in seed for seed in found["wrong"])
