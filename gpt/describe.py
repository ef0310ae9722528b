"""Where the weights of a GPT are: tables computed from its sizes alone, without allocating one weight.

Counted as in 3Blue1Brown's lesson on GPT (the chapters on transformers and attention of *Deep learning*):
matrices only, with query, key and value taken per head, e.g. 128 x 12,288 in GPT-3 175B. The lesson's total
of 27,938 matrices for 175,181,291,520 weights follows when the output matrix is counted once per layer, all
its heads side by side as 12,288 x 12,288, which is also how it is stored: 3 x 9,216 + 96 + 2 x 96 + 2.
Position embeddings, norms and biases are not counted there; here they stand beneath the table.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from gpt.config import GPTConfig


@dataclass(frozen=True)
class Shape:
    """The sizes that decide a decoder's weights.

    `gated` adds SwiGLU's third matrix; `layer_norms` counts norms that have a gain and a bias;
    `own_unembedding` is False where the embedding is used again.
    """

    name: str
    layers: int
    heads: int
    head_dim: int
    width: int
    hidden: int
    vocab_size: int
    context: int
    kv_heads: int
    gated: bool = False
    biases: bool = True
    learned_positions: bool = True
    own_unembedding: bool = False
    layer_norms: int = 0
    kinds: int = 0
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One kind of matrix: `count` matrices of `rows` x `columns`; `weights` in all of them."""

    kind: str
    rows: int
    columns: int
    count: int

    @property
    def weights(self) -> int:
        return self.rows * self.columns * self.count


@dataclass(frozen=True)
class Description:
    """A decoder's weight table and what one token costs: `str()` for reading, `as_dict()` for programs."""

    shape: Shape
    rows: tuple[Row, ...]

    @property
    def matrices(self) -> int:
        return sum(row.count for row in self.rows)

    @property
    def weights(self) -> int:
        return sum(row.weights for row in self.rows)

    @property
    def not_counted(self) -> dict[str, int]:
        """Numbers that are learned but stand in no matrix of the table."""
        s = self.shape
        qkv = (s.heads + 2 * s.kv_heads) * s.head_dim
        mlp = s.hidden * (2 if s.gated else 1) + s.width
        return {
            "position embeddings": s.context * s.width if s.learned_positions else 0,
            "norms": 2 * s.width * s.layer_norms,
            "biases": s.layers * (qkv + s.width + mlp) if s.biases else 0,
        }

    @property
    def parameters(self) -> int:
        """Everything learned: the table and what it leaves out."""
        return self.weights + sum(self.not_counted.values())

    @property
    def flops_per_token(self) -> int:
        """A multiplication and an addition per weight that multiplies.

        That is every matrix except the embeddings, which are looked up, and the copy head, which plain text
        does not use; the unembedding counts also where it shares the embedding's weights.
        """
        s = self.shape
        idle = ("embedding", "copy query and key")
        inside = sum(row.weights for row in self.rows if not row.kind.endswith(idle))
        return 2 * (inside + s.vocab_size * s.width)

    def attention_flops_per_token(self, keys: int) -> int:
        """Query times key and weight times value, over `keys` tokens, in every head of every layer."""
        return 4 * self.shape.layers * self.shape.heads * self.shape.head_dim * keys

    def cache_bytes_per_token(self, bytes_per_number: int = 2) -> int:
        """Keys and values that one token leaves behind in all layers; 2 bytes a number in bf16, 4 in fp32."""
        s = self.shape
        return 2 * s.layers * s.kv_heads * s.head_dim * bytes_per_number

    def as_dict(self) -> dict[str, Any]:
        context = self.shape.context
        return {
            **asdict(self.shape),
            "rows": [{**asdict(row), "weights": row.weights} for row in self.rows],
            "matrices": self.matrices,
            "weights": self.weights,
            "not_counted": self.not_counted,
            "parameters": self.parameters,
            "bytes": {"bf16": 2 * self.parameters, "fp32": 4 * self.parameters},
            "flops_per_token": {
                "matrices": self.flops_per_token,
                "attention_at_full_context": self.attention_flops_per_token(context),
            },
            "cache_bytes_per_token": {
                "bf16": self.cache_bytes_per_token(2),
                "fp32": self.cache_bytes_per_token(4),
            },
        }

    def __str__(self) -> str:
        s = self.shape
        groups = "" if s.kv_heads == s.heads else f" sharing {s.kv_heads} keys and values"
        head = (
            f"{s.name}: {s.layers} layers, {s.heads} heads of {s.head_dim}{groups}, width {s.width:,},"
            f" MLP {s.hidden:,}, vocabulary {s.vocab_size:,}, context {s.context:,}"
        )
        lines = [("kind", "shape", "how many", "weights")]
        for row in self.rows:
            lines.append((row.kind, f"{row.rows:,} x {row.columns:,}", f"{row.count:,}", f"{row.weights:,}"))
            if not row.count:
                lines[-1] = (row.kind, "the embedding's", "0", "0")
        lines.append(("total", "", f"{self.matrices:,}", f"{self.weights:,}"))
        sizes = [max(len(line[i]) for line in lines) for i in range(4)]
        table = [
            f"{a:<{sizes[0]}}  {b:>{sizes[1]}}  {c:>{sizes[2]}}  {d:>{sizes[3]}}".rstrip()
            for a, b, c, d in lines
        ]
        rule = "-" * len(table[0])
        left_out = ", ".join(f"{kind} {number:,}" for kind, number in self.not_counted.items())
        full = self.attention_flops_per_token(s.context)
        facts = [
            f"not counted: {left_out}; with them {self.parameters:,} parameters",
            f"bytes: {_bytes(2 * self.parameters)} in bf16, {_bytes(4 * self.parameters)} in fp32",
            f"FLOPs per token: {_short(self.flops_per_token)} in the matrices, {_short(full)} in attention"
            f" over a full context",
            f"key/value cache per token: {_bytes(self.cache_bytes_per_token(2))} in bf16,"
            f" {_bytes(self.cache_bytes_per_token(4))} in fp32",
        ]
        if s.note:
            facts.append(s.note)
        return "\n".join([head, "", table[0], rule, *table[1:-1], rule, table[-1], "", *facts])


def describe(config: GPTConfig | Shape, name: str = "openbook-gpt") -> Description:
    """The weight table of a configuration; `name` heads the table of a :class:`GPTConfig`."""
    s = _shape_of(config, name) if isinstance(config, GPTConfig) else config
    rows = [
        Row("embedding", s.width, s.vocab_size, 1),
        *([Row("kind embedding", s.width, s.kinds, 1)] if s.kinds else []),
        Row("key", s.head_dim, s.width, s.layers * s.kv_heads),
        Row("query", s.head_dim, s.width, s.layers * s.heads),
        Row("value", s.head_dim, s.width, s.layers * s.kv_heads),
        Row("output", s.width, s.heads * s.head_dim, s.layers),
        *([Row("gate projection", s.hidden, s.width, s.layers)] if s.gated else []),
        Row("up projection", s.hidden, s.width, s.layers),
        Row("down projection", s.width, s.hidden, s.layers),
        *([Row("copy query and key", s.width, s.width, 2)] if s.kinds else []),
        Row("unembedding", s.vocab_size, s.width, int(s.own_unembedding)),
    ]
    return Description(s, tuple(rows))


def _shape_of(c: GPTConfig, name: str) -> Shape:
    """Our own decoder: rotary positions, SwiGLU, no biases, norms without gain, tied unembedding."""
    return Shape(
        name,
        c.layers,
        c.heads,
        c.head_dim,
        c.width,
        c.hidden,
        c.vocab_size,
        c.context,
        c.kv_heads,
        gated=True,
        biases=False,
        learned_positions=False,
        kinds=c.kinds,
    )


def _published(
    name: str,
    layers: int,
    width: int,
    heads: int,
    vocab: int,
    context: int,
    norms: int,
    own: bool,
    note: str = "",
) -> Shape:
    """GPT-1 to GPT-3: heads fill the width, MLP four times it, biases, learned positions, layer norms."""
    return Shape(
        name,
        layers,
        heads,
        width // heads,
        width,
        4 * width,
        vocab,
        context,
        heads,
        layer_norms=norms,
        own_unembedding=own,
        note=note,
    )


def _gpt2(name: str, layers: int, width: int, heads: int) -> Shape:
    return _published(name, layers, width, heads, 50_257, 1024, 2 * layers + 1, False)


def _gpt3(name: str, layers: int, width: int, heads: int, note: str = "") -> Shape:
    own = "the unembedding is counted as weights of its own; GPT-2 shares the embedding's"
    return _published(
        f"GPT-3 {name}", layers, width, heads, 50_257, 2048, 2 * layers + 1, True, f"{note}{own}"
    )


# Sizes: Radford et al. 2018 and 2019, and table 2.1 of Brown et al. 2020. GPT-1 has norms after each part
# of a layer and none at the end.
PRESETS: dict[str, Shape | GPTConfig] = {
    "openbook": GPTConfig(),
    "gpt1": _published("GPT-1", 12, 768, 12, 40_478, 512, 24, False),
    "gpt2": _gpt2("GPT-2 small", 12, 768, 12),
    "gpt2-medium": _gpt2("GPT-2 medium", 24, 1024, 16),
    "gpt2-large": _gpt2("GPT-2 large", 36, 1280, 20),
    "gpt2-xl": _gpt2("GPT-2 XL", 48, 1600, 25),
    "gpt3-small": _gpt3("small (125M)", 12, 768, 12),
    "gpt3-medium": _gpt3("medium (350M)", 24, 1024, 16),
    "gpt3-large": _gpt3("large (760M)", 24, 1536, 16),
    "gpt3-xl": _gpt3("XL (1.3B)", 24, 2048, 16, "the paper prints 24 heads, but 16 of 128 fill the width; "),
    "gpt3-2.7b": _gpt3("2.7B", 32, 2560, 32),
    "gpt3-6.7b": _gpt3("6.7B", 32, 4096, 32),
    "gpt3-13b": _gpt3("13B", 40, 5120, 40, "the paper prints width 5,140, but 40 heads of 128 fill 5,120; "),
    "gpt3": _gpt3("175B", 96, 12_288, 96),
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
}


def preset(name: str) -> Description | None:
    """The description of a published model or of our default by name, in any case; None when unknown."""
    key = name.lower()
    config = PRESETS.get(ALIASES.get(key, key))
    return None if config is None else describe(config)


def _bytes(number: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.4g} {unit}"
        number /= 1024
    return f"{number:.4g} TiB"


def _short(number: float) -> str:
    for unit in ("", " thousand", " million", " billion"):
        if number < 1000:
            return f"{number:.4g}{unit}"
        number /= 1000
    return f"{number:.4g} trillion"
