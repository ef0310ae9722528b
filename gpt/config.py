"""The shape of a decoder: one frozen record that is written beside the weights and read before them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

MODEL_TYPE = "openbook-gpt"


@dataclass(frozen=True, slots=True)
class GPTConfig:
    """Sizes of a GPT decoder (see ``gpt/model.py`` for what they size).

    ``prefix_lm`` says that the model was tuned to read its prompt in both directions and to write its answer
    causally (T5's prefix-LM mask, Raffel et al. 2020); a model without it is causal everywhere. ``kinds`` sizes the
    table that tells question, passage and matching tokens apart (``gpt/grounding.py``); 0 leaves it and the copy
    head out: a decoder for plain text.
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

    def __post_init__(self) -> None:
        for name in ("vocab_size", "context", "layers", "heads", "kv_heads", "width", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.kinds < 0:
            raise ValueError(f"kinds must not be negative, and is {self.kinds}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of the {self.heads} heads")
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads cannot share {self.kv_heads} key/value heads evenly")
        if self.head_dim % 2:
            raise ValueError(f"head size {self.head_dim} is odd; rotary positions need pairs")

    @property
    def head_dim(self) -> int:
        return self.width // self.heads

    @property
    def cache_bytes_per_token(self) -> int:
        """Bytes of keys and values that one token leaves in a bf16 cache."""
        return 2 * self.layers * self.kv_heads * self.head_dim * 2

    @property
    def parameters(self) -> int:
        """Weights of the model, the tied embedding counted once."""
        attention = self.width * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        tables = (self.vocab_size + self.kinds) * self.width
        copying = 2 * self.width * self.width if self.kinds else 0
        return tables + self.layers * (attention + 3 * self.width * self.hidden) + copying

    def save(self, folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> GPTConfig:
        """Read ``config.json``; ValueError with one sentence when it is missing or of another family."""
        path = folder / "config.json"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            inside = f"; the finished model lies in {folder / 'model'}" if (folder / "model").is_dir() else ""
            raise ValueError(f"{folder} holds no config.json, so it is not a model folder{inside}") from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} cannot be read as JSON ({error})") from None
        kind = data.get("model_type") if isinstance(data, dict) else None
        if kind != MODEL_TYPE:
            raise ValueError(f"{path} describes a model of type {kind!r}; only {MODEL_TYPE!r} can be loaded here")
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise ValueError(f"{path} has settings this version does not know: {', '.join(unknown)}")
        return cls(**data)
