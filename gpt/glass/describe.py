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


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of matrix: ``count`` matrices of ``rows`` x ``columns``; ``weights`` in all of them."""

    kind: str
    rows: int
    columns: int
    count: int

    @property
    def weights(self) -> int:
        return self.rows * self.columns * self.count


@dataclass(frozen=True, slots=True)
class Description:
    """A decoder's weight table and what one token costs: ``str()`` for reading, ``as_dict()`` for programs.

    ``final_norm`` is False for GPT-1, whose blocks end with a norm, so that none is needed after the last.
    """

    name: str
    config: GPTConfig
    rows: tuple[Row, ...]
    note: str = ""
    final_norm: bool = True

    @property
    def matrices(self) -> int:
        return sum(row.count for row in self.rows)

    @property
    def weights(self) -> int:
        return sum(row.weights for row in self.rows)

    @property
    def not_counted(self) -> dict[str, int]:
        """Numbers that are learned but stand in no matrix of the table."""
        c = self.config
        per_norm = c.norm_gain + (c.norm == "layer")  # a gain, a bias, both or neither
        queries, keys, gated = c.heads * c.head_dim, c.kv_heads * c.head_dim, c.mlp == "swiglu"
        norms = per_norm * c.width * (2 * c.layers + c.embedding_norm + self.final_norm)
        attention = (queries + 2 * keys) * c.attention_bias + c.width * c.output_bias
        return {
            "position embeddings": c.context * c.width if c.positions == "learned" else 0,
            "norms": norms + (2 * per_norm * c.head_dim * c.layers if c.qk_norm else 0),
            "biases": c.layers * (attention + (c.hidden * (1 + gated) + c.width) * c.mlp_bias),
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
        idle = ("embedding", "copy query and key")
        inside = sum(row.weights for row in self.rows if not row.kind.endswith(idle))
        return 2 * (inside + self.config.vocab_size * self.config.width)

    def attention_flops_per_token(self, keys: int) -> int:
        """Query times key and weight times value, over ``keys`` tokens, in every head of every layer."""
        return 4 * self.config.layers * self.config.heads * self.config.head_dim * keys

    def cache_bytes_per_token(self, bytes_per_number: int = 2) -> int:
        """Keys and values that one token leaves behind in all layers; 2 bytes a number in bf16, 4 in fp32."""
        return self.config.cache_bytes_per_token * bytes_per_number // 2

    def as_dict(self) -> dict[str, Any]:
        full = self.attention_flops_per_token(self.config.context)
        return {
            "name": self.name,
            **asdict(self.config),
            "note": self.note,
            "rows": [{**asdict(row), "weights": row.weights} for row in self.rows],
            "matrices": self.matrices,
            "weights": self.weights,
            "not_counted": self.not_counted,
            "parameters": self.parameters,
            "bytes": {"bf16": 2 * self.parameters, "fp32": 4 * self.parameters},
            "flops_per_token": {"matrices": self.flops_per_token, "attention_at_full_context": full},
            "cache_bytes_per_token": {"bf16": self.cache_bytes_per_token(2), "fp32": self.cache_bytes_per_token(4)},
        }

    def __str__(self) -> str:
        c = self.config
        groups = "" if c.kv_heads == c.heads else f" sharing {c.kv_heads} keys and values"
        head = (
            f"{self.name}: {c.layers} layers, {c.heads} heads of {c.head_dim}{groups}, width {c.width:,},"
            f" MLP {c.hidden:,}, vocabulary {c.vocab_size:,}, context {c.context:,}"
        )
        left_out = ", ".join(f"{kind} {number:,}" for kind, number in self.not_counted.items())
        full = self.attention_flops_per_token(c.context)
        facts = [
            f"not counted: {left_out}; with them {self.parameters:,} parameters",
            f"bytes: {_bytes(2 * self.parameters)} in bf16, {_bytes(4 * self.parameters)} in fp32",
            f"FLOPs per token: {_short(self.flops_per_token)} in the matrices, {_short(full)} in attention"
            f" over a full context",
            f"key/value cache per token: {_bytes(self.cache_bytes_per_token(2))} in bf16,"
            f" {_bytes(self.cache_bytes_per_token(4))} in fp32; {_bytes(c.context * self.cache_bytes_per_token(2))}"
            f" for a full context in bf16",
            *([self.note] if self.note else []),
        ]
        return "\n".join([head, "", *self._table(), "", *facts])

    def _table(self) -> list[str]:
        lines = [("kind", "shape", "how many", "weights")]
        for row in self.rows:
            shape = f"{row.rows:,} x {row.columns:,}" if row.count else "the embedding's"
            lines.append((row.kind, shape, f"{row.count:,}", f"{row.weights:,}"))
        lines.append(("total", "", f"{self.matrices:,}", f"{self.weights:,}"))
        a, b, c, d = (max(len(line[i]) for line in lines) for i in range(4))
        table = [f"{w:<{a}}  {x:>{b}}  {y:>{c}}  {z:>{d}}" for w, x, y, z in lines]
        rule = "-" * len(table[0])
        return [table[0], rule, *table[1:-1], rule, table[-1]]


def describe(config: GPTConfig, name: str = "openbook-gpt", *, note: str = "", final_norm: bool = True) -> Description:
    """The weight table of a configuration, headed by ``name``."""
    c = config
    rows = [
        Row("embedding", c.width, c.vocab_size, 1),
        *([Row("kind embedding", c.width, c.kinds, 1)] if c.kinds else []),
        Row("key", c.head_dim, c.width, c.layers * c.kv_heads),
        Row("query", c.head_dim, c.width, c.layers * c.heads),
        Row("value", c.head_dim, c.width, c.layers * c.kv_heads),
        Row("output", c.width, c.heads * c.head_dim, c.layers),
        *([Row("gate projection", c.hidden, c.width, c.layers)] if c.mlp == "swiglu" else []),
        Row("up projection", c.hidden, c.width, c.layers),
        Row("down projection", c.width, c.hidden, c.layers),
        *([Row("copy query and key", c.width, c.width, 2)] if c.kinds else []),
        Row("unembedding", c.vocab_size, c.width, int(not c.tied)),
    ]
    return Description(name, c, tuple(rows), note, final_norm)


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
