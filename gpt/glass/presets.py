"""The sizes of published decoders, by name, for :mod:`gpt.glass.describe`; rotary bases and scalings, which are no
sizes, are those of the family and not of each model."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gpt.config import GPTConfig
from gpt.glass.describe import Description, describe


@dataclass(frozen=True, slots=True)
class Preset:
    """A published model: its title, sizes, what to know of them, and whether a norm follows the last block."""

    title: str
    config: GPTConfig
    note: str = ""
    final_norm: bool = True


# What distinguishes the families, see the table in ``gpt/config.py``.
PLAIN = GPTConfig(kinds=0, prefix_lm=False, qk_norm=False, embedding_norm=False, norm_gain=True)
GPT2 = replace(
    PLAIN,
    norm="layer",
    norm_eps=1e-5,
    mlp="gelu",
    attention_bias=True,
    output_bias=True,
    mlp_bias=True,
    positions="learned",
)
LLAMA = replace(PLAIN, norm_eps=1e-5)
QWEN2 = replace(PLAIN, attention_bias=True, rope_base=1_000_000.0)
QWEN3 = replace(PLAIN, qk_norm=True, rope_base=1_000_000.0)


def _early(layers: int, width: int, heads: int, vocab: int = 50_257, context: int = 1024) -> GPTConfig:
    """GPT-1 to GPT-3: heads fill the width, and the MLP is four times as wide."""
    return replace(
        GPT2,
        layers=layers,
        width=width,
        heads=heads,
        kv_heads=heads,
        head_dim=width // heads,
        hidden=4 * width,
        vocab_size=vocab,
        context=context,
    )


def _gpt3(title: str, layers: int, width: int, heads: int, note: str = "") -> Preset:
    own = "the unembedding is counted as weights of its own; GPT-2 shares the embedding's"
    return Preset(f"GPT-3 {title}", replace(_early(layers, width, heads, context=2048), tied=False), note + own)


def _rope(
    family: GPTConfig,
    layers: int,
    width: int,
    heads: tuple[int, int],
    hidden: int,
    vocab: int,
    context: int,
    tied: bool = True,
    head_dim: int = 0,
) -> GPTConfig:
    """Llama and its relatives; ``heads`` are those of queries and of keys and values."""
    return replace(
        family,
        layers=layers,
        width=width,
        heads=heads[0],
        kv_heads=heads[1],
        head_dim=head_dim or width // heads[0],
        hidden=hidden,
        vocab_size=vocab,
        context=context,
        tied=tied,
    )


# Sizes: Radford et al. 2018 and 2019, table 2.1 of Brown et al. 2020, and the config.json files that the makers of the
# open models publish. GPT-1 has norms after each part of a layer and none at the end.
PRESETS: dict[str, Preset] = {
    "openbook": Preset("openbook-gpt", GPTConfig()),
    "gpt1": Preset("GPT-1", _early(12, 768, 12, 40_478, 512), final_norm=False),
    "gpt2": Preset("GPT-2 small", _early(12, 768, 12)),
    "gpt2-medium": Preset("GPT-2 medium", _early(24, 1024, 16)),
    "gpt2-large": Preset("GPT-2 large", _early(36, 1280, 20)),
    "gpt2-xl": Preset("GPT-2 XL", _early(48, 1600, 25)),
    "gpt3-small": _gpt3("small (125M)", 12, 768, 12),
    "gpt3-medium": _gpt3("medium (350M)", 24, 1024, 16),
    "gpt3-large": _gpt3("large (760M)", 24, 1536, 16),
    "gpt3-xl": _gpt3("XL (1.3B)", 24, 2048, 16, "the paper prints 24 heads, but 16 of 128 fill the width; "),
    "gpt3-2.7b": _gpt3("2.7B", 32, 2560, 32),
    "gpt3-6.7b": _gpt3("6.7B", 32, 4096, 32),
    "gpt3-13b": _gpt3("13B", 40, 5120, 40, "the paper prints width 5,140, but 40 heads of 128 fill 5,120; "),
    "gpt3": _gpt3("175B", 96, 12_288, 96),
    "smollm2-135m": Preset("SmolLM2-135M", _rope(LLAMA, 30, 576, (9, 3), 1536, 49_152, 8192)),
    "smollm2-360m": Preset("SmolLM2-360M", _rope(LLAMA, 32, 960, (15, 5), 2560, 49_152, 8192)),
    "tinyllama-1.1b": Preset("TinyLlama-1.1B", _rope(LLAMA, 22, 2048, (32, 4), 5632, 32_000, 2048, tied=False)),
    "llama3.2-1b": Preset("Llama-3.2-1B", _rope(LLAMA, 16, 2048, (32, 8), 8192, 128_256, 131_072)),
    "llama3.1-8b": Preset("Llama-3.1-8B", _rope(LLAMA, 32, 4096, (32, 8), 14_336, 128_256, 131_072, tied=False)),
    "qwen2.5-0.5b": Preset("Qwen2.5-0.5B", _rope(QWEN2, 24, 896, (14, 2), 4864, 151_936, 32_768)),
    "qwen2.5-1.5b": Preset("Qwen2.5-1.5B", _rope(QWEN2, 28, 1536, (12, 2), 8960, 151_936, 131_072)),
    "qwen3-0.6b": Preset("Qwen3-0.6B", _rope(QWEN3, 28, 1024, (16, 8), 3072, 151_936, 40_960, head_dim=128)),
}
ALIASES = {
    "gpt-1": "gpt1",
    "gpt-2": "gpt2",
    "gpt-3": "gpt3",
    "gpt2-small": "gpt2",
    "gpt3-125m": "gpt3-small",
    "gpt3-350m": "gpt3-medium",
    "gpt3-760m": "gpt3-large",
    "gpt3-1.3b": "gpt3-xl",
    "gpt3-175b": "gpt3",
    "llama-3.2-1b": "llama3.2-1b",
    "llama-3.1-8b": "llama3.1-8b",
}


def preset(name: str) -> Description | None:
    """The description of a published model or of our default by name, in any case; None when unknown."""
    key = name.lower()
    found = PRESETS.get(ALIASES.get(key, key))
    if found is None:
        return None
    return describe(found.config, found.title, note=found.note, final_norm=found.final_norm)
