"""The reward of an answer, its exact expectation, and a stage of training that raises it."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gpt.model import GPT
from gpt.tokenizer import Tokenizer
from gpt.training.checkpoint import save_model
from gpt.training.cloze import Item
from gpt.training.examples import Readings, micro_batches, reading_row
from gpt.training.losses import Autograd, Counts, reading_loss
from gpt.training.reward import RUN, Rewarded, f1, units, weigh
from gpt.training.train import main

PASSAGE = "The cat sat on the mat. The dog sat on the cat."


@pytest.fixture
def model(tokenizer: Tokenizer, make_model: Callable[..., GPT]) -> GPT:
    """Long enough for a prompt and its branches."""
    return make_model(tokenizer.vocab_size, context=256)


@pytest.fixture
def batch(tokenizer: Tokenizer) -> Readings:
    at = PASSAGE.index("the mat")
    items = [Item("What sat?", PASSAGE, (at, at + 7)), Item("Who ran?", PASSAGE, None)]
    rows = [row for item in items if (row := reading_row(tokenizer, item, random.Random(0)))]
    (made,) = micro_batches(rows, tokenizer.pad, 10_000)
    assert isinstance(made, Readings)
    return made


def test_f1_counts_words_and_han_characters() -> None:
    assert f1(units("The Eiffel Tower"), units("Eiffel tower.")) == 1.0
    assert f1(units("in Paris, France"), units("Paris")) == pytest.approx(0.5)
    assert f1(units("北京市"), units("北京")) == pytest.approx(0.8)
    assert f1(units("1871年"), units("1871年")) == 1.0
    assert f1(units("cat"), units("dog")) == 0.0
    assert f1(units("the"), units("")) == 1.0


def test_weighed_probabilities_are_those_of_single_passes(model: GPT, tokenizer: Tokenizer, batch: Readings) -> None:
    scorer = Autograd(model)
    weighed = weigh(scorer, tokenizer, batch, starts=3)
    assert weighed.logprobs.shape == (2, 3, RUN)
    total = weighed.logprobs.exp().sum((1, 2)) + weighed.none.exp()
    assert bool((total > 0).all()) and bool((total <= 1.0001).all())
    # The right answer's own row, scored as the supervised loss does, has the same probability.
    row = int(batch.starts.argmax())
    length = int((batch.stops[row] != -100).sum())
    single = [t[row : row + 1] for t in (batch.ids, batch.kinds, batch.prefixes, batch.starts, batch.stops)]
    start, stop = reading_loss(scorer, tokenizer, Readings(*single))
    assert float(weighed.logprobs[row, 0, length - 1]) == pytest.approx(-float(start + stop), abs=1e-4)
    assert float(weighed.rewards[row, 0, length - 1]) == 1.0
    assert float(weighed.stop) == pytest.approx(float(stop), abs=1e-4)


def test_refusing_is_right_only_without_an_answer(model: GPT, tokenizer: Tokenizer, batch: Readings) -> None:
    weighed = weigh(Autograd(model), tokenizer, batch, starts=3)
    none = int(batch.starts.argmin())
    assert weighed.refusals[none] == 1.0 and weighed.refusals[1 - none] == 0.0
    assert weighed.rewards[none].sum() == 0.0
    expected = weighed.expected()
    assert float(expected[none]) == pytest.approx(math.exp(float(weighed.none[none])), abs=1e-6)


def test_its_gradient_raises_the_expected_reward(model: GPT, tokenizer: Tokenizer, batch: Readings) -> None:
    model.requires_grad_(True).train()
    learner = Rewarded(Autograd(model), tokenizer, starts=3, supervised=0.0)
    counts = Counts(0, 2, int((batch.stops != -100).sum()))
    before = learner.backward(batch, counts)["reward"]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.add_(parameter.grad, alpha=-0.01)
    assert learner.backward(batch, counts)["reward"] > before


def test_the_stage_runs_from_the_command_line(
    model: GPT, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    save_model(model, tokenizer, folder)
    at = PASSAGE.index("the mat")
    qas = [
        {"id": "1", "question": "What did the cat sit on?", "answers": [{"text": "the mat", "answer_start": at}]},
        {"id": "2", "question": "Who ran?", "answers": []},
    ]
    data = {"data": [{"title": "x", "paragraphs": [{"context": PASSAGE, "qas": qas}]}]}
    (tmp_path / "qa.json").write_text(json.dumps(data))
    command = ["reward", "--model", str(folder), "--questions", str(tmp_path / "qa.json"), "--out", str(tmp_path / "r")]
    command += ["--heldout-questions", str(tmp_path / "qa.json"), "--device", "cpu", "--rows", "6", "--threads", "1"]
    assert main([*command, "--steps", "40", "--eval-every", "20", "--log-every", "1", "--matrix-lr", "0.02"]) == 0
    log = [json.loads(line) for line in (tmp_path / "r" / "log.jsonl").read_text().splitlines()]
    rewards = [entry["reward"] for entry in log if "reward" in entry]
    assert rewards[-1] > rewards[0]
    assert set(log[-1]["scores"]["reading"]) == {"start", "stop", "reward", "best"}
    assert (tmp_path / "r" / "model" / "model.safetensors").is_file()
