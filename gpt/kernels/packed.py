"""Matrices in the layout and the type that a CPU multiplies fastest in, without a compiler.

``pack`` replaces a model's matrices for inference: query, key and value become one product, gate and up another. The
operators below are torch's private ones. Each is looked up in one place (``OPERATORS``), has a plain fallback, and a
test of its own in tests/gpt/test_kernels.py that fails when torch renames it or changes what it returns.

Products a second (10⁹ weights) on one core of an EPYC with AVX512-BF16 and VNNI, no AMX, for matrices of 2304 x 768:

    rows                    1      4      8     64    256
    F.linear, fp32        2.9    2.2    1.8
    F.linear, bf16        6.2    4.7    3.6
    prepacked, fp32       4.5    3.6    3.9
    prepacked, bf16       8.6    8.6    7.0    2.5    0.7
    8 bits x 8 bits      13.5   15.1   11.5    4.4    0.9
    4 bits               19.6   12.8    6.8
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt.kernels.precision import choose_format, has_bf16, has_vnni
from gpt.kernels.quantize import (
    GROUP,
    dequantize_int4,
    dequantize_int8,
    quantize_int4,
    quantize_int8,
    quantize_rows,
)
from gpt.kernels.threads import use_best_threads
from gpt.model import GPT, MLP, Attention

OPERATORS = (
    "mkldnn._reorder_linear_weight",
    "mkldnn._linear_pointwise",
    "onednn.qlinear_prepack",
    "onednn.qlinear_pointwise",
    "aten._convert_weight_to_int4pack_for_cpu",
    "aten._weight_int4pack_mm_for_cpu",
    "aten._weight_int8pack_mm",
)
FEW_ROWS = 2  # up to here four bits beat eight; from four rows on the 4-bit kernel is the slower one


def operator(name: str) -> Callable[..., Tensor] | None:
    """The private operator ``library.name`` of torch, None where this build has none."""
    library, _, function = name.partition(".")
    found = getattr(getattr(torch.ops, library), function, None)
    return cast("Callable[..., Tensor] | None", getattr(found, "default", None))


class PackedLinear(nn.Module):
    """x Wᵀ + b in the weights' own type, fp32 or bf16, with W laid out once instead of at every call."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.bias = bias
        self.weight, self.product = weight.detach().contiguous(), operator("mkldnn._linear_pointwise")
        reorder = operator("mkldnn._reorder_linear_weight")
        supported = torch.backends.mkldnn.is_available() and (weight.dtype != torch.bfloat16 or has_bf16())
        if reorder is None or self.product is None or not supported:
            self.product = None
        else:
            self.weight = reorder(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        if self.product is None:
            return F.linear(x, self.weight, self.bias)
        return self.product(x, self.weight, self.bias, "none", [], "")


class Int8Linear(nn.Module):
    """x Wᵀ + b with W rounded to 8 bits a row, and x too where the CPU multiplies bytes (VNNI): then each token's
    row has a scale of its own. Elsewhere x stays as it is and the weights are unrounded inside the product."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        codes, scale = quantize_int8(weight)
        self.bias, self.width = bias, weight.shape[0]
        self.zeros = torch.zeros(len(scale), dtype=torch.int64)
        self.codes, self.scale = codes, scale
        self.product, self.bytes = operator("onednn.qlinear_pointwise"), False
        prepack = operator("onednn.qlinear_prepack")
        if prepack is not None and self.product is not None and has_vnni():
            self.codes, self.bytes = prepack(codes, None), True
        else:
            self.product, self.scale = operator("aten._weight_int8pack_mm"), scale.bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        if self.product is None:
            y = F.linear(rows, dequantize_int8(self.codes, self.scale).to(x.dtype))
        elif not self.bytes:
            y = self.product(rows.bfloat16(), self.codes, self.scale).to(x.dtype)
        else:
            codes, size = quantize_rows(rows.float())
            y = self.product(
                codes, 1 / 127, 128, self.codes, self.scale, self.zeros, None, 1.0, 0, x.dtype, "none", [], ""
            )
            size = size.to(x.dtype)
            y = y * size if self.bias is None else torch.addcmul(self.bias, y, size)
            return y.view(*x.shape[:-1], self.width)
        return (y if self.bias is None else y + self.bias).view(*x.shape[:-1], self.width)


class Int4Linear(nn.Module):
    """x Wᵀ + b with W in four bits, groups of 32, for a row or two; more rows go through ``many``."""

    def __init__(self, weight: Tensor, bias: Tensor | None, many: nn.Module) -> None:
        super().__init__()
        codes, self.parameters_ = quantize_int4(weight)
        self.bias, self.width, self.many = bias, weight.shape[0], many
        self.product = operator("aten._weight_int4pack_mm_for_cpu")
        convert = operator("aten._convert_weight_to_int4pack_for_cpu")
        if convert is None or self.product is None:
            self.codes, self.product = codes.to(torch.uint8), None
        else:
            self.codes = convert(codes, 1)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        if len(rows) > FEW_ROWS:
            return cast(Tensor, self.many(x))
        if self.product is None:
            y = F.linear(rows, dequantize_int4(self.codes, self.parameters_).to(x.dtype))
        else:  # the kernel is vectorised for bf16 alone
            y = self.product(rows.bfloat16(), self.codes, GROUP, self.parameters_).to(x.dtype)
        return (y if self.bias is None else y + self.bias).view(*x.shape[:-1], self.width)


def packed_linear(weight: Tensor, bias: Tensor | None, kind: str, dtype: torch.dtype) -> nn.Module:
    """The module that multiplies by ``weight`` (N, K) kept as ``kind``, for activations of ``dtype``.

    "int4" keeps eight bits as well, for prompts and for checking drafts: 1.6 bytes a weight in all. A matrix whose
    sizes the 4-bit kernel does not take (N not a multiple of 16, K of 32) is kept in eight bits only.
    """
    bias = None if bias is None else bias.to(dtype)
    if kind == "int4" and weight.shape[0] % 16 == 0 and weight.shape[1] % GROUP == 0:
        return Int4Linear(weight, bias, Int8Linear(weight, bias))
    if kind in ("int4", "int8"):
        return Int8Linear(weight, bias)
    return PackedLinear(weight.to(dtype), bias)


@torch.no_grad()
def pack(model: GPT, weights: str = "auto") -> GPT:
    """Repack ``model`` in place for inference and return it; the original matrices are freed one by one, but for the
    embedding, whose rows are still looked up.

    ``weights`` "auto" decides by the CPU and the model's size (:func:`gpt.kernels.precision.choose_format`); "fp32",
    "bf16", "int8" and "int4" are kept as named; "plain" leaves the model as it is, and so does "auto" on a GPU.
    Afterwards the model cannot be trained, saved or moved. ValueError for another name and for 8 or 4 bits on a GPU.
    """
    kind, dtype = choose_format(weights, model.device, model.compute_dtype, model.config.parameters)
    if kind == "plain":
        return model
    use_best_threads()
    model.requires_grad_(False).eval()
    model.compute_dtype = dtype
    for module in model.modules():
        if isinstance(module, Attention):
            _replace(module, ("query", "key", "value"), "fused", kind, dtype)
            _replace(module, ("output",), "output", kind, dtype)
        elif isinstance(module, MLP):
            inward = ("up",) if module.gate is None else ("gate", "up")
            _replace(module, inward, "fused" if len(inward) > 1 else "up", kind, dtype)
            _replace(module, ("down",), "down", kind, dtype)
    # Four bits move a logit by 7 % of their spread, enough to swap close ones; the unembedding keeps eight.
    outward = "int8" if kind == "int4" else kind
    if model.unembedding is None:
        model.unembedding = packed_linear(model.embedding.weight, None, outward, dtype)
    else:
        _replace(model, ("unembedding",), "unembedding", outward, dtype)
    if model.copy_query is not None:
        for name in ("copy_query", "copy_key"):
            _replace(model, (name,), name, kind, dtype)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    return model


def _replace(owner: nn.Module, names: tuple[str, ...], into: str, kind: str, dtype: torch.dtype) -> None:
    """The layers ``names`` of ``owner``, which have the same input, as one packed product under the name ``into``."""
    layers: list[nn.Linear] = [getattr(owner, name) for name in names]
    weight = torch.cat([layer.weight for layer in layers])
    bias = None if layers[0].bias is None else torch.cat([layer.bias for layer in layers])
    for name in names:
        delattr(owner, name)
    setattr(owner, into, packed_linear(weight, bias, kind, dtype))
