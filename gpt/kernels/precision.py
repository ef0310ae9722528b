"""Which number format a device multiplies fastest in, and how a model's matrices are best kept.

By what the processor has and not by a stopwatch: on a busy machine a probe could fall either way, and the same
question would get answers that differ in the last digits. The stopwatch decides the threads (``threads.py``), which
change no digit that matters.
"""

from __future__ import annotations

from typing import Any

import torch

FORMATS = ("auto", "fp32", "bf16", "int8", "int4", "plain")
# From this size on in bf16, reading the weights is what a decoded token costs, and fewer bits pay. A smaller model
# stays in the processor's cache and spends its time on prompts.
LARGE = 100_000_000


def fast_dtype(device: torch.device) -> torch.dtype:
    """bf16 on CUDA and on CPUs with instructions for it, fp32 elsewhere.

    One core of an EPYC with AVX512-BF16 multiplies matrices of the bundled model's sizes at 400 GFLOP/s in bf16 and
    at 45 in fp32; without the instructions bf16 is slower.
    """
    if device.type == "cuda" or (device.type == "cpu" and has_bf16()):
        return torch.bfloat16
    return torch.float32


def choose_format(
    weights: str, device: torch.device, dtype: torch.dtype, parameters: int
) -> tuple[str, torch.dtype]:
    """How a model of ``parameters`` weights that computes in ``dtype`` is kept on ``device``, and what it computes in.

    "auto" keeps a type that is not the device's own choice, because someone asked for it; a large model goes to four
    bits where the CPU has the vector instructions of that kernel. ValueError for a name that is not in ``FORMATS``,
    and for 8 or 4 bits anywhere but on a CPU.
    """
    if weights not in FORMATS:
        raise ValueError(f"weights cannot be kept as {weights!r}; give one of {', '.join(FORMATS)}")
    if device.type != "cpu":
        if weights in ("int8", "int4"):
            raise ValueError(f"{weights} weights are for the CPU; on {device.type} leave weights at 'auto'")
        return "plain", dtype
    if weights == "auto":
        if dtype not in (torch.float32, torch.bfloat16):
            return "plain", dtype
        if dtype == fast_dtype(device) and 2 * parameters > LARGE and has_vectors():
            return "int4", dtype
        return ("bf16" if dtype == torch.bfloat16 else "fp32"), dtype
    fixed = {"fp32": torch.float32, "bf16": torch.bfloat16, "plain": dtype}
    return weights, fixed.get(weights, fast_dtype(device))


def has_bf16() -> bool:
    """Whether the CPU multiplies bf16 in hardware (AVX512-BF16 or AMX)."""
    # Private names of torch 2.13; tests/gpt/test_precision.py fails when one goes.
    return any(getattr(torch.cpu, name, bool)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))


def has_vnni() -> bool:
    """Whether the CPU multiplies bytes and sums four products without overflow (AVX512-VNNI or AVX-VNNI)."""
    features: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(features.get("avx512_vnni") or features.get("avx_vnni"))


def has_vectors() -> bool:
    """Whether torch runs with AVX2 or AVX-512; its 4-bit product is 40 times slower without."""
    return torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
