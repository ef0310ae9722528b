"""Tiny models and tokenizers as transformers writes them, random and made on the spot: nothing is downloaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

TEXTS = [
    "The quick brown fox jumps over the lazy dog. The cat sat on the mat, and the dog sat on the cat.\n\nWhy? 1234",
    "北京是中华人民共和国的首都。上海是中国最大的城市。 user assistant system",
] * 20
CHATML_SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHATML = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def tiny_model(config: PreTrainedConfig, seed: int = 0) -> PreTrainedModel:
    """Random weights everywhere, gains and biases too: what a fresh model leaves at 0 or 1 would hide a mix-up."""
    model = AutoModelForCausalLM.from_config(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=1.5 * parameter.shape[-1] ** -0.5, generator=generator)
            else:
                parameter.uniform_(0.5, 1.5, generator=generator)
    return model.eval()


def byte_level(specials: list[str | AddedToken] | None = None, size: int = 320) -> Tokenizer:
    """A byte-level BPE as Qwen's: NFC, the same pieces, specials behind the vocabulary."""
    words = Tokenizer(models.BPE())
    words.normalizer = normalizers.NFC()
    words.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    words.decoder = decoders.ByteLevel()
    words.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    words.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    )
    words.add_special_tokens(CHATML_SPECIALS if specials is None else specials)
    return words


def llama2(size: int = 400) -> Tokenizer:
    """A BPE as Llama 2's: ▁ for spaces, one before a text, bytes for what it does not know, <s> in front."""
    specials = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    words.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=specials, show_progress=False)
    words.train_from_iterator([TEXTS[0]] * 20, trainer)
    data = json.loads(words.to_str())
    data["added_tokens"] = [token for token in data["added_tokens"] if token["id"] < 3]  # bytes are plain vocabulary
    words = Tokenizer.from_str(json.dumps(data))
    words.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    return words


def unigram() -> Tokenizer:
    """A SentencePiece unigram vocabulary that holds </s> among its pieces, as T5's and Gemma's kin do."""
    pieces: list[tuple[str, float]] = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0)]
    pieces += [(f"<0x{byte:02X}>", -9.0) for byte in range(256)]
    pieces += [("▁", -2.0), ("▁the", -1.0), ("▁cat", -1.5), ("s", -3.0), ("at", -2.5), ("<", -4.0), ("/", -4.0)]
    pieces += [(">", -4.0), *((chr(letter), -5.0) for letter in range(ord("a"), ord("z") + 1) if chr(letter) != "s")]
    words = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    words.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    words.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="always")])
    words.add_special_tokens(["<unk>", "<s>", "</s>"])
    return words


def save_tokenizer(folder: Path, words: Tokenizer, **settings: Any) -> None:
    """tokenizer.json and tokenizer_config.json, as they stand in a model's folder."""
    folder.mkdir(exist_ok=True)
    words.save(str(folder / "tokenizer.json"))
    given = {"tokenizer_class": "PreTrainedTokenizerFast", **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(given), encoding="utf-8")


def save_hub_model(
    folder: Path, config: PreTrainedConfig, *, shard: str | None = None, words: Tokenizer | None = None, **settings: Any
) -> PreTrainedModel:
    """A random model of ``config`` with a tokenizer in ``folder``, in shards of at most ``shard``; the model."""
    model = tiny_model(config)
    model.save_pretrained(folder, **({} if shard is None else {"max_shard_size": shard}))
    save_tokenizer(folder, words or byte_level(), **settings)
    return model
