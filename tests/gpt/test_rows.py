"""Training rows say what they should: answers are slices of prompts, and batches follow from seed and step."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gpt.grounding import PASSAGE, PASSAGE_TOKENS
from gpt.tokenizer import Tokenizer
from gpt.training.cloze import Item, make_cloze
from gpt.training.corpus import read_prose, read_questions
from gpt.training.examples import IGNORE, Mixture, Readings, micro_batches, reading_row, token_span
from gpt.training.prefetch import AHEAD, Prefetch
from tests.gpt.training_data import EN, ZH, write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


def test_answer_ids_are_a_slice_of_the_prompt(data: Path) -> None:
    tokenizer, rng = Tokenizer.load(data / "tok"), random.Random(0)
    start = EN.index("Thomas Arden")
    row = reading_row(tokenizer, Item("Who built it?", EN, (start, start + len("Thomas Arden"))), rng)
    assert row is not None
    answer = row.ids[row.prompt :]
    assert tokenizer.decode(answer).strip() == "Thomas Arden"
    assert row.ids[row.start : row.start + len(answer)] == answer and row.start < row.prompt
    none = reading_row(tokenizer, Item("Who sank it?", EN, None), rng)
    assert none is not None
    assert none.ids[none.prompt :] == [] and none.start == -1


def test_holes_hide_tokens_of_the_answer_as_often_as_others(data: Path) -> None:
    """If they spared the answer, a hole would say where it ends."""
    tokenizer, rng = Tokenizer.load(data / "tok"), random.Random(0)
    start = EN.index("Thomas Arden")
    item = Item("Who built the harbour of Skerry?", EN, (start, start + len("Thomas Arden")))
    whole = reading_row(tokenizer, item, rng)
    assert whole is not None
    size = len(whole.ids) - whole.prompt
    shares, inside = [], []
    for _ in range(200):
        row = reading_row(tokenizer, item, rng, 0.2)
        assert row is not None and len(row.ids) == len(whole.ids)
        answer = row.ids[row.prompt :]
        assert row.ids[row.start : row.start + size] == answer and len(answer) == size
        changed = [(a, b) for a, b in zip(whole.ids, row.ids, strict=True) if a != b]
        assert {b for _, b in changed} <= {tokenizer.pad}
        shares.append(len(changed) / len(row.ids))
        inside.append(answer.count(tokenizer.pad) / size)
    assert 0.14 < sum(shares) / len(shares) < 0.26 and 0.1 < sum(inside) / len(inside) < 0.3


def test_a_long_passage_is_cut_around_its_answer(data: Path) -> None:
    tokenizer, rng = Tokenizer.load(data / "tok"), random.Random(0)
    passage = EN * 5 + "The lamp was sold to Zanzibar. " + EN * 5
    start = passage.index("Zanzibar")
    for _ in range(20):
        row = reading_row(tokenizer, Item("Where?", passage, (start, start + 8)), rng)
        assert row is not None
        assert "Zanzibar" in tokenizer.decode(row.ids[: row.prompt])
        assert row.prompt <= PASSAGE_TOKENS + 64 + 4


def test_token_span_moves_outward() -> None:
    assert token_span([(0, 3), (3, 7), (7, 9)], 4, 8) == (1, 3)
    assert token_span([(0, 3), (3, 7), (7, 9)], 3, 7) == (1, 2)


def test_starts_and_stops_stand_where_the_answer_does(data: Path) -> None:
    tokenizer, rng = Tokenizer.load(data / "tok"), random.Random(1)
    rows = []
    for _ in range(6):
        item = make_cloze(EN * 2, "en", rng, size=250)
        row = item and reading_row(tokenizer, item, rng)
        if row:
            rows.append(row)
    rows.append(reading_row(tokenizer, Item("Who sank it?", EN, None), rng))
    for batch in micro_batches(rows, tokenizer.pad, 10_000):
        assert isinstance(batch, Readings)
        for i, start in enumerate(batch.starts.tolist()):
            stops = batch.stops[i][batch.stops[i] != IGNORE].tolist()
            prompt = int(batch.prefixes[i])
            if start < 0:
                assert stops == []
                continue
            assert stops == [0] * (len(stops) - 1) + [1]
            copied = batch.ids[i, start : start + len(stops)].tolist()
            assert copied == batch.ids[i, prompt : prompt + len(stops)].tolist()
            assert bool((batch.kinds[i, start : start + len(stops)] >= PASSAGE).all())
    assert any(row.start < 0 for row in rows) and any(row.start >= 0 for row in rows)


def test_clozes_answer_with_the_passage_itself() -> None:
    rng = random.Random(2)
    made = {"en": 0, "zh": 0}
    for language, text in (("en", EN * 2), ("zh", ZH * 2)):
        for _ in range(60):
            item = make_cloze(text, language, rng, size=len(text) // 2)
            if item and item.answer:
                made[language] += 1
                assert item.passage[slice(*item.answer)].strip()
                assert item.question
    assert min(made.values()) > 30


def test_batches_depend_on_seed_and_step_alone(data: Path) -> None:
    tokenizer = Tokenizer.load(data / "tok")
    prose, questions = read_prose([data / "prose.jsonl"]), [read_questions(data / "qa.json")]
    weights = {"prose": 0.3, "cloze": 0.3, "questions": 0.4}

    def make() -> Mixture:
        return Mixture(tokenizer, prose, questions, weights=weights, unanswerable=0.3, seed=7)

    first, second = make(), make()
    first.batch(0, 8)
    assert first.batch(5, 8) == second.batch(5, 8)
    assert first.batch(5, 8) != second.batch(6, 8)


def test_passes_hold_every_row_once_and_pad_little(data: Path) -> None:
    tokenizer, rng = Tokenizer.load(data / "tok"), random.Random(3)
    rows = []
    while len(rows) < 40:
        item = make_cloze(EN * 3, "en", rng, size=rng.randint(100, 700))
        rows += [row for row in [item and reading_row(tokenizer, item, rng)] if row]
    batches = micro_batches(rows, tokenizer.pad, 2000)
    assert sum(len(batch.ids) for batch in batches) == len(rows)
    assert all(batch.ids.numel() <= 2000 for batch in batches)
    assert sum(batch.ids.numel() for batch in batches) < 1.15 * sum(len(row.ids) for row in rows)


def test_rows_made_ahead_are_those_made_in_place() -> None:
    with Prefetch(lambda step: [step, step * step]) as rows:
        assert [rows(step) for step in range(5, 5 + 3 * AHEAD)] == [[s, s * s] for s in range(5, 5 + 3 * AHEAD)]
        with pytest.raises(ValueError, match="was asked for"):
            rows(0)
    assert rows(2) == [2, 4]


def test_what_goes_wrong_ahead_is_said_in_its_step() -> None:
    def make(step: int) -> int:
        if step == 1:
            raise ValueError("no row")
        return step

    with Prefetch(make) as rows:
        assert rows(0) == 0
        with pytest.raises(ValueError, match="no row"):
            rows(1)
