"""The format is chosen by what the processor has, and the names that tell it still exist."""

from __future__ import annotations

import pytest
import torch

from gpt.kernels import precision
from gpt.kernels.precision import choose_format, fast_dtype

CPU, GPU = torch.device("cpu"), torch.device("cuda")
FP32, BF16 = torch.float32, torch.bfloat16
SMALL, LARGE = 10_000_000, 124_000_000


def test_torch_still_tells_what_the_processor_has() -> None:
    assert isinstance(torch.cpu._is_avx512_bf16_supported(), bool)
    assert isinstance(torch.cpu._is_amx_tile_supported(), bool)
    features = torch.cpu.get_capabilities()
    assert features["num_physical_cores"] >= 1
    if features["architecture"] == "x86_64":
        assert {"avx512_vnni", "avx_vnni"} <= features.keys()
    assert isinstance(torch.backends.cpu.get_cpu_capability(), str)


@pytest.mark.parametrize(("bf16", "amx", "wanted"), [(True, False, BF16), (False, True, BF16), (False, False, FP32)])
def test_bf16_only_with_instructions(monkeypatch: pytest.MonkeyPatch, bf16: bool, amx: bool, wanted: torch.dtype) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert fast_dtype(CPU) is wanted


def test_without_the_names_it_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "get_capabilities"):
        monkeypatch.delattr(torch.cpu, name)
    assert fast_dtype(CPU) is FP32
    assert not precision.has_vnni()


@pytest.mark.parametrize(("name", "vnni"), [("avx512_vnni", True), ("avx_vnni", True), ("avx2", False)])
def test_byte_products_need_their_instructions(monkeypatch: pytest.MonkeyPatch, name: str, vnni: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_vnni": False, "avx_vnni": False, name: True})
    assert precision.has_vnni() is vnni


@pytest.mark.parametrize(
    ("bf16", "vectors", "dtype", "parameters", "wanted"),
    [
        (True, True, BF16, SMALL, ("bf16", BF16)),
        (True, True, BF16, LARGE, ("int4", BF16)),
        (True, False, BF16, LARGE, ("bf16", BF16)),
        (True, True, FP32, LARGE, ("fp32", FP32)),  # fp32 was asked for: it is not this CPU's own choice
        (False, True, FP32, SMALL, ("fp32", FP32)),
        (False, True, FP32, LARGE, ("int4", FP32)),
        (False, False, FP32, LARGE, ("fp32", FP32)),
        (False, True, BF16, LARGE, ("bf16", BF16)),
        (True, True, torch.float16, LARGE, ("plain", torch.float16)),
    ],
)
def test_auto(
    monkeypatch: pytest.MonkeyPatch,
    bf16: bool,
    vectors: bool,
    dtype: torch.dtype,
    parameters: int,
    wanted: tuple[str, torch.dtype],
) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda: bf16)
    monkeypatch.setattr(precision, "has_vectors", lambda: vectors)
    assert choose_format("auto", CPU, dtype, parameters) == wanted


def test_a_named_format_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda: False)
    assert choose_format("bf16", CPU, FP32, SMALL) == ("bf16", BF16)
    assert choose_format("fp32", CPU, BF16, LARGE) == ("fp32", FP32)
    assert choose_format("int8", CPU, BF16, SMALL) == ("int8", FP32)
    assert choose_format("plain", CPU, BF16, SMALL) == ("plain", BF16)


def test_a_gpu_keeps_plain_bf16() -> None:
    assert choose_format("auto", GPU, BF16, LARGE) == ("plain", BF16)
    with pytest.raises(ValueError, match="int4 weights are for the CPU; on cuda leave weights at 'auto'"):
        choose_format("int4", GPU, BF16, LARGE)
