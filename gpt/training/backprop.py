"""Training passes with the gradients written out: the same decoder as ``gpt/model.py``, about twice as fast on a CPU.

``model(ids)`` with autograd is the readable way and stays the reference (``tests/gpt/test_backprop.py`` compares every
gradient). On a CPU it wastes half of the time on what is not a matrix product, so this file computes a whole block and
its gradient as one step each:

- the fp32 weights are cast to bf16 once a step instead of once a pass;
- weight gradients are added straight to the fp32 ``grad`` of the parameters, and rows of the embedding to their rows:
  autograd would fill and add a table of the vocabulary's size for each of its uses;
- query, key and value are one product, residual additions are part of the products before them;
- the gradient of RMSNorm takes four passes over the data instead of ten;
- the loss of a large vocabulary never holds fp32 logits.

Shapes as in the model: B rows, T tokens, C width, H heads, G key/value heads, D head size, V vocabulary; N = B·T.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from gpt.attention import decode_mask
from gpt.config import GPTConfig
from gpt.model import GPT, Block
from gpt.rope import rotate

LOGIT_ROWS = 1024  # rows of logits held at once: 16 MB of bf16 for 8,192 tokens stay in a CPU's last cache


def written_out(config: GPTConfig) -> bool:
    """Whether the blocks of this shape are those that this file differentiates: ours, of any size."""
    biases = config.attention_bias or config.output_bias or config.mlp_bias
    parts = (config.norm, config.norm_gain, config.qk_norm, config.mlp, config.positions, config.tied)
    return parts == ("rms", False, True, "swiglu", "rope", True) and config.embedding_norm and not biases


class Passes:
    """Hidden states and losses of ``model`` for training. ``refresh`` must follow every change of the weights."""

    def __init__(self, model: GPT) -> None:
        self.model, self.blocks = model, [BlockWeights(cast(Block, block)) for block in model.blocks]
        self.unembedding = model.embedding.weight
        self.refresh()

    def refresh(self) -> None:
        """Cast the weights to the compute type, once for all passes of a step."""
        dtype = self.model.compute_dtype
        for parameter in self.model.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for block in self.blocks:
            block.refresh(dtype)
        self.unembedding = self.model.embedding.weight.detach().to(dtype)

    def hidden(
        self, ids: Tensor, mask: Tensor | None = None, kinds: Tensor | None = None, positions: Tensor | None = None
    ) -> Tensor:
        """``model(ids, mask=mask, kinds=kinds, positions=positions)``, (B, T, C)."""
        model, T = self.model, ids.shape[1]
        x = Lookup.apply(model.embedding.weight, ids)
        if kinds is not None and model.kinds is not None:
            x = x + Lookup.apply(model.kinds.weight, kinds, model.kinds.padding_idx)
        x = RMSNorm.apply(x.to(model.compute_dtype), model.config.norm_eps)
        angles = model.angles(0, T, positions)
        if positions is not None:
            angles = angles[0][:, 0], angles[1][:, 0]  # (B, T, D/2)
        seen = decode_mask(T, T, ids.device) if mask is None else mask[:, 0]  # (T, T) or (B, T, T)
        unseen = torch.zeros_like(seen, dtype=x.dtype).masked_fill_(~seen, float("-inf"))
        for block in self.blocks:
            x = WrittenBlock.apply(x, block, angles, unseen)
        return RMSNorm.apply(x, model.config.norm_eps)

    def unembed(self, states: Tensor, only: Sequence[int]) -> Tensor:
        """Logits (..., len(only)) of a few tokens, fp32."""
        rows = Lookup.apply(self.model.embedding.weight, torch.tensor(list(only), device=states.device))
        return F.linear(states, rows.to(states.dtype)).float()

    def point(self, states: Tensor, hidden: Tensor) -> Tensor:
        """``model.point``: copy scores (B, T)."""
        return self.model.point(states, hidden)

    def next_token_loss(self, states: Tensor, targets: Tensor) -> Tensor:
        """Summed cross-entropy, in nats, of ``targets`` (N,) given ``states`` (N, C)."""
        return LinearCrossEntropy.apply(states, targets, self.unembedding, self.model.embedding.weight)


class BlockWeights:
    """A block's matrices in the compute type, and the parameters that their gradients belong to."""

    def __init__(self, block: Block) -> None:
        a, m = block.attention, block.mlp
        assert m.gate is not None
        self.config = a.config
        self.masters: dict[str, list[Tensor]] = {
            "qkv": [a.query.weight, a.key.weight, a.value.weight],
            "output": [a.output.weight],
            "gate": [m.gate.weight],
            "up": [m.up.weight],
            "down": [m.down.weight],
        }
        self.cast: dict[str, Tensor] = {}

    def refresh(self, dtype: torch.dtype) -> None:
        for name, masters in self.masters.items():
            self.cast[name] = torch.cat([m.detach().to(dtype) for m in masters])

    def learn(self, name: str, outputs: Tensor, inputs: Tensor) -> None:
        """Add the gradient of a product's matrix, given those of its outputs (N, O) and its inputs (N, I)."""
        gradient = outputs.t() @ inputs
        at = 0
        for master in self.masters[name]:
            assert master.grad is not None
            master.grad.add_(gradient[at : at + len(master)])
            at += len(master)


def inverse_rms(x: Tensor, eps: float) -> Tensor:
    """1 / sqrt(mean(x²) + eps) over the last axis, (..., 1)."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True).float()
    return (length.square() / x.shape[-1] + eps).rsqrt().to(x.dtype)


def norm_backward(g: Tensor, y: Tensor, scale: Tensor) -> Tensor:
    """Gradient of x for y = x · scale, scale = inverse_rms(x):  scale · (g - y · mean(g · y))."""
    return torch.addcmul(g, y, (g * y).mean(-1, keepdim=True), value=-1).mul_(scale)


class WrittenBlock(Function):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: BlockWeights, angles: tuple[Tensor, Tensor], unseen: Tensor) -> Tensor:
        c, (B, T, C) = w.config, x.shape
        H, G, D = c.heads, c.kv_heads, c.head_dim
        x = x.reshape(-1, C)
        scale1 = inverse_rms(x, c.norm_eps)
        normed1 = x * scale1
        # Heads first, (H + 2G, B, T, D): queries, keys and values are then slices without gaps.
        heads = (normed1 @ w.cast["qkv"].t()).view(B, T, -1, D).permute(2, 0, 1, 3).contiguous()
        turned, v = heads[: H + G], heads[H + G :]
        scale_qk = inverse_rms(turned, c.norm_eps)
        turned = rotate(turned * scale_qk, *angles)
        q, k, v = turned[:H].flatten(0, 1), shared(turned[H:], H).flatten(0, 1), shared(v, H).flatten(0, 1)
        scores = (q * D**-0.5) @ k.transpose(1, 2)  # (H·B, T, T)
        scores.view(H, B, T, T).add_(unseen)
        weights = scores.softmax(-1)
        y = (weights @ v).view(H, B, T, D).permute(1, 2, 0, 3).reshape(-1, H * D)
        x = torch.addmm(x, y, w.cast["output"].t())
        scale2 = inverse_rms(x, c.norm_eps)
        normed2 = x * scale2
        gate, up = normed2 @ w.cast["gate"].t(), normed2 @ w.cast["up"].t()
        active = F.silu(gate)
        inner = active * up
        ctx.w, ctx.angles, ctx.shape = w, angles, (B, T, C)
        ctx.save_for_backward(
            normed1, scale1, turned, scale_qk, v, weights, y, normed2, scale2, gate, up, active, inner
        )
        return torch.addmm(x, inner, w.cast["down"].t()).view(B, T, C)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        w, (B, T, C) = ctx.w, ctx.shape
        H, G, D = w.config.heads, w.config.kv_heads, w.config.head_dim
        normed1, scale1, turned, scale_qk, v, weights, y, normed2, scale2, gate, up, active, inner = ctx.saved_tensors
        g = g.reshape(-1, C)
        w.learn("down", g, inner)
        g_inner = g @ w.cast["down"]
        g_up = g_inner * active
        g_gate = torch.ops.aten.silu_backward(g_inner.mul_(up), gate)
        w.learn("up", g_up, normed2)
        w.learn("gate", g_gate, normed2)
        g_normed = torch.addmm(g_up @ w.cast["up"], g_gate, w.cast["gate"])
        g = norm_backward(g_normed, normed2, scale2).add_(g)

        w.learn("output", g, y)
        g_y = (g @ w.cast["output"]).view(B, T, H, D).permute(2, 0, 1, 3).reshape(H * B, T, D)
        q, k = turned[:H].flatten(0, 1), shared(turned[H:], H).flatten(0, 1)
        g_v = weights.transpose(1, 2) @ g_y
        g_scores = torch._softmax_backward_data(g_y @ v.transpose(1, 2), weights, -1, weights.dtype)
        g_q = (g_scores @ k).mul_(D**-0.5)
        g_k = (g_scores.transpose(1, 2) @ q).mul_(D**-0.5)
        g_turned = torch.cat((g_q.view(H, B, T, D), gathered(g_k.view(H, B, T, D), G)))
        # Turning keeps lengths, so the norm's gradient may be taken after it.
        cos, sin = ctx.angles
        g_qk = rotate(norm_backward(g_turned, turned, scale_qk), cos, -sin)
        g_heads = torch.cat((g_qk, gathered(g_v.view(H, B, T, D), G)))
        g_qkv = g_heads.permute(1, 2, 0, 3).reshape(B * T, -1)
        w.learn("qkv", g_qkv, normed1)
        g = norm_backward(g_qkv @ w.cast["qkv"], normed1, scale1).add_(g)
        return g.view(B, T, C), None, None, None


def shared(x: Tensor, heads: int) -> Tensor:
    """Key/value heads (G, B, T, D) repeated for the query heads that share them, (H, B, T, D)."""
    return x if len(x) == heads else x.repeat_interleave(heads // len(x), dim=0)


def gathered(x: Tensor, heads: int) -> Tensor:
    """The gradient of :func:`shared`: (H, B, T, D) summed to (G, B, T, D)."""
    return x if len(x) == heads else x.unflatten(0, (heads, -1)).sum(1)


class RMSNorm(Function):
    """x / sqrt(mean(x²) + eps)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:
        scale = inverse_rms(x, eps)
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return norm_backward(g, *ctx.saved_tensors), None


class Lookup(Function):
    """Rows of a table; their gradients are added to ``table.grad`` row by row. The row ``fixed`` never learns."""

    @staticmethod
    def forward(ctx: Any, table: nn.Parameter, ids: Tensor, fixed: int | None = None) -> Tensor:
        ctx.table, ctx.fixed = table, fixed
        ctx.save_for_backward(ids)
        return F.embedding(ids, table)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[None, None, None]:  # type: ignore[override]
        ids, g = ctx.saved_tensors[0].flatten(), g.flatten(0, -2)
        if ctx.fixed is not None:
            g = g.masked_fill((ids == ctx.fixed)[:, None], 0.0)
        ctx.table.grad.index_add_(0, ids, g)
        return None, None, None


class LinearCrossEntropy(Function):
    """Summed cross-entropy of targets (N,) under softmax(states · matrixᵀ), its gradient made along with it."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, targets: Tensor, matrix: Tensor, master: nn.Parameter) -> Tensor:
        loss = torch.zeros((), device=states.device)
        g_states, g_matrix = torch.empty_like(states), []
        for at in range(0, len(states), LOGIT_ROWS):
            rows, target = states[at : at + LOGIT_ROWS], targets[at : at + LOGIT_ROWS, None]
            logits = rows @ matrix.t()
            logits.sub_(logits.amax(-1, keepdim=True))
            right = logits.gather(1, target)
            # Summed in the compute type: an fp32 sum of bf16 first copies all of it and takes as long as a product.
            total = logits.exp_().sum(-1, keepdim=True)
            loss += (total.float().log() - right.float()).sum()
            logits.mul_(total.reciprocal())  # probabilities
            logits[torch.arange(len(rows), device=rows.device), target[:, 0]] -= 1
            g_states[at : at + LOGIT_ROWS] = logits @ matrix
            g_matrix.append(logits.t() @ rows)
        ctx.master, ctx.g_matrix = master, g_matrix
        ctx.save_for_backward(g_states)
        return loss

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        for part in ctx.g_matrix:
            ctx.master.grad.add_(part, alpha=float(g))
        return ctx.saved_tensors[0] * g.to(ctx.saved_tensors[0].dtype), None, None, None
