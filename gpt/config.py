"""The shape of a decoder: one frozen record that is written beside the weights and read before them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

MODEL_TYPE = "openbook-gpt"


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """How rotary frequencies are slowed for contexts longer than the model was first trained on.

    ``linear`` divides all of them by ``factor`` (Chen et al. 2023); ``llama3`` leaves the fast ones, divides the slow
    ones and blends between (Llama 3.1): wavelengths under ``original_context / high_freq`` stay, those over
    ``original_context / low_freq`` are divided.
    """

    kind: Literal["linear", "llama3"]
    factor: float
    low_freq: float = 1.0
    high_freq: float = 4.0
    original_context: int = 8192


@dataclass(frozen=True, slots=True)
class GPTConfig:
    """Sizes and parts of a GPT decoder (see ``gpt/model.py`` for what they are). The defaults are our own shape.

    The published families differ in a few parts only; ``gpt/hub/families.py`` writes each as such a record:

    ======  ======  =======  ========  ======  =====================  =========
    family  norm    gain     QK-norm   MLP     biases                 positions
    ======  ======  =======  ========  ======  =====================  =========
    ours    rms     no       yes       swiglu  none                   rope
    GPT-2   layer   yes      no        gelu    attention, output, MLP learned
    Llama   rms     yes      no        swiglu  none                   rope
    Qwen2   rms     yes      no        swiglu  attention              rope
    Qwen3   rms     yes      yes       swiglu  none                   rope
    ======  ======  =======  ========  ======  =====================  =========

    ``prefix_lm`` says that the model was tuned to read its prompt in both directions and to write its answer
    causally (T5's prefix-LM mask, Raffel et al. 2020); a model without it is causal everywhere. ``kinds`` sizes the
    table that tells question, passage and matching tokens apart (``gpt/grounding.py``); 0 leaves it and the copy
    head out: a decoder for plain text. ``head_dim`` 0 is width / heads.
    """

    vocab_size: int = 8192
    context: int = 1024
    layers: int = 6
    heads: int = 5
    kv_heads: int = 5
    width: int = 320
    hidden: int = 864
    kinds: int = 5
    rope_base: float = 10_000.0
    norm_eps: float = 1e-6
    prefix_lm: bool = True
    model_type: str = MODEL_TYPE
    head_dim: int = 0
    norm: Literal["rms", "layer"] = "rms"
    norm_gain: bool = False
    qk_norm: bool = True
    embedding_norm: bool = True
    mlp: Literal["swiglu", "gelu"] = "swiglu"
    attention_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    positions: Literal["rope", "learned"] = "rope"
    rope_scaling: RopeScaling | None = None
    tied: bool = True

    def __post_init__(self) -> None:
        for name in ("vocab_size", "context", "layers", "heads", "kv_heads", "width", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.kinds < 0:
            raise ValueError(f"kinds must not be negative, and is {self.kinds}")
        if not self.head_dim:
            if self.width % self.heads:
                raise ValueError(f"width {self.width} is not a multiple of the {self.heads} heads")
            object.__setattr__(self, "head_dim", self.width // self.heads)
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads cannot share {self.kv_heads} key/value heads evenly")
        if self.positions == "rope" and self.head_dim % 2:
            raise ValueError(f"head size {self.head_dim} is odd; rotary positions need pairs")

    @property
    def cache_bytes_per_token(self) -> int:
        """Bytes of keys and values that one token leaves in a bf16 cache."""
        return 2 * self.layers * self.kv_heads * self.head_dim * 2

    @property
    def parameters(self) -> int:
        """Everything learned, a tied embedding counted once."""
        queries, keys, gated = self.heads * self.head_dim, self.kv_heads * self.head_dim, self.mlp == "swiglu"
        attention = self.width * (2 * queries + 2 * keys)
        attention += (queries + 2 * keys) * self.attention_bias + self.width * self.output_bias
        mlp = (2 + gated) * self.width * self.hidden
        mlp += (self.hidden * (1 + gated) + self.width) * self.mlp_bias
        per_norm = self.norm_gain + (self.norm == "layer")
        norms = per_norm * 2 * (self.width + (self.head_dim if self.qk_norm else 0))
        tables = (self.vocab_size * (2 - self.tied) + self.kinds) * self.width
        tables += self.context * self.width if self.positions == "learned" else 0
        copying = 2 * self.width * self.width if self.kinds else 0
        ends = per_norm * self.width * (1 + self.embedding_norm)
        return tables + self.layers * (attention + mlp + norms) + copying + ends

    def save(self, folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> GPTConfig:
        """Read a ``config.json`` of ours; ValueError with one sentence when it is missing or of another family."""
        path = folder / "config.json"
        data = read_json(path)
        kind = data.get("model_type")
        if kind != MODEL_TYPE:
            raise ValueError(f"{path} describes a model of type {kind!r}; only {MODEL_TYPE!r} can be loaded here")
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise ValueError(f"{path} has settings this version does not know: {', '.join(unknown)}")
        if isinstance(data.get("rope_scaling"), dict):
            data["rope_scaling"] = RopeScaling(**data["rope_scaling"])
        return cls(**data)


def read_json(path: Path) -> dict[str, Any]:
    """A ``config.json`` as it stands; ValueError with one sentence when it is missing, damaged or no object."""
    folder = path.parent
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        inside = f"; the finished model lies in {folder / 'model'}" if (folder / "model").is_dir() else ""
        raise ValueError(f"{folder} holds no {path.name}, so it is not a model folder{inside}") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read as JSON ({error})") from None
    if not isinstance(data, dict):
        raise ValueError(f"{path} holds no JSON object, so it describes no model")
    return data
