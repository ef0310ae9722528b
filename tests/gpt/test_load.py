from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gpt.config import GPTConfig
from gpt.load import PICKLED, find_model, load_model, read_config
from gpt.model import GPT
from gpt.tokenizer import Tokenizer
from gpt.training.checkpoint import save_model


def edit_config(folder: Path, **settings: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def edit_weights(folder: Path, **changes: torch.Tensor | None) -> None:
    state = load_file(folder / "model.safetensors")
    for name, tensor in {key.replace("__", "."): value for key, value in changes.items()}.items():
        if tensor is None:
            del state[name]
        else:
            state[name] = tensor
    save_file({name: tensor.clone() for name, tensor in state.items()}, folder / "model.safetensors")


def refused(folder: Path, message: str) -> None:
    """One clear sentence: a ValueError of one line that names what is wrong."""
    with pytest.raises(ValueError, match=message) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_saved_model_comes_back_the_same(folder: Path, model: GPT, tokenizer: Tokenizer) -> None:
    loaded, words = load_model(folder, device="cpu", dtype=torch.float32, weights="plain")
    ids = torch.tensor([tokenizer.encode("The cat sat on 北京")])
    assert torch.equal(loaded.logits(ids), model.logits(ids))
    assert loaded.config == model.config and words.encode("The cat") == tokenizer.encode("The cat")
    packed, _ = load_model(folder, device="cpu", dtype=torch.float32)
    assert (packed.logits(ids) - model.logits(ids)).abs().max() < 1e-5
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    assert {p.name for p in folder.iterdir()} == {"config.json", "model.safetensors", "tokenizer.json"}


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16])
def test_half_size_weights_load_as_float32(
    model: GPT, tokenizer: Tokenizer, tmp_path: Path, stored: torch.dtype
) -> None:
    save_model(model, tokenizer, tmp_path, stored)
    loaded, _ = load_model(tmp_path, dtype=torch.float32, weights="plain")
    assert all(p.dtype == torch.float32 for p in loaded.parameters())
    assert torch.equal(loaded.embedding.weight, model.embedding.weight.to(stored).float())


@pytest.mark.parametrize("suffix", sorted(PICKLED))
def test_pickled_weights_are_refused_by_name(folder: Path, suffix: str) -> None:
    pickled = folder / f"pytorch_model{suffix}"
    pickled.write_bytes(b"\x80\x04.")
    load_model(folder)  # beside safetensors it is simply not read
    (folder / "model.safetensors").unlink()
    refused(folder, f"pytorch_model{suffix} is a pickled file")
    with pytest.raises(ValueError, match=f"pytorch_model{suffix} is a pickled file"):
        find_model(pickled)


def test_missing_things_are_named(folder: Path, tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "there is no model folder .*nowhere")
    refused(folder / "config.json", "is a file; give the folder")
    for name in ("tokenizer.json", "model.safetensors", "config.json"):
        (folder / name).unlink()
        refused(folder, f"no {name}")


def test_missing_bundled_weights_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("gpt.load.BUNDLED", tmp_path)
    with pytest.raises(ValueError, match="bundled weights are missing from this installation"):
        load_model("bundled")


def test_bundled_is_the_folder_of_the_package(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr("gpt.load.BUNDLED", folder)
    assert find_model() == folder
    load_model()


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"model_type": "llama"}, "lacks num_attention_heads, which a model of type 'llama'"),
        ({"model_type": "mystery"}, "model_type is 'mystery', and transformers does not run it"),
        ({"model_type": 7}, "names no model_type"),
        ({"norm": "batch"}, "norm is 'batch', which is none of rms, layer"),
        ({"layers": "2"}, "wrong type"),
        ({"layers": 2.0}, "layers is 2.0, which is no int"),
        ({"layers": True}, "layers is True, which is no int"),
        ({"layers": 0}, "layers must be at least 1"),
        ({"layers": 10**9}, "its config.json asks for"),
        ({"context": 10**12}, "a context of 1000000000000 is over"),
        ({"rope_base": 0.0}, "rope_base or norm_eps is out of range"),
        ({"norm_eps": float("nan")}, "rope_base or norm_eps is out of range"),
        ({"colour": "blue"}, "settings this version does not know: colour"),
        ({"hidden": 49}, "blocks.0.mlp.gate.weight is 48 x 32 and config.json asks for 49 x 32"),
        ({"layers": 3}, "lacks the matrix blocks.2.attention.query.weight"),
        ({"vocab_size": 321}, "tokenizer has 320 tokens and the model 321"),
        ({"width": 16, "hidden": 96, "vocab_size": 320}, "embedding.weight is 320 x 32 and config.json asks for 320 x 16"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(
    folder: Path, settings: dict[str, object], message: str
) -> None:
    edit_config(folder, **settings)
    refused(folder, message)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"openbook-gpt"', "\ufeff{}"])
def test_a_config_that_is_no_config_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text, encoding="utf-8")
    refused(folder, "config.json")


def test_wrong_matrices_are_named(folder: Path) -> None:
    query = load_file(folder / "model.safetensors")["blocks.0.attention.query.weight"]
    edit_weights(folder, blocks__0__attention__query__weight=query.reshape(16, 64))
    refused(folder, r"blocks.0.attention.query.weight is 16 x 64 and config.json asks for 32 x 32")
    edit_weights(folder, blocks__0__attention__query__weight=None, extra=query)
    refused(folder, "lacks the matrix blocks.0.attention.query.weight")
    edit_weights(folder, extra=None, blocks__0__attention__query__weight=query, more=torch.zeros(0))
    refused(folder, "holds more, which a model of this config.json does not have")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(folder: Path, bad: float) -> None:
    down = load_file(folder / "model.safetensors")["blocks.1.mlp.down.weight"].clone()
    down[3, 5] = bad
    edit_weights(folder, blocks__1__mlp__down__weight=down)
    refused(folder, "blocks.1.mlp.down.weight holds weights that are NaN or infinite")


def test_weights_that_are_whole_numbers_are_refused(folder: Path) -> None:
    down = load_file(folder / "model.safetensors")["blocks.1.mlp.down.weight"]
    edit_weights(folder, blocks__1__mlp__down__weight=down.to(torch.int32))
    refused(folder, "not floating-point weights")


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_cut_weights_file_is_refused(folder: Path, keep: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    refused(folder, "damaged or no safetensors file")


def test_a_damaged_tokenizer_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    refused(folder, "tokenizer.json is not a tokenizer")


def test_config_goes_through_the_disk(tmp_path: Path) -> None:
    config = GPTConfig(vocab_size=300, layers=3, heads=6, kv_heads=2, width=48, prefix_lm=False)
    config.save(tmp_path)
    assert read_config(tmp_path) == config
