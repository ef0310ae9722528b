"""Other architectures through transformers: the same ids as its own loop, through our engine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    GemmaConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    PhiConfig,
    PreTrainedConfig,
    Qwen2Config,
)

from gpt.engine import Engine
from gpt.hub.foreign import ForeignModel
from gpt.load import load_model
from tests.gpt.hub_models import CHATML, save_hub_model
from tests.gpt.test_families import SIZES

GROUPED = {key: value for key, value in SIZES.items() if key != "num_key_value_heads"}
FOREIGN: dict[str, PreTrainedConfig] = {
    "gpt_neox": GPTNeoXConfig(**GROUPED),
    "phi": PhiConfig(**SIZES),
    "gemma": GemmaConfig(**SIZES, head_dim=8, pad_token_id=None),
    "llama yarn": LlamaConfig(
        **SIZES,
        rope_parameters={
            "rope_type": "yarn",
            "rope_theta": 1e4,
            "factor": 2.0,
            "original_max_position_embeddings": 64,
        },
    ),
    "mistral window": MistralConfig(**SIZES, sliding_window=8),
    "qwen2 window": Qwen2Config(**SIZES, use_sliding_window=True, sliding_window=8, max_window_layers=1),
    "mamba": MambaConfig(
        vocab_size=331, hidden_size=32, num_hidden_layers=2, state_size=4, eos_token_id=None, pad_token_id=None
    ),
}


def load(folder: Path) -> tuple[ForeignModel, Any]:
    model, tokenizer = load_model(folder, device="cpu", dtype=torch.float32)
    assert isinstance(model, ForeignModel)
    return model, tokenizer


@pytest.mark.parametrize("name", FOREIGN)
def test_greedy_ids_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    theirs = save_hub_model(tmp_path, FOREIGN[name])
    engine = Engine(*load(tmp_path))
    prompt = torch.randint(323, (1, 12), generator=torch.Generator().manual_seed(2))
    wanted = theirs.generate(prompt, max_new_tokens=24, do_sample=False)[0, 12:].tolist()
    assert [step.id for step in engine.generate(prompt[0].tolist(), max_new_tokens=24)] == wanted
    with torch.inference_mode():
        assert (engine.logits(prompt[0].tolist()) - theirs(prompt).logits[0, -1]).abs().max() < 1e-4


def test_reading_on_and_going_back(tmp_path: Path) -> None:
    theirs = save_hub_model(tmp_path, FOREIGN["phi"])
    model, _ = load(tmp_path)
    ids = torch.arange(10)[None]
    with torch.inference_mode():
        wanted = theirs(ids).logits
        cache = model.new_cache(1, 20)
        model(ids[:, :6], cache=cache)
        model(torch.tensor([[99, 98, 97]]), cache=cache)
        assert cache.length == 9 and cache.capacity == 20
        cache.rollback(6)
        rest = model.unembed(model(ids[:, 6:], cache=cache))
        assert (rest - wanted[:, 6:]).abs().max() < 1e-4
        assert torch.equal(model.unembed(rest, only=[3, 5]), rest[..., [3, 5]])
        with pytest.raises(ValueError, match="cannot roll a cache of 10 tokens back to 11"):
            cache.rollback(11)
        with pytest.raises(ValueError, match="takes no attention mask"):
            model(ids, mask=torch.ones(10, 10, dtype=torch.bool))
        with pytest.raises(ValueError, match="counts its positions itself"):
            model(ids, positions=torch.zeros(1, 10, dtype=torch.long))
        with pytest.raises(ValueError, match="22 tokens do not fit"):
            model(torch.zeros(1, 12, dtype=torch.long), cache=cache)
        assert model(ids, positions=torch.arange(10)[None]).shape == (1, 10, 331)


def test_a_window_cannot_go_back(tmp_path: Path) -> None:
    save_hub_model(tmp_path, FOREIGN["mistral window"])
    model, _ = load(tmp_path)
    cache = model.new_cache(1, 30)
    with torch.inference_mode():
        model(torch.arange(12)[None], cache=cache)
    cache.rollback(12)
    with pytest.raises(ValueError, match="keeps a window or a summary"):
        cache.rollback(4)


def test_a_prompt_longer_than_the_context_is_refused(tmp_path: Path) -> None:
    save_hub_model(tmp_path, FOREIGN["gpt_neox"])
    engine = Engine(*load(tmp_path))
    with pytest.raises(ValueError, match="the prompt has 129 tokens and the model's context is 128"):
        engine.generate([1] * 129)
    assert list(engine.generate([1] * 128))[-1].finish == "context"


def test_its_chat_template_serves_as_well(tmp_path: Path) -> None:
    save_hub_model(tmp_path, FOREIGN["gemma"], chat_template=CHATML, eos_token="<|im_end|>")
    engine = Engine(*load(tmp_path))
    ids = engine.tokenizer.chat([{"role": "user", "content": "cat"}])
    assert ids is not None and list(engine.generate(ids, max_new_tokens=3))


def refused(folder: Path, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_bad_folders_are_one_sentence(tmp_path: Path) -> None:
    save_hub_model(tmp_path, FOREIGN["phi"])
    path, config = tmp_path / "model.safetensors", (tmp_path / "config.json").read_text()
    state = load_file(path)
    name = "model.layers.1.mlp.fc1.weight"
    save_file({**state, name: torch.full_like(state[name], float("nan"))}, path)
    refused(tmp_path, f"{name} holds weights that are NaN or infinite")
    save_file({key: tensor for key, tensor in state.items() if key != name}, path)
    refused(tmp_path, f"lacks the matrix {name}")
    save_file({**state, name: state[name][:3]}, path)
    refused(tmp_path, name)
    save_file(state, path)
    (tmp_path / "config.json").write_text(config.replace('"phi"', '"mystery"'))
    refused(tmp_path, "its model_type is 'mystery', and transformers does not run it as a causal model either")
    (tmp_path / "config.json").write_text('{"model_type": "t5", "is_encoder_decoder": true}')
    refused(tmp_path, "its model_type is 't5', and transformers does not run it")
    (tmp_path / "config.json").write_text(config)
    path.rename(tmp_path / "pytorch_model.bin")
    refused(tmp_path, "pytorch_model.bin is a pickled file")


def test_an_encoder_is_refused(tmp_path: Path) -> None:
    """transformers builds BERT as a causal model that looks ahead, and only warns."""
    save_hub_model(tmp_path, BertConfig(**GROUPED))
    refused(tmp_path, "its tokens see the ones after them")


def test_code_of_a_model_is_never_run(tmp_path: Path) -> None:
    save_hub_model(tmp_path, FOREIGN["phi"])
    config = (tmp_path / "config.json").read_text()
    trap = '"model_type": "trap", "auto_map": {"AutoConfig": "trap.Config", "AutoModelForCausalLM": "trap.Model"},'
    (tmp_path / "config.json").write_text(config.replace('"model_type": "phi",', trap))
    (tmp_path / "trap.py").write_text("raise SystemExit('run')")
    refused(tmp_path, "its model_type is 'trap', and transformers does not run it")
    assert "trap" not in sys.modules


def test_a_model_that_forgets_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes the cache under another name would read every token as the first."""
    save_hub_model(tmp_path, FOREIGN["mamba"])
    monkeypatch.setattr("gpt.hub.foreign.signature", lambda forward: type("", (), {"parameters": ["past_key_values"]}))
    refused(tmp_path, "a mamba model does not keep what it read between two calls")
