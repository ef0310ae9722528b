"""The decoder, in full. From token ids to a score for every possible next token:

- token embedding, plus a vector for the kind of token in a reading prompt (question, passage, match);
  no position embedding: rotary positions turn each query and key (Su et al. 2021)
- blocks of  x + attention(norm(x))  and  x + mlp(norm(x)):  residual stream, pre-norm
- causal multi-head attention, optionally grouped keys and values (Ainslie et al. 2023), with QK-norm
  (Henry et al. 2020); a prefix-LM mask lets prompt tokens see the whole prompt (Raffel et al. 2020)
- SwiGLU MLP (Shazeer 2020); RMSNorm without gain (Zhang & Sennrich 2019); no biases
- copy head: a last query and key that point from the answer to the place it is copied from (Vinyals et al. 2015,
  Gu et al. 2016), used when the answer may only be a quotation
- unembedding tied to the embedding; softmax with temperature is the sampler's (``gpt/sampling.py``)

Shapes: B rows, T tokens, S keys, C width, H heads, G key/value heads, D head size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt.cache import KVCache
from gpt.config import GPTConfig


class Linear(nn.Linear):
    """A matrix without bias whose fp32 master weights are cast to the activations' type: explicit precision."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight.to(input.dtype))


def norm(x: Tensor, eps: float) -> Tensor:
    """RMSNorm without gain: x / sqrt(mean(x²) + eps)."""
    return F.rms_norm(x, (x.shape[-1],), eps=eps)


def rotary_tables(context: int, head_dim: int, base: float) -> tuple[Tensor, Tensor]:
    """cos and sin of position x frequency, each (context, D/2), fp32."""
    frequencies = base ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angles = torch.outer(torch.arange(context, dtype=torch.float32), frequencies)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn pairs (i, i + D/2) of x (B, H, T, D) by their position's angle; cos, sin broadcast to (B, 1, T, D/2)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


class Attention(nn.Module):
    """Every token asks (query), offers (key) and hands over (value); the output matrix mixes the heads."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.config, self.layer = config, layer
        self.query = Linear(config.width, config.heads * config.head_dim)
        self.key = Linear(config.width, config.kv_heads * config.head_dim)
        self.value = Linear(config.width, config.kv_heads * config.head_dim)
        self.output = Linear(config.heads * config.head_dim, config.width)
        self.record: list[Tensor] | None = None  # the glass box sets a list and finds (B, H, T, S) weights in it

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: KVCache | None) -> Tensor:
        c = self.config
        B, T, _ = x.shape
        q = self.query(x).view(B, T, c.heads, c.head_dim).transpose(1, 2)  # (B, H, T, D)
        k = self.key(x).view(B, T, c.kv_heads, c.head_dim).transpose(1, 2)  # (B, G, T, D)
        v = self.value(x).view(B, T, c.kv_heads, c.head_dim).transpose(1, 2)
        q, k = norm(q, c.norm_eps), norm(k, c.norm_eps)
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        if cache is not None:
            k, v = cache.append(self.layer, k, v)  # (B, G, S, D)
        if c.kv_heads != c.heads:
            k = k.repeat_interleave(c.heads // c.kv_heads, dim=1)
            v = v.repeat_interleave(c.heads // c.kv_heads, dim=1)
        causal = mask is None and T > 1
        if self.record is not None:
            self.record.append(attention_weights(q.float(), k.float(), mask, causal))
        if x.device.type == "cpu" and T > 1 and (self.training or mask is not None):
            # With a mask the fused kernel takes twice as long on a CPU, 24 ms against 12 for (14, 5, 269, 64) in bf16
            # and 76 against 37 with the backward pass.
            y = attention_weights(q, k, mask, causal) @ v
        else:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        return self.output(y.transpose(1, 2).reshape(B, T, c.heads * c.head_dim))


def attention_weights(q: Tensor, k: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """softmax(q kᵀ / sqrt(D)), (B, H, T, S): what the fused kernel computes and does not return."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if causal:
        mask = decode_mask(q.shape[2], k.shape[2], q.device)
    if mask is not None:
        scores = scores + torch.zeros_like(mask, dtype=scores.dtype).masked_fill_(~mask, float("-inf"))
    return scores.softmax(dim=-1)


class MLP(nn.Module):
    """SwiGLU: down(silu(gate(x)) * up(x)), token by token."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.gate = Linear(config.width, config.hidden)
        self.up = Linear(config.width, config.hidden)
        self.down = Linear(config.hidden, config.width)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Block(nn.Module):
    """One layer: attention moves information between tokens, the MLP works on each token; both add to the stream."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.eps = config.norm_eps
        self.attention = Attention(config, layer)
        self.mlp = MLP(config)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: KVCache | None) -> Tensor:
        x = x + self.attention(norm(x, self.eps), cos, sin, mask, cache)
        return x + self.mlp(norm(x, self.eps))


class GPT(nn.Module):
    """A decoder-only transformer. ``forward`` scores; drawing from the scores is ``gpt/engine.py``'s work."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        # Kind 0 is plain: it adds nothing and never learns.
        self.kinds = nn.Embedding(config.kinds, config.width, padding_idx=0) if config.kinds else None
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.copy_query = Linear(config.width, config.width) if config.kinds else None
        self.copy_key = Linear(config.width, config.width) if config.kinds else None
        cos, sin = rotary_tables(config.context, config.head_dim, config.rope_base)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.compute_dtype = torch.float32

    @torch.no_grad()
    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Embedding N(0, 0.02²) since it is also the unembedding; input matrices uniform with std 1/sqrt(fan-in);
        matrices that write to the residual stream start at zero, so that every block starts as the identity."""
        nn.init.normal_(self.embedding.weight, std=0.02, generator=generator)
        if self.kinds is not None:
            nn.init.normal_(self.kinds.weight, std=0.02, generator=generator)
            self.kinds.weight[0] = 0.0
        for name, parameter in self.named_parameters():
            if name in ("embedding.weight", "kinds.weight"):
                continue
            if name.endswith(("output.weight", "down.weight")):
                parameter.zero_()
            else:
                bound = (3 / parameter.shape[1]) ** 0.5  # uniform on ±sqrt(3)·std has that std
                nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def forward(
        self,
        ids: Tensor,
        *,
        cache: KVCache | None = None,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        kinds: Tensor | None = None,
    ) -> Tensor:
        """Final hidden states (B, T, C), normalised, for ids (B, T); ``unembed`` turns them into logits.

        ``mask`` is boolean, True where a query may look, broadcastable to (B, 1, T, S); None is causal. A cached
        pass of several tokens needs a mask unless the cache is empty (``decode_mask`` makes one). ``positions``
        (B, T) default to the slots that the tokens take. ``kinds`` (B, T) are the kinds of the tokens of a reading
        prompt; plain text has none. ValueError when the context is exceeded.
        """
        T = ids.shape[1]
        past = cache.length if cache is not None else 0
        if past + T > self.config.context:
            raise ValueError(
                f"{past + T} tokens do not fit the model's context of {self.config.context}; shorten the prompt"
            )
        if mask is None and past and T > 1:
            mask = decode_mask(T, past + T, ids.device)
        cos, sin = self.cos[past : past + T], self.sin[past : past + T]  # (T, D/2)
        if positions is not None:
            cos, sin = self.cos[positions][:, None], self.sin[positions][:, None]  # (B, 1, T, D/2)
        x = self.embedding(ids)  # (B, T, C)
        if kinds is not None and self.kinds is not None:
            x = x + self.kinds(kinds)
        x = norm(x.to(self.compute_dtype), self.config.norm_eps)
        cos, sin = cos.to(x.dtype), sin.to(x.dtype)
        for block in self.blocks:
            x = block(x, cos, sin, mask, cache)
        if cache is not None:
            cache.advance(T)
        return norm(x, self.config.norm_eps)

    def unembed(self, hidden: Tensor, only: Sequence[int] | None = None) -> Tensor:
        """Logits (..., V) in fp32 for hidden states (..., C); with ``only``, those of these ids, (..., len(only))."""
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


def decode_mask(tokens: int, keys: int, device: torch.device | str) -> Tensor:
    """Causal mask (T, S) for the last ``tokens`` of ``keys`` slots."""
    return torch.ones(tokens, keys, dtype=torch.bool, device=device).tril(keys - tokens)


def prefix_mask(prefix_lengths: Tensor, tokens: int) -> Tensor:
    """Prefix-LM mask (B, 1, T, T): causal, and everyone sees the first ``prefix_lengths[b]`` tokens of row b."""
    device = prefix_lengths.device
    causal = torch.ones(tokens, tokens, dtype=torch.bool, device=device).tril()
    inside = torch.arange(tokens, device=device)[None, :] < prefix_lengths[:, None]  # (B, T) keys
    return (causal[None] | inside[:, None, :])[:, None]
