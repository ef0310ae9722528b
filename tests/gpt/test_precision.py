"""The format is chosen by what the processor has, and the names that tell it still exist."""

from __future__ import annotations

import pytest
import torch

from gpt.precision import fast_dtype


def test_torch_still_tells_what_the_processor_has() -> None:
    assert isinstance(torch.cpu._is_avx512_bf16_supported(), bool)
    assert isinstance(torch.cpu._is_amx_tile_supported(), bool)


@pytest.mark.parametrize(("bf16", "amx", "wanted"), [(True, False, torch.bfloat16), (False, True, torch.bfloat16), (False, False, torch.float32)])
def test_bf16_only_with_instructions(monkeypatch: pytest.MonkeyPatch, bf16: bool, amx: bool, wanted: torch.dtype) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert fast_dtype(torch.device("cpu")) is wanted


def test_without_the_names_it_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    assert fast_dtype(torch.device("cpu")) is torch.float32
