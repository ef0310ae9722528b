from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from gpt.config import GPTConfig
from gpt.glass.describe import describe
from gpt.glass.presets import ALIASES, PRESETS, preset
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
        ("smollm2-135m", 134_515_008),
        ("smollm2-360m", 361_821_120),
        ("tinyllama-1.1b", 1_100_048_384),
        ("llama3.2-1b", 1_235_814_400),
        ("llama3.1-8b", 8_030_261_248),
        ("qwen2.5-0.5b", 494_032_768),
        ("qwen2.5-1.5b", 1_543_714_304),
        ("qwen3-0.6b", 596_049_920),
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
    shared = table.parameters - table.config.vocab_size * table.config.width  # the names count it once
    assert shared / 1e9 == pytest.approx(billions, rel=0.025)


def built(config: GPTConfig) -> int:
    """The parameters of a model as torch counts them."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in GPT(config).parameters())


SMALL = GPTConfig(vocab_size=300, layers=3, heads=6, kv_heads=2, width=48, hidden=80, context=32)
PARTS: list[dict[str, object]] = [
    {},
    {"norm_gain": True},
    {"norm_gain": True, "qk_norm": False},
    {"norm": "layer"},
    {"norm": "layer", "norm_gain": True, "embedding_norm": False},
    {"norm": "layer", "norm_gain": True, "qk_norm": False, "positions": "learned", "kinds": 0},
    {"mlp": "gelu", "mlp_bias": True},
    {"mlp_bias": True, "attention_bias": True},
    {"output_bias": True, "tied": False},
    {"head_dim": 20, "attention_bias": True, "output_bias": True},
    {"kinds": 0, "kv_heads": 6, "tied": False, "positions": "learned"},
]


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_every_part_is_counted_as_torch_counts_it(parts: dict[str, object]) -> None:
    config = replace(SMALL, **{"head_dim": 0, **parts})  # type: ignore[arg-type]
    table = describe(config)
    assert table.parameters == config.parameters == built(config)
    assert (
        table.cache_bytes_per_token() == config.cache_bytes_per_token == 2 * 3 * config.kv_heads * config.head_dim * 2
    )


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_model_built_from_a_preset_has_the_parameters_of_its_table(name: str) -> None:
    table, config = preset(name), PRESETS[name].config
    # Our blocks begin with their norms, GPT-1's end with them: it lacks the norm after the last block.
    extra = 0 if PRESETS[name].final_norm else 2 * config.width
    assert table is not None and table.parameters + extra == built(config)


def test_aliases_lead_to_presets() -> None:
    assert set(ALIASES.values()) <= set(PRESETS) and not set(ALIASES) & set(PRESETS)


def test_matrices_are_counted_per_head() -> None:
    table = describe(SMALL)
    assert table.weights == table.parameters  # our own shape has neither biases nor gains
    assert table.matrices == 4 + 3 * ((2 + 2 + 6) + 1 + 3)
    assert "the embedding's" in str(table) and "the embedding's" not in str(describe(replace(SMALL, tied=False)))


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
