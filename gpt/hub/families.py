"""The published families as one model: a Hugging Face ``config.json`` becomes a :class:`gpt.config.GPTConfig`, and
each of our parameters knows which tensor of the file it is.

What our model computes otherwise than a setting asks for is never guessed at: :class:`NotNative` names the setting, and
``gpt/load.py`` hands the folder to transformers. Defaults are those of the families' own configuration classes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpt.config import MODEL_TYPE, GPTConfig, RopeScaling


class NotNative(ValueError):
    """A model that our decoder does not compute; the message says for which reason."""


@dataclass(frozen=True, slots=True)
class Settings:
    """A ``config.json`` whose values are checked as they are read."""

    data: Mapping[str, Any]
    path: Path

    def whole(self, name: str, default: int | None = None) -> int:
        value = self._value(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{self.path}: {name} is {value!r}, which is no whole number above 0")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        value = self._value(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
            raise ValueError(f"{self.path}: {name} is {value!r}, which is no number above 0")
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        value = self._value(name, default)
        if not isinstance(value, bool):
            raise ValueError(f"{self.path}: {name} is {value!r}, which is neither true nor false")
        return value

    def one_of(self, name: str, known: tuple[str, ...]) -> None:
        value = self._value(name, known[0])
        if value not in known:
            raise NotNative(f"its {name} is {value!r}")

    def _value(self, name: str, default: Any) -> Any:
        value = self.data.get(name)
        if value is None and default is None:
            raise ValueError(f"{self.path} lacks {name}, which a model of type {self.data.get('model_type')!r} needs")
        return default if value is None else value


@dataclass(frozen=True, slots=True)
class Source:
    """Where a parameter of ours lies: a tensor's name, whether rows and columns are exchanged (GPT-2's Conv1D), and
    which third of its last dimension it is (GPT-2 keeps query, key and value side by side)."""

    name: str
    transposed: bool = False
    third: int | None = None

    def shape(self, ours: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that the file must hold for a parameter of shape ``ours``."""
        shape = tuple(reversed(ours)) if self.transposed else ours
        return shape if self.third is None else (*shape[:-1], 3 * shape[-1])


@dataclass(frozen=True, slots=True)
class Family:
    """How a family's settings are read and its tensors are called, the latter without the ``prefix`` that a model with
    a language-model head puts before all names but ``lm_head``'s."""

    config: Callable[[Settings], GPTConfig]
    prefix: str = ""
    ignored: str = r"(?!)"  # buffers that older files hold and no model learns
    parts: Mapping[str, Source] = field(default_factory=dict)
    layer: str = ""

    def canonical(self, stored: str) -> str | None:
        """A stored tensor's name without the prefix; None for a buffer that is not read."""
        name = stored.removeprefix(self.prefix)
        return None if re.fullmatch(self.ignored, name) else name

    def source(self, name: str) -> Source:
        """Where our parameter ``name`` lies."""
        if not self.parts:
            return Source(name)
        stem, _, kind = name.rpartition(".")
        match = re.fullmatch(r"blocks\.(\d+)\.(.+)", stem)
        source = self.parts[match[2] if match else stem]
        before = f"{self.layer}.{match[1]}." if match else ""
        return Source(f"{before}{source.name}.{kind}", source.transposed and kind == "weight", source.third)


def _gpt2(s: Settings) -> GPTConfig:
    s.one_of("activation_function", ("gelu_new", "gelu_pytorch_tanh"))
    if not s.flag("scale_attn_weights", True) or s.flag("scale_attn_by_inverse_layer_idx", False):
        raise NotNative("its attention is not scaled by the head size alone")
    if s.flag("add_cross_attention", False):
        raise NotNative("it attends to another model")
    width, heads = s.whole("n_embd"), s.whole("n_head")
    return GPTConfig(
        **_shared(s, "n_positions", "n_layer", tied=True),
        heads=heads,
        kv_heads=heads,
        width=width,
        hidden=s.whole("n_inner", 4 * width),
        norm_eps=s.number("layer_norm_epsilon", 1e-5),
        norm="layer",
        qk_norm=False,
        mlp="gelu",
        attention_bias=True,
        output_bias=True,
        mlp_bias=True,
        positions="learned",
    )


def _llama(s: Settings) -> GPTConfig:
    bias = s.flag("attention_bias", False)
    heads, mlp_bias = s.whole("num_attention_heads"), s.flag("mlp_bias", False)
    return _rotary(s, kv_heads=heads, bias=bias, output_bias=bias, mlp_bias=mlp_bias)


def _mistral(s: Settings) -> GPTConfig:
    window = s.data.get("sliding_window", 4096)
    if window is not None and window < s.whole("max_position_embeddings", 131_072):
        raise NotNative(f"its attention sees a sliding window of {window} tokens")
    return _rotary(s, kv_heads=8, context=131_072)


def _qwen2(s: Settings) -> GPTConfig:
    _full_attention(s)
    return _rotary(s, kv_heads=32, context=32_768, bias=True)


def _qwen3(s: Settings) -> GPTConfig:
    _full_attention(s)
    bias = s.flag("attention_bias", False)
    return _rotary(s, kv_heads=32, context=32_768, bias=bias, output_bias=bias, qk_norm=True, head_dim=128)


def _rotary(
    s: Settings,
    *,
    kv_heads: int,
    context: int = 2048,
    bias: bool = False,
    output_bias: bool = False,
    mlp_bias: bool = False,
    qk_norm: bool = False,
    head_dim: int = 0,
) -> GPTConfig:
    """What Llama and its kin share; the arguments are the family's defaults and its own parts."""
    s.one_of("hidden_act", ("silu", "swish"))
    base, scaling = _rope(s)
    width, heads = s.whole("hidden_size"), s.whole("num_attention_heads")
    return GPTConfig(
        **_shared(s, "max_position_embeddings", "num_hidden_layers", tied=False, context=context),
        heads=heads,
        # Written as null by models whose heads all have their own keys and values.
        kv_heads=heads if s.data.get("num_key_value_heads", 0) is None else s.whole("num_key_value_heads", kv_heads),
        width=width,
        hidden=s.whole("intermediate_size"),
        head_dim=s.whole("head_dim", head_dim or width // heads),
        norm_eps=s.number("rms_norm_eps", 1e-6),
        qk_norm=qk_norm,
        attention_bias=bias,
        output_bias=output_bias,
        mlp_bias=mlp_bias,
        rope_base=base,
        rope_scaling=scaling,
    )


def _shared(s: Settings, positions: str, layers: str, *, tied: bool, context: int | None = None) -> dict[str, Any]:
    """What all published families have in common."""
    return {
        "vocab_size": s.whole("vocab_size"),
        "context": s.whole(positions, context),
        "layers": s.whole(layers),
        "tied": s.flag("tie_word_embeddings", tied),
        "kinds": 0,
        "prefix_lm": False,
        "model_type": str(s.data["model_type"]),
        "norm_gain": True,
        "embedding_norm": False,
    }


def _full_attention(s: Settings) -> None:
    """Refuse a Qwen whose upper layers see only a window."""
    window = s.data.get("sliding_window", 4096) if s.flag("use_sliding_window", False) else None
    if window is not None and window < s.whole("max_position_embeddings", 32_768):
        raise NotNative(f"some of its layers may see a sliding window of {window} tokens only")
    kinds = {str(kind) for kind in s.data.get("layer_types") or ()} - {"full_attention"}
    if kinds and (window is None or kinds != {"sliding_attention"}):
        raise NotNative(f"it has layers of the type {min(kinds)}")


def _rope(s: Settings) -> tuple[float, RopeScaling | None]:
    """Base and scaling of rotary positions, out of ``rope_scaling`` beside ``rope_theta`` or, since transformers 5,
    of ``rope_parameters``."""
    data = s.data.get("rope_scaling") or s.data.get("rope_parameters") or {}
    if not isinstance(data, dict) or any(isinstance(value, dict) for value in data.values()):
        raise NotNative("its rotary positions differ from layer to layer")
    rope = Settings({**s.data, **data}, s.path)
    if (part := rope.number("partial_rotary_factor", 1.0)) != 1:
        raise NotNative(f"only {part:g} of each head is turned by rotary positions")
    base, kind = rope.number("rope_theta", 10_000.0), data.get("rope_type", data.get("type", "default"))
    if kind in ("default", "linear"):
        return base, RopeScaling("linear", rope.number("factor")) if kind == "linear" else None
    if kind != "llama3":
        raise NotNative(f"its rotary positions are scaled by {kind!r}")
    original = s if "original_max_position_embeddings" in s.data else rope  # the outer one counts, as in transformers
    scaling = RopeScaling(
        "llama3",
        rope.number("factor"),
        rope.number("low_freq_factor"),
        rope.number("high_freq_factor"),
        original.whole("original_max_position_embeddings", s.whole("max_position_embeddings", 2048)),
    )
    if scaling.low_freq >= scaling.high_freq:
        raise ValueError(f"{s.path}: low_freq_factor is not below high_freq_factor")
    return base, scaling


_GPT2_PARTS = {
    "embedding": Source("wte"),
    "positions": Source("wpe"),
    "final_norm": Source("ln_f"),
    "unembedding": Source("lm_head"),
    "attention_norm": Source("ln_1"),
    "mlp_norm": Source("ln_2"),
    "attention.query": Source("attn.c_attn", True, 0),
    "attention.key": Source("attn.c_attn", True, 1),
    "attention.value": Source("attn.c_attn", True, 2),
    "attention.output": Source("attn.c_proj", True),
    "mlp.up": Source("mlp.c_fc", True),
    "mlp.down": Source("mlp.c_proj", True),
}
_LLAMA_PARTS = {
    "embedding": Source("embed_tokens"),
    "final_norm": Source("norm"),
    "unembedding": Source("lm_head"),
    "attention_norm": Source("input_layernorm"),
    "mlp_norm": Source("post_attention_layernorm"),
    "attention.query": Source("self_attn.q_proj"),
    "attention.key": Source("self_attn.k_proj"),
    "attention.value": Source("self_attn.v_proj"),
    "attention.output": Source("self_attn.o_proj"),
    "attention.query_norm": Source("self_attn.q_norm"),
    "attention.key_norm": Source("self_attn.k_norm"),
    "mlp.gate": Source("mlp.gate_proj"),
    "mlp.up": Source("mlp.up_proj"),
    "mlp.down": Source("mlp.down_proj"),
}


def _like_llama(config: Callable[[Settings], GPTConfig]) -> Family:
    return Family(config, "model.", r"layers\.\d+\.self_attn\.rotary_emb\.inv_freq", _LLAMA_PARTS, "layers")


FAMILIES = {
    "gpt2": Family(_gpt2, "transformer.", r"h\.\d+\.attn\.(bias|masked_bias)", _GPT2_PARTS, "h"),
    "llama": _like_llama(_llama),
    "mistral": _like_llama(_mistral),
    "qwen2": _like_llama(_qwen2),
    "qwen3": _like_llama(_qwen3),
    MODEL_TYPE: Family(lambda s: GPTConfig.load(s.path.parent)),
}


def family_config(data: Mapping[str, Any], path: Path) -> GPTConfig:
    """The configuration that ``path``'s content ``data`` describes.

    :class:`NotNative` when our decoder does not compute that model; ValueError for settings that fit no model.
    """
    kind = data.get("model_type")
    if not isinstance(kind, str):
        raise ValueError(f"{path} names no model_type, so nobody can tell what its weights mean")
    if kind not in FAMILIES:
        raise NotNative(f"its model_type is {kind!r}")
    if data.get("quantization_config"):
        raise NotNative("its weights are quantised (quantization_config)")
    try:
        return FAMILIES[kind].config(Settings(data, path))
    except ValueError as error:
        if isinstance(error, NotNative) or str(path) in str(error):
            raise
        raise ValueError(f"{path}: {error}") from None
