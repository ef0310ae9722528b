"""The English half: BERT's encoder (Devlin et al., 2018) with few layers, mean pooling and unit length.

The shape is all-MiniLM-L6-v2's, of which it keeps the embeddings and some of the layers; the rest is learned by
imitating its vectors (``training/distil.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEADS, EPSILON = 12, 1e-12


class Layer(nn.Module):
    """Attention over the whole text, then an MLP, each added to its input and normalised after that."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width, EPSILON), nn.LayerNorm(width, EPSILON)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x (B, T, C); mask (B, 1, 1, T) is added to the scores."""
        B, T, C = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, HEADS, C // HEADS).permute(2, 0, 3, 1, 4)  # (B, H, T, D) each
        if self.training or x.device.type != "cpu":
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        else:
            # Four texts of 233 word-pieces in bf16 on a CPU: 128 texts a second, 111 with the fused kernel.
            scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
            y = (scores if mask is None else scores + mask).softmax(-1) @ v
        x = self.attention_norm(x + self.out(y.transpose(1, 2).reshape(B, T, C)))
        return self.mlp_norm(x + self.down(F.gelu(self.up(x))))


class Transformer(nn.Module):
    """Word-pieces to vectors. ``words`` (V, C), ``positions`` (P, C): P is the longest text, in word-pieces."""

    def __init__(self, layers: int, width: int, hidden: int, vocabulary: int, positions: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.zeros(positions, width))
        self.norm = nn.LayerNorm(width, EPSILON)
        self.layers = nn.ModuleList(Layer(width, hidden) for _ in range(layers))

    @property
    def dtype(self) -> torch.dtype:
        """The type of the layers' weights."""
        return next(self.layers.parameters()).dtype

    def states(self, ids: Tensor, keep: Tensor) -> Tensor:
        """Final states (B, T, C) of the word-pieces ``ids`` (B, T); ``keep`` (B, T) is False for padding."""
        x = self.norm(self.words(ids) + self.positions[: ids.shape[1]])
        autocast = torch.is_autocast_enabled(x.device.type)  # which would leave the residual stream in fp32
        x = x.to(torch.get_autocast_dtype(x.device.type) if autocast else next(self.layers.parameters()).dtype)
        mask = None
        if not keep.all():
            mask = torch.zeros(keep.shape, dtype=x.dtype, device=x.device).masked_fill(~keep, -1e4)[:, None, None]
        for layer in self.layers:
            x = layer(x, mask)
        return x

    def forward(self, ids: Tensor, keep: Tensor) -> Tensor:
        """Unit vectors (B, C), float32: the mean of the states."""
        kept = keep[..., None].float()
        mean = (self.states(ids, keep).float() * kept).sum(1) / kept.sum(1).clamp_min(1)
        return F.normalize(mean, dim=-1)


def from_bert(state: Mapping[str, Tensor], layers: Sequence[int], positions: int) -> Transformer:
    """The given layers of a BERT checkpoint (names as in transformers' BertModel) with its embeddings."""
    words = state["embeddings.word_embeddings.weight"]
    hidden = state["encoder.layer.0.intermediate.dense.weight"].shape[0]
    model = Transformer(len(layers), words.shape[1], hidden, len(words), positions)
    kinds = state["embeddings.token_type_embeddings.weight"]
    mine = {
        "words.weight": words,
        "positions": state["embeddings.position_embeddings.weight"][:positions] + kinds[0],
        **{f"norm.{part}": state[f"embeddings.LayerNorm.{part}"] for part in ("weight", "bias")},
    }
    names = {
        "out": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "mlp_norm": "output.LayerNorm",
    }
    for place, layer in enumerate(layers):
        its = f"encoder.layer.{layer}."
        for part in ("weight", "bias"):
            parts = [state[f"{its}attention.self.{name}.{part}"] for name in ("query", "key", "value")]
            mine[f"layers.{place}.qkv.{part}"] = torch.cat(parts)
            mine |= {f"layers.{place}.{ours}.{part}": state[f"{its}{name}.{part}"] for ours, name in names.items()}
    model.load_state_dict({name: tensor.float() for name, tensor in mine.items()})
    return model


def pad(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Rows of ids as one tensor (B, T), padded with 0, and which of it are no padding."""
    longest = max(map(len, rows), default=0)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    keep = torch.zeros(len(rows), longest, dtype=torch.bool)
    for row, given in enumerate(rows):
        ids[row, : len(given)] = torch.tensor(given)
        keep[row, : len(given)] = True
    return ids, keep
