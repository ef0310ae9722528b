"""The decoder, in full. From token ids to a score for every possible next token:

- token embedding; learned positions are added to it (GPT-2), rotary ones turn queries and keys (``gpt/rope.py``);
  in a reading prompt a vector for the kind of token is added too (question, passage, match)
- blocks of  x + attention(norm(x))  and  x + mlp(norm(x)):  residual stream, pre-norm
- causal multi-head attention, optionally grouped keys and values (Ainslie et al. 2023) and QK-norm
  (Henry et al. 2020); a prefix-LM mask lets prompt tokens see the whole prompt (Raffel et al. 2020)
- SwiGLU MLP (Shazeer 2020) or GELU (Hendrycks & Gimpel 2016); RMSNorm (Zhang & Sennrich 2019) or LayerNorm
- copy head: a last query and key that point from the answer to the place it is copied from (Vinyals et al. 2015,
  Gu et al. 2016), used when the answer may only be a quotation
- unembedding, tied to the embedding or of its own; softmax with temperature is the sampler's (``gpt/sampling.py``)

One model serves GPT-2, Llama, Qwen and our own shape: ``gpt/config.py`` says which parts each has.
Shapes: B rows, T tokens, S keys, C width, H heads, G key/value heads, D head size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt.attention import attend, attention_weights
from gpt.cache import KVCache
from gpt.cancelling import check
from gpt.config import GPTConfig
from gpt.rope import rotary_tables, rotate
from gpt.trace import Trace

Angles = tuple[Tensor, Tensor]  # cos and sin, see gpt/rope.py


class Linear(nn.Linear):
    """A matrix whose fp32 master weights are cast to the activations' type: explicit precision."""

    def forward(self, input: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(input.dtype)
        return F.linear(input, self.weight.to(input.dtype), bias)


class Norm(nn.Module):
    """RMSNorm, x / sqrt(mean(x²) + eps), or LayerNorm, over the last ``size`` numbers; gain and bias as configured."""

    def __init__(self, config: GPTConfig, size: int) -> None:
        super().__init__()
        self.size, self.eps, self.layer = (size,), config.norm_eps, config.norm == "layer"
        self.weight = nn.Parameter(torch.ones(size)) if config.norm_gain else None
        self.bias = nn.Parameter(torch.zeros(size)) if self.layer else None

    def forward(self, x: Tensor) -> Tensor:
        weight = None if self.weight is None else self.weight.to(x.dtype)
        if self.bias is None:
            return F.rms_norm(x, self.size, weight, self.eps)
        return F.layer_norm(x, self.size, weight, self.bias.to(x.dtype), self.eps)


class Attention(nn.Module):
    """Every token asks (query), offers (key) and hands over (value); the output matrix mixes the heads."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.config, self.layer = config, layer
        queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
        self.query = Linear(config.width, queries, bias=config.attention_bias)
        self.key = Linear(config.width, keys, bias=config.attention_bias)
        self.value = Linear(config.width, keys, bias=config.attention_bias)
        self.output = Linear(queries, config.width, bias=config.output_bias)
        self.query_norm = Norm(config, config.head_dim) if config.qk_norm else nn.Identity()
        self.key_norm = Norm(config, config.head_dim) if config.qk_norm else nn.Identity()
        self.fused: nn.Module | None = None  # query, key and value as one product: ``gpt/kernels/packed.py`` sets it

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """q (B, T, H·D), k and v (B, T, G·D) of x (B, T, C)."""
        if self.fused is None:
            return self.query(x), self.key(x), self.value(x)
        c = self.config
        q, k, v = self.fused(x).split([n * c.head_dim for n in (c.heads, c.kv_heads, c.kv_heads)], dim=-1)
        return q, k, v

    def forward(
        self, x: Tensor, angles: Angles | None, mask: Tensor | None, cache: KVCache | None, trace: Trace | None
    ) -> Tensor:
        c = self.config
        B, T, _ = x.shape
        q, k, v = self.project(x)
        q = self.query_norm(q.view(B, T, c.heads, c.head_dim)).transpose(1, 2)  # (B, H, T, D)
        k = self.key_norm(k.view(B, T, c.kv_heads, c.head_dim)).transpose(1, 2)  # (B, G, T, D)
        v = v.view(B, T, c.kv_heads, c.head_dim).transpose(1, 2)
        if angles is not None:
            q, k = rotate(q, *angles), rotate(k, *angles)
        if cache is not None:
            k, v = cache.append(self.layer, k, v)  # (B, G, S, D)
        if trace is not None:
            trace.attention.append(attention_weights(q.float(), k.float(), mask))
        y = attend(q, k, v, mask, training=self.training)
        return self.output(y.transpose(1, 2).reshape(B, T, c.heads * c.head_dim))


class MLP(nn.Module):
    """down(silu(gate(x)) * up(x)) for SwiGLU, down(gelu(up(x))) for GELU, token by token."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.gate = Linear(config.width, config.hidden, bias=config.mlp_bias) if config.mlp == "swiglu" else None
        self.up = Linear(config.width, config.hidden, bias=config.mlp_bias)
        self.down = Linear(config.hidden, config.width, bias=config.mlp_bias)
        self.fused: nn.Module | None = None  # gate and up as one product: ``gpt/kernels/packed.py`` sets it

    def forward(self, x: Tensor) -> Tensor:
        if self.fused is not None:
            gate, up = self.fused(x).chunk(2, dim=-1)
            return self.down(F.silu(gate) * up)
        if self.gate is not None:
            return self.down(F.silu(self.gate(x)) * self.up(x))
        return self.down(F.gelu(self.up(x), approximate="tanh"))


class Block(nn.Module):
    """One layer: attention moves information between tokens, the MLP works on each token; both add to the stream."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = Norm(config, config.width), Norm(config, config.width)
        self.attention, self.mlp = Attention(config, layer), MLP(config)

    def forward(
        self, x: Tensor, angles: Angles | None, mask: Tensor | None, cache: KVCache | None, trace: Trace | None
    ) -> Tensor:
        x = x + self.attention(self.attention_norm(x), angles, mask, cache, trace)
        return x + self.mlp(self.mlp_norm(x))


class GPT(nn.Module):
    """A decoder-only transformer. ``forward`` scores; drawing from the scores is ``gpt/engine.py``'s work."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        learned = config.positions == "learned"
        self.positions = nn.Embedding(config.context, config.width) if learned else None
        # Kind 0 is plain: it adds nothing and never learns.
        self.kinds = nn.Embedding(config.kinds, config.width, padding_idx=0) if config.kinds else None
        self.embedding_norm = Norm(config, config.width) if config.embedding_norm else nn.Identity()
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.final_norm = Norm(config, config.width)
        self.unembedding: nn.Module | None = None
        if not config.tied:
            self.unembedding = Linear(config.width, config.vocab_size, bias=False)
        self.copy_query = Linear(config.width, config.width, bias=False) if config.kinds else None
        self.copy_key = Linear(config.width, config.width, bias=False) if config.kinds else None
        if not learned:
            cos, sin = rotary_tables(config)
            self.register_buffer("cos", cos, persistent=False)
            self.register_buffer("sin", sin, persistent=False)
        self.compute_dtype = torch.float32

    @torch.no_grad()
    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Embeddings N(0, 0.02²), one of them being the unembedding too; input matrices uniform with std
        1/sqrt(fan-in); matrices that write to the residual stream start at zero, so that every block starts as the
        identity; gains at one, biases at zero."""
        for name, parameter in self.named_parameters():
            if parameter.dim() == 1:
                nn.init.constant_(parameter, float(name.endswith("norm.weight")))
            elif name in ("embedding.weight", "positions.weight", "kinds.weight"):
                nn.init.normal_(parameter, std=0.02, generator=generator)
            elif name.endswith(("output.weight", "down.weight")):
                parameter.zero_()
            else:
                bound = (3 / parameter.shape[1]) ** 0.5  # uniform on ±sqrt(3)·std has that std
                nn.init.uniform_(parameter, -bound, bound, generator=generator)
        if self.kinds is not None:
            self.kinds.weight[0] = 0.0

    @property
    def device(self) -> torch.device:
        return self.embedding.weight.device

    def new_cache(self, rows: int, capacity: int) -> KVCache:
        """An empty key/value cache for ``rows`` rows of at most ``capacity`` tokens, of this model's type and place."""
        return KVCache(self.config, rows, capacity, dtype=self.compute_dtype, device=self.device)

    def forward(
        self,
        ids: Tensor,
        *,
        cache: KVCache | None = None,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        kinds: Tensor | None = None,
        trace: Trace | None = None,
    ) -> Tensor:
        """Final hidden states (B, T, C), normalised, for ids (B, T); ``unembed`` turns them into logits.

        ``mask`` is boolean, True where a query may look, broadcastable to (B, 1, T, S); None is causal.
        ``positions`` (B, T) default to the slots that the tokens take. ``kinds`` (B, T) are the kinds of the tokens
        of a reading prompt; plain text has none. ``trace`` collects what the glass box shows. ValueError when the
        context is exceeded.
        """
        T = ids.shape[1]
        past = cache.length if cache is not None else 0
        if past + T > self.config.context:
            raise ValueError(
                f"{past + T} tokens do not fit the model's context of {self.config.context}; shorten the prompt"
            )
        x = self.embedding(ids)  # (B, T, C)
        if self.positions is not None:
            x = x + (self.positions.weight[past : past + T] if positions is None else self.positions(positions))
        if kinds is not None and self.kinds is not None:
            x = x + self.kinds(kinds)
        x = self.embedding_norm(x.to(self.compute_dtype))
        angles = None if self.positions is not None else self.angles(past, T, positions)
        if trace is not None:
            trace.states.append(x)
        for block in self.blocks:
            if cache is not None:  # not in training, where nobody waits and a compiled graph would break here
                check()
            x = block(x, angles, mask, cache, trace)
            if trace is not None:
                trace.states.append(x)
        if cache is not None:
            cache.advance(T)
        return self.final_norm(x)

    def angles(self, past: int, tokens: int, positions: Tensor | None) -> Angles:
        """cos and sin of the tokens' angles, (T, D), or (B, 1, T, D) where positions are given."""
        at = slice(past, past + tokens) if positions is None else positions
        cos, sin = self.cos[at].to(self.compute_dtype), self.sin[at].to(self.compute_dtype)
        return (cos, sin) if positions is None else (cos[:, None], sin[:, None])

    def unembed(self, hidden: Tensor, only: Sequence[int] | None = None) -> Tensor:
        """Logits (..., V) in fp32 for hidden states (..., C); with ``only``, those of these ids, (..., len(only))."""
        if self.unembedding is not None and only is None:
            return self.unembedding(hidden).float()
        if not self.config.tied:
            return self.unembed(hidden)[..., list(only or ())]
        weight = self.embedding.weight if only is None else self.embedding.weight[list(only)]
        return F.linear(hidden, weight.to(hidden.dtype)).float()

    def point(self, states: Tensor, hidden: Tensor) -> Tensor:
        """Copy scores (B, T), fp32: how much the states (B, C) point at each place of hidden (B, T, C)."""
        if self.copy_query is None or self.copy_key is None:
            raise ValueError("this model has no copy head, so it cannot quote; use one whose config has kinds")
        q, k = self.copy_query(states).float(), self.copy_key(hidden).float()
        return torch.einsum("bc,btc->bt", q, k) * self.config.width**-0.5

    def logits(self, ids: Tensor, **options: Tensor | KVCache | None) -> Tensor:
        """(B, T, V): ``unembed(forward(ids))``."""
        return self.unembed(self(ids, **options))
