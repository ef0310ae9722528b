"""The glass box over published families: the same attention as transformers', every view, and the weight table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gpt.__main__ import main
from gpt.engine import Engine
from gpt.glass.attribution import METHODS, attribute, attribute_reading
from gpt.glass.heads import attention, head_scores
from gpt.glass.inspect import logit_lens, tokens
from gpt.load import load_model
from tests.gpt.hub_models import byte_level, llama2, save_hub_model
from tests.gpt.test_families import FAMILIES
from tests.gpt.test_foreign import FOREIGN

TEXT = "The cat 北京 sat."
NAMES = ("gpt2", "llama3 grouped untied", "qwen2 tied", "qwen3")


def opened(folder: Path) -> Engine:
    return Engine(*load_model(folder, device="cpu", dtype=torch.float32, weights="plain"))


@pytest.mark.parametrize("name", NAMES)
def test_attention_and_table_are_those_of_transformers(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = save_hub_model(tmp_path, FAMILIES[name])
    theirs.set_attn_implementation("eager")
    engine = opened(tmp_path)
    ids = torch.tensor([engine.prompt(TEXT)])
    with torch.inference_mode():
        wanted = theirs(ids, output_attentions=True, output_hidden_states=True)
    found = attention(engine, TEXT)
    assert np.abs(found.weights - torch.cat(wanted.attentions).numpy()).max() < 1e-5
    lens = logit_lens(engine, TEXT)
    assert [cell.ids[0] for cell in lens.layers[-1]] == wanted.logits[0].argmax(-1).tolist()
    assert len(head_scores(engine, length=8, rows=1)) == 12
    assert main(["describe", str(tmp_path), "--json"]) == 0
    table: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert table["parameters"] == theirs.num_parameters() and table["layers"] == 3


@pytest.mark.parametrize("method", METHODS)
def test_attribution_of_a_plain_decoder(method: str, tmp_path: Path) -> None:
    save_hub_model(tmp_path, FAMILIES["qwen3"])
    engine = opened(tmp_path)
    found = attribute(engine, TEXT, "sat on", method=method)  # type: ignore[arg-type]
    assert len(found.total) == len(engine.prompt(TEXT)) and max(map(abs, found.total)) > 1e-3
    with pytest.raises(ValueError, match="not tuned to read passages"):
        attribute_reading(engine, "why?", "The cat sat.")


@pytest.mark.parametrize("words", [byte_level, llama2])
def test_tokens_of_other_tokenizers(words: Any, tmp_path: Path) -> None:
    made = words()
    config = type(FAMILIES["qwen3"])(**{**FAMILIES["qwen3"].to_dict(), "vocab_size": made.get_vocab_size() + 9})
    save_hub_model(tmp_path, config, words=made)
    engine = opened(tmp_path)
    found = tokens(engine.tokenizer, "The cat 龘.")
    assert [t.id for t in found] == engine.prompt("The cat 龘.")
    spread = [t for t in found if t.text == "龘"]
    assert [t.part for t in spread] == [(n, len(spread)) for n in range(1, len(spread) + 1)] and len(spread) == 3
    assert b"".join(bytes.fromhex(t.bytes) for t in spread) == "龘".encode()
    if words is byte_level:
        assert (found[0].piece, found[-1].start) == (0, 9) and found[-1].piece is not None
    else:
        assert found[0].name == "<s>" and found[0].start is None
    every = logit_lens(engine, "The cat", top=1000).layers[0][0]
    assert len(every.names) == config.vocab_size  # padded embeddings have names too


def test_every_view_of_a_family_in_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_hub_model(tmp_path, FAMILIES["gpt2"])
    for words in (
        *(["The cat"], ["tokens", "The cat"], ["next", "The cat"], ["attention", "The cat"], ["lens", "The cat"]),
        *(["neighbours", "a", "b"], ["directions", "a", "b", "c"], ["attribution", "The cat", "--answer", "sat"]),
    ):
        assert main(["inspect", *words, "--model", str(tmp_path)]) == 0, words
        assert len(capsys.readouterr().out.splitlines()) > 2


def test_what_only_transformers_runs_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_hub_model(tmp_path, FOREIGN["phi"])
    assert main(["inspect", "next", "The cat", "--model", str(tmp_path)]) == 0
    capsys.readouterr()
    for argv in (["inspect", "lens", "The cat", "--model", str(tmp_path)], ["describe", str(tmp_path)]):
        assert main(argv) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and ("transformers" in error or "another library" in error)
