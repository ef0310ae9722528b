"""Every family computes what transformers computes, on tiny random models: logits, cache and greedy ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, LlamaConfig, MistralConfig, PreTrainedConfig, Qwen2Config, Qwen3Config

from gpt.engine import Engine
from gpt.hub.families import NotNative, family_config
from gpt.load import load_model, read_config
from gpt.model import GPT
from tests.gpt.hub_models import save_hub_model

SIZES: dict[str, Any] = {
    "vocab_size": 331,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "eos_token_id": None,
    "bos_token_id": None,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
GPT2 = GPT2Config(
    vocab_size=331, n_positions=128, n_embd=32, n_layer=3, n_head=4, eos_token_id=None, bos_token_id=None
)
FAMILIES: dict[str, PreTrainedConfig] = {
    "gpt2": GPT2,
    "gpt2 inner untied": GPT2Config(
        **{**GPT2.to_dict(), "n_inner": 40, "tie_word_embeddings": False, "layer_norm_epsilon": 1e-3}
    ),
    "llama3 grouped untied": LlamaConfig(**SIZES, rope_parameters=LLAMA3, rms_norm_eps=1e-3),
    "llama linear": LlamaConfig(**SIZES, rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 3.0}),
    "llama tied biases": LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
    "smollm2": LlamaConfig(**{**SIZES, "num_key_value_heads": 4}, tie_word_embeddings=True, rms_norm_eps=1e-5),
    "mistral": MistralConfig(**SIZES, sliding_window=None, head_dim=12),
    "qwen2 tied": Qwen2Config(**SIZES, tie_word_embeddings=True, rope_parameters={"rope_theta": 1e6}),
    "qwen3": Qwen3Config(**SIZES, head_dim=12, tie_word_embeddings=True),
    "qwen3 biases untied": Qwen3Config(**SIZES, head_dim=16, attention_bias=True),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_computes_what_transformers_computes(name: str, tmp_path: Path) -> None:
    theirs = save_hub_model(tmp_path, FAMILIES[name], shard="20KB" if "llama" in name else None)
    assert ("llama" in name) is (tmp_path / "model.safetensors.index.json").is_file()
    ours, tokenizer = load_model(tmp_path, device="cpu", dtype=torch.float32, weights="plain")
    assert isinstance(ours, GPT)
    ids = torch.randint(331, (2, 70), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = theirs(ids).logits
        assert wanted.std() > 0.1
        assert (ours.logits(ids) - wanted).abs().max() < 1e-4
        cache = ours.new_cache(2, 70)
        steps = [ours.unembed(ours(ids[:, :5], cache=cache))]
        steps += [ours.unembed(ours(ids[:, t : t + 1], cache=cache)) for t in range(5, 70)]
        assert (torch.cat(steps, dim=1) - wanted).abs().max() < 1e-4
        greedy = theirs.generate(ids[:1, :6], max_new_tokens=24, do_sample=False)[0, 6:]
    written = Engine(ours, tokenizer).generate(ids[0, :6].tolist(), max_new_tokens=24)
    assert not tokenizer.end_ids  # the tiny configurations end nowhere
    assert [step.id for step in written] == greedy.tolist()
    assert sum(p.numel() for p in ours.parameters()) == ours.config.parameters


def test_names_without_the_prefix_and_buffers_of_old_files(tmp_path: Path) -> None:
    """The first GPT-2 files hold a bare model with its masks; Llama's first ones the rotary frequencies."""
    from safetensors.torch import load_file, save_file

    for config, prefix, buffer in (
        (FAMILIES["gpt2"], "transformer.", "h.0.attn.bias"),
        (FAMILIES["smollm2"], "model.", "layers.0.self_attn.rotary_emb.inv_freq"),
    ):
        folder = tmp_path / prefix
        theirs = save_hub_model(folder, config)
        state = {name.removeprefix(prefix): t for name, t in load_file(folder / "model.safetensors").items()}
        assert not any(name.startswith(prefix) for name in state)
        save_file({**state, buffer: torch.ones(4)}, folder / "model.safetensors")
        ours, _ = load_model(folder, dtype=torch.float32, weights="plain")
        ids = torch.arange(20)[None]
        with torch.inference_mode():
            assert (ours.unembed(ours(ids)) - theirs(ids).logits).abs().max() < 1e-4


def test_a_tied_configuration_whose_file_holds_both_tables(tmp_path: Path) -> None:
    """Equal tables are one; different ones are two, whatever the configuration says; a lone head serves as both."""
    from safetensors.torch import load_file, save_file

    theirs = save_hub_model(tmp_path, FAMILIES["smollm2"])
    path, ids = tmp_path / "model.safetensors", torch.arange(20)[None]
    state = load_file(path)
    table = state["model.embed_tokens.weight"]
    with torch.inference_mode():
        wanted, hidden = theirs(ids).logits, theirs.model(ids).last_hidden_state
    for head, embedding, tied, logits in (
        (table, table, True, wanted),
        (table.flip(0), table, False, hidden @ table.flip(0).T),
        (table, None, True, wanted),
    ):
        held = {**state, "lm_head.weight": head.clone()}
        if embedding is None:
            del held["model.embed_tokens.weight"]
        save_file(held, path)
        ours, _ = load_model(tmp_path, dtype=torch.float32, weights="plain")
        assert isinstance(ours, GPT) and ours.config.tied is tied
        with torch.inference_mode():
            assert (ours.logits(ids) - logits).abs().max() < 1e-4


def test_both_ways_of_writing_rope_settings() -> None:
    base = {"model_type": "llama", **{k: v for k, v in SIZES.items() if v is not None}}
    scaled = {key: value for key, value in LLAMA3.items() if key != "rope_theta"}
    new = family_config({**base, "rope_parameters": LLAMA3}, Path("config.json"))
    old = family_config({**base, "rope_theta": 500.0, "rope_scaling": scaled}, Path("config.json"))
    older = {"type": "linear", "factor": 2.0}
    assert new == old and new.rope_scaling is not None and new.rope_base == 500.0
    linear = family_config({**base, "rope_theta": 500, "rope_scaling": older}, Path("config.json"))
    assert linear.rope_scaling is not None and linear.rope_scaling.kind == "linear" and linear.rope_base == 500
    assert family_config({**base, "rope_theta": 5e5, "rope_scaling": None}, Path("config.json")).rope_base == 5e5


@pytest.mark.parametrize(
    "kind, settings, reason",
    [
        ("gpt_neox", {}, "model_type is 'gpt_neox'"),
        ("qwen2_moe", {}, "model_type is 'qwen2_moe'"),
        ("llama", {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "'yarn'"),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 4.0}}, "'dynamic'"),
        ("llama", {"rope_parameters": {"full_attention": {"rope_type": "default"}}}, "from layer to layer"),
        ("llama", {"partial_rotary_factor": 0.5}, "only 0.5 of each"),
        ("llama", {"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ("llama", {"quantization_config": {"quant_method": "gptq"}}, "quantised"),
        ("mistral", {}, "sliding window of 4096"),
        ("mistral", {"sliding_window": 64}, "sliding window of 64"),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 64}, "sliding window of 64"),
        ("qwen3", {"layer_types": ["linear_attention", "full_attention"]}, "type linear_attention"),
        ("gpt2", {"activation_function": "relu"}, "activation_function is 'relu'"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "not scaled by the head size"),
        ("gpt2", {"scale_attn_weights": False}, "not scaled by the head size"),
        ("gpt2", {"add_cross_attention": True}, "another model"),
    ],
)
def test_what_our_decoder_does_not_compute_is_known(kind: str, settings: dict[str, Any], reason: str) -> None:
    sizes = {**SIZES, "max_position_embeddings": 8192, "n_positions": 64, "n_embd": 32, "n_layer": 1, "n_head": 2}
    with pytest.raises(NotNative, match=reason):
        family_config({"model_type": kind, **sizes, **settings}, Path("config.json"))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"hidden_size": None}, "lacks hidden_size"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0, which is no whole number above 0"),
        ({"num_hidden_layers": "two"}, "num_hidden_layers is 'two'"),
        ({"num_attention_heads": True}, "num_attention_heads is True"),
        ({"num_key_value_heads": 3}, "4 heads cannot share 3"),
        ({"rms_norm_eps": "tiny"}, "rms_norm_eps is 'tiny', which is no number"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings is 1, which is neither true nor false"),
        ({"rope_parameters": {"rope_type": "llama3", "factor": 8.0}}, "lacks low_freq_factor"),
        ({"rope_parameters": {**LLAMA3, "high_freq_factor": 1.0}}, "not below high_freq_factor"),
        ({"model_type": None}, "names no model_type"),
        ({"max_position_embeddings": 10**9}, "a context of 1000000000 is over"),
    ],
)
def test_settings_that_fit_no_model_are_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", **SIZES, **settings}))
    with pytest.raises(ValueError, match=message) as caught:
        read_config(tmp_path)
    assert "config.json" in str(caught.value) and "\n" not in str(caught.value)
