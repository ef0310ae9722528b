"""The mean of models is that of their weights, and models that do not correspond have none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gpt.config import GPTConfig
from gpt.load import load_model
from gpt.model import GPT
from gpt.tokenizer import Tokenizer
from gpt.training.checkpoint import save_model
from gpt.training.train import main

TEXTS = ["A small harbour by the sea.", "海边的小港口。"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    home, tokenizer = tmp_path_factory.mktemp("soup"), Tokenizer.train(TEXTS * 4, 300)
    folders = []
    for seed in range(3):
        model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, layers=1, heads=2, kv_heads=1, width=16, hidden=24))
        model.init_weights(torch.Generator().manual_seed(seed))
        save_model(model, tokenizer, home / str(seed))
        folders.append(home / str(seed))
    other = Tokenizer.train(TEXTS * 4, 290)
    save_model(GPT(GPTConfig(vocab_size=other.vocab_size, layers=1, width=20, hidden=24)), other, home / "shape")
    save_model(model, tokenizer, home / "words")
    (home / "words" / "tokenizer.json").write_text((home / "words" / "tokenizer.json").read_text() + "\n")
    return [*folders, home / "shape", home / "words"]


def test_the_mean_is_that_of_every_weight(models: list[Path], tmp_path: Path) -> None:
    assert main(["mean", "--models", *map(str, models[:3]), "--out", str(tmp_path / "mean")]) == 0
    each = [load_file(folder / "model.safetensors") for folder in models[:3]]
    mean = load_file(tmp_path / "mean" / "model.safetensors")
    assert mean.keys() == each[0].keys()
    for name, weights in mean.items():
        torch.testing.assert_close(weights, sum(one[name] for one in each) / 3)
    assert load_model(tmp_path / "mean")[0].config == GPTConfig.load(models[0])


@pytest.mark.parametrize(("other", "said"), [(3, "another configuration"), (4, "another tokenizer")])
def test_what_does_not_correspond_is_refused(
    models: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], other: int, said: str
) -> None:
    given = [str(models[0]), str(models[other])]
    assert main(["mean", "--models", *given, "--out", str(tmp_path / "none")]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and str(models[other]) in error
    assert not (tmp_path / "none").exists()


def test_one_model_has_no_mean(models: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mean", "--models", str(models[0]), "--out", str(tmp_path / "none")]) == 2
    assert "at least two" in capsys.readouterr().err
