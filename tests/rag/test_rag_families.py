"""Models of other families under the chain: tiny random ones, made here, so that only what is promised can be right."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from langchain_core.messages import HumanMessage, SystemMessage
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from rag import RagError, build_chain
from rag.chat_model import ChatOpenbook, load_engine, prompt
from rag.models import init_model
from tests.rag.test_rag_chain import SHELF

RAIN = "How many days a year does it rain in Bergen?"
TEMPLATE = (
    "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|stop|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}


def save(folder: Path, kind: str, *, template: bool = True, context: int = 1024) -> str:
    """A random model of a family with a byte-level tokenizer and, where asked for, a chat template."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        SHELF.texts,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=["<|start|>", "<|stop|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    size, torch_model = bpe.get_vocab_size(), None
    torch.manual_seed(1)
    shared = {"vocab_size": size, "bos_token_id": 0, "eos_token_id": 1}
    if kind == "qwen2":
        config = Qwen2Config(**shared, **SIZES, num_key_value_heads=2, max_position_embeddings=context)
        torch_model = Qwen2ForCausalLM(config)
    elif kind == "llama":
        small = LlamaConfig(**shared, **SIZES, num_key_value_heads=2, max_position_embeddings=context)
        torch_model = LlamaForCausalLM(small)
    elif kind == "gpt2":
        torch_model = GPT2LMHeadModel(GPT2Config(**shared, n_embd=32, n_layer=2, n_head=4, n_positions=context))
    else:
        torch_model = GPTNeoXForCausalLM(GPTNeoXConfig(**shared, **SIZES, max_position_embeddings=context))
    torch_model.save_pretrained(folder)
    bpe.save(str(folder / "tokenizer.json"))
    settings = {"eos_token": "<|stop|>", **({"chat_template": TEMPLATE} if template else {})}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize("kind", ["qwen2", "llama", "gpt2", "gpt_neox"])
def test_a_loaded_model_can_only_quote_in_quote_mode(tmp_path: Path, kind: str) -> None:
    chain = build_chain(retriever=SHELF, model=save(tmp_path, kind))
    for seed in range(4):
        answer = chain.invoke({"question": RAIN, "temperature": 2.0 if seed else 0.0, "seed": seed})
        assert not answer.refused and answer.citations and not answer.warnings
        for c in answer.citations:
            assert SHELF.texts[c.doc_id][c.start : c.end] == c.quote
    assert "239 days" in answer.prompt


def test_a_loaded_model_writes_in_compose_mode_and_is_checked(tmp_path: Path) -> None:
    chain = build_chain(retriever=SHELF, model=save(tmp_path, "qwen2"), mode="compose")
    events = list(chain.stream({"question": RAIN, "temperature": 1.0, "seed": 5}))
    answer = events[-1]["answer"]
    assert "".join(e.get("text", "") for e in events)  # noise, streamed as it was written
    assert answer.refused or answer.warnings  # and none of it holds
    again = chain.invoke({"question": RAIN, "temperature": 1.0, "seed": 5})
    assert again.answer == answer.answer


def test_turns_go_through_the_models_own_template(tmp_path: Path) -> None:
    engine = load_engine(save(tmp_path, "qwen2"))
    talk = [SystemMessage("Be brief."), HumanMessage("Say <|stop|> now")]
    ids = prompt(engine, talk, 500)
    assert ids.count(1) == 2 and ids.count(0) == 3  # the user's own "<|stop|>" is text, not a marker
    assert [ids[0], ids[-1]] == [0, engine.tokenizer.encode("\n")[0]]


def test_without_a_template_a_conversation_is_text(tmp_path: Path) -> None:
    engine = load_engine(save(tmp_path, "gpt2", template=False))
    ids = prompt(engine, [SystemMessage("Be brief."), HumanMessage("Why?")], 500)
    assert engine.tokenizer.decode(ids) == "Be brief.\n\nWhy?\n\n"


def test_passages_beyond_the_context_are_left_out_and_named(tmp_path: Path) -> None:
    chain = build_chain(retriever=SHELF, model=save(tmp_path, "qwen2", context=700))
    chain.stages.model.chat.max_tokens = 20  # type: ignore[union-attr]
    whole = chain.invoke(RAIN)
    assert not whole.warnings
    room = len(load_engine(str(tmp_path)).tokenizer.encode(whole.prompt)) + 40
    small = build_chain(retriever=SHELF, model=save(tmp_path / "small", "qwen2", context=room))
    small.stages.model.chat.max_tokens = 30  # type: ignore[union-attr]
    answer = small.invoke(RAIN)
    assert any("holds 1 of the 2 passages" in w for w in answer.warnings)
    assert "Cats" not in answer.prompt and answer.citations[0].doc_id == 0
    with pytest.raises(RagError, match=r"room for .* fewer passages"):
        ChatOpenbook(model=str(tmp_path / "small")).invoke("rain " * 2000)


def test_what_cannot_be_loaded_is_one_sentence(tmp_path: Path) -> None:
    save(tmp_path, "gpt2")
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    for name in (str(tmp_path), "no-such-model", "../x/y/z"):
        with pytest.raises(RagError) as caught:
            init_model(name)
        assert str(caught.value).count(". ") == 0 and str(caught.value).endswith(".")


def test_what_a_model_of_ours_writes_is_told_token_by_token(tmp_path: Path) -> None:
    """Its own probabilities at temperature 1, whatever temperature it wrote at; nothing is told of a quotation."""
    chain = build_chain(retriever=SHELF, model=save(tmp_path, "llama"))
    answer = chain.invoke({"question": RAIN, "mode": "compose", "temperature": 0.5, "seed": 3})
    assert answer.trace is not None and 2 <= len(answer.trace.tokens) <= 512
    for token in answer.trace.tokens:
        logprobs = [logprob for _, logprob in token.top]
        assert len(logprobs) == 5 and logprobs == sorted(logprobs, reverse=True)
        assert token.logprob <= logprobs[0] + 1e-4 <= 1e-3 and sum(map(math.exp, logprobs)) <= 1 + 1e-4
    quoted = chain.invoke({"question": RAIN})
    assert quoted.trace is not None and quoted.trace.tokens == []


def test_the_chat_model_tells_probabilities_only_where_they_are_asked_for(tmp_path: Path) -> None:
    chat = ChatOpenbook(model=save(tmp_path, "llama"), max_tokens=6)
    plain = chat.invoke([HumanMessage("Hello")])
    told = chat.invoke([HumanMessage("Hello")], top_logprobs=3)
    assert "logprobs" not in plain.response_metadata and told.text == plain.text
    content = told.response_metadata["logprobs"]["content"]
    assert len(content) == told.usage_metadata["output_tokens"]  # type: ignore[index]
    assert all(len(one["top_logprobs"]) == 3 and one["token"] is not None for one in content)
