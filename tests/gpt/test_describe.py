from __future__ import annotations

import json

import pytest
import torch

from gpt.config import GPTConfig
from gpt.describe import PRESETS, describe, preset
from gpt.model import GPT


def test_gpt3_is_the_table_of_the_lesson() -> None:
    table = preset("gpt3")
    assert table is not None
    got = {row.kind: ((row.rows, row.columns), row.count, row.weights) for row in table.rows}
    per_head = ((128, 12_288), 9_216, 14_495_514_624)
    assert got == {
        "embedding": ((12_288, 50_257), 1, 617_558_016),
        "key": per_head,
        "query": per_head,
        "value": per_head,
        "output": ((12_288, 12_288), 96, 14_495_514_624),
        "up projection": ((49_152, 12_288), 96, 57_982_058_496),
        "down projection": ((12_288, 49_152), 96, 57_982_058_496),
        "unembedding": ((50_257, 12_288), 1, 617_558_016),
    }
    assert (table.matrices, table.weights) == (27_938, 175_181_291_520)
    text = str(table)
    assert "27,938" in text and "175,181,291,520" in text
    assert "not counted: position embeddings 25,165,824" in text


@pytest.mark.parametrize(
    "name, parameters",
    [
        ("gpt1", 116_534_784),
        ("gpt2", 124_439_808),
        ("gpt2-medium", 354_823_168),
        ("gpt2-large", 774_030_080),
        ("gpt2-xl", 1_557_611_200),
    ],
)
def test_published_models_have_their_released_number_of_parameters(name: str, parameters: int) -> None:
    """The sizes of the released checkpoints, norms and biases included."""
    table = preset(name)
    assert table is not None and table.parameters == parameters


@pytest.mark.parametrize(
    "name, billions",
    [
        ("gpt3-small", 0.125),
        ("gpt3-medium", 0.35),
        ("gpt3-large", 0.76),
        ("gpt3-xl", 1.3),
        ("gpt3-2.7b", 2.7),
        ("gpt3-6.7b", 6.7),
        ("gpt3-13b", 13),
        ("gpt3-175b", 175),
    ],
)
def test_gpt3_sizes_agree_with_their_names(name: str, billions: float) -> None:
    table = preset(name)
    assert table is not None
    shared = table.parameters - table.shape.vocab_size * table.shape.width  # the names count it once
    assert shared / 1e9 == pytest.approx(billions, rel=0.025)


GROUPED = GPTConfig(vocab_size=300, layers=3, heads=6, kv_heads=2, width=48)


@pytest.mark.parametrize("config", [GPTConfig(), GROUPED])
def test_ours_is_counted_as_torch_counts_it(config: GPTConfig) -> None:
    with torch.device("meta"):
        model = GPT(config)
    table = describe(config)
    assert table.weights == table.parameters == config.parameters
    assert table.weights == sum(p.numel() for p in model.parameters())
    assert table.cache_bytes_per_token() == config.cache_bytes_per_token
    per_head = table.shape.kv_heads + table.shape.kv_heads + table.shape.heads
    assert table.matrices == 4 + config.layers * (per_head + 1 + 3)
    assert "the embedding's" in str(table)


def test_flops_count_the_shared_unembedding_once_more() -> None:
    config = GPTConfig(vocab_size=100, layers=2, heads=2, kv_heads=1, width=8, hidden=16)
    # Per layer: query and output 8x8, key and value 4x8, three MLP matrices 16x8; then 100x8 to the logits.
    assert describe(config).flops_per_token == 2 * (2 * (64 + 64 + 32 + 32 + 3 * 128) + 800)
    assert describe(config).attention_flops_per_token(10) == 2 * 2 * 2 * 8 * 10
    table = preset("gpt3")
    assert table is not None and table.flops_per_token == 2 * (175_181_291_520 - 617_558_016)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_prints_and_goes_through_json(name: str) -> None:
    table = preset(name.upper())
    assert table is not None
    data = json.loads(json.dumps(table.as_dict()))
    assert data["weights"] == sum(row["weights"] for row in data["rows"])
    assert data["bytes"]["fp32"] == 4 * data["parameters"]
    lines = str(table).splitlines()
    assert f"{table.weights:,}" in next(line for line in lines if line.startswith("total"))


def test_an_unknown_name_is_none() -> None:
    assert preset("gpt5") is None
