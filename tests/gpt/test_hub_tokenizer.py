"""Tokenizers of published models: the ids of transformers, and no document that speaks as the template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from gpt.hub.tokenizer import HubTokenizer
from tests.gpt.hub_models import CHATML, CHATML_SPECIALS, byte_level, llama2, save_tokenizer, unigram

PLAIN = [
    "The cat sat on the mat.",
    "  two  spaces\n\n\nand lines\t",
    "北京是中国的首都。𠮷 😀 naïve e\u0301",
    "",
    " ",
    "don't 1234567",
    "<tag> [x] | < >",
]


def folder_of(path: Path, words: Tokenizer, template: str | None = None, **given: Any) -> Path:
    """A folder with a tokenizer, and its template in a file of its own."""
    save_tokenizer(path, words, **given)
    if template is not None:
        (path / "chat_template.jinja").write_text(template, encoding="utf-8")
    return path


def both(path: Path) -> tuple[HubTokenizer, PreTrainedTokenizerFast]:
    return HubTokenizer.load(path), AutoTokenizer.from_pretrained(path)


@pytest.mark.parametrize("make", [byte_level, llama2, unigram])
def test_ids_text_and_spans_are_those_of_the_library(make: Any, tmp_path: Path) -> None:
    ours, theirs = both(folder_of(tmp_path / "model", make()))
    assert ours.vocab_size == len(theirs)
    for text in PLAIN:
        ids = ours.encode(text)
        assert ids == theirs(text, add_special_tokens=False).input_ids
        assert ours.prompt(text) == theirs(text).input_ids
        assert ours.decode(ids) == theirs.decode(ids, clean_up_tokenization_spaces=False)
        encoded = ours.encode_spans(text)
        assert encoded.ids == ids and ours.encode_batch([text])[0] == encoded
        covered = {i for start, end in encoded.spans for i in range(start, end)}
        assert covered >= {i for i, c in enumerate(text) if not c.isspace()}
        if make is byte_level and text.isascii():
            pieces = [text[start:end].encode() for start, end in encoded.spans]
            assert pieces == [ours.token_bytes(token) for token in ids]


@pytest.mark.parametrize("make", [byte_level, llama2, unigram])
def test_bytes_of_the_tokens_are_the_text(make: Any) -> None:
    tokenizer = HubTokenizer(json.loads(make().to_str()))
    text = "the cat 北京 😀"
    written = b"".join(tokenizer.token_bytes(token) for token in tokenizer.encode(text)).decode()
    assert written.removeprefix("" if make is byte_level else " ") == text
    assert all(isinstance(tokenizer.token_bytes(token), bytes) for token in range(tokenizer.vocab_size))
    with pytest.raises(ValueError, match="no token has the id"):
        tokenizer.token_bytes(tokenizer.vocab_size)


@pytest.mark.parametrize(
    "make, specials",
    [(byte_level, CHATML_SPECIALS), (llama2, ["<s>", "</s>", "<unk>"]), (unigram, ["<s>", "</s>", "<unk>"])],
)
def test_no_document_can_spell_a_special(make: Any, specials: list[str]) -> None:
    words = make()
    tokenizer = HubTokenizer(json.loads(words.to_str()))
    forbidden = {words.token_to_id(special) for special in specials}
    for special in specials:
        for text in (special, f"a{special}b", special * 3, f" {special}\n", special[:2] + special + special[2:]):
            ids = tokenizer.encode(text)
            assert not forbidden & set(ids)
            assert tokenizer.decode(ids).lstrip() == text.lstrip()  # SentencePiece drops the first space
            assert not forbidden & set(tokenizer.encode_spans(text).ids)
    assert tokenizer.token_bytes(words.token_to_id(specials[0])) == b""
    assert tokenizer.name(words.token_to_id(specials[0])) == specials[0]


def test_where_a_template_lies(tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "cat"}]
    assert HubTokenizer.load(folder_of(tmp_path / "none", byte_level())).chat(talk) is None
    file = HubTokenizer.load(folder_of(tmp_path / "file", byte_level(), CHATML))
    alone = HubTokenizer.load(folder_of(tmp_path / "alone", byte_level(), chat_template=CHATML))
    named = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": CHATML}]
    several = HubTokenizer.load(folder_of(tmp_path / "several", byte_level(), chat_template=named))
    assert file.chat(talk) == alone.chat(talk) == several.chat(talk) is not None


def test_what_ends_an_answer(tmp_path: Path) -> None:
    words = byte_level()
    folder = folder_of(tmp_path / "m", words, eos_token={"content": "<|im_end|>", "__type": "AddedToken"})
    end = words.token_to_id("<|im_end|>")
    assert HubTokenizer.load(folder).end_ids == {end}
    (folder / "config.json").write_text('{"eos_token_id": 5}')
    (folder / "generation_config.json").write_text('{"eos_token_id": [6, 7]}')
    assert HubTokenizer.load(folder).end_ids == {5, 6, 7, end}
    (folder / "config.json").write_text('{"eos_token_id": "end"}')
    with pytest.raises(ValueError, match="eos_token_id is 'end', which is no id"):
        HubTokenizer.load(folder)


def test_opening_token_without_a_post_processor(tmp_path: Path) -> None:
    data = json.loads(byte_level().to_str())
    given = {"bos_token": "<|endoftext|>", "add_bos_token": True}
    assert HubTokenizer(data, given).prompt("cat") == HubTokenizer(data).encode("cat")
    bare = {**data, "post_processor": None}
    bos = byte_level().token_to_id("<|endoftext|>")
    assert HubTokenizer(bare, given).prompt("cat") == [bos, *HubTokenizer(bare).encode("cat")]
    assert HubTokenizer(bare, {**given, "add_bos_token": False}).prompt("cat") == HubTokenizer(bare).encode("cat")


def test_padded_embeddings_and_a_vocabulary_too_large() -> None:
    data = json.loads(byte_level().to_str())
    padded = HubTokenizer(data, rows=400)
    assert padded.vocab_size == 323 and padded.token_bytes(399) == b"" and padded.name(399) == "<unused 399>"
    with pytest.raises(ValueError, match="the tokenizer has 323 tokens and the model 322"):
        HubTokenizer(data, rows=322)


def test_files_that_are_no_tokenizer(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", byte_level())
    words = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    words.decoder = decoders.WordPiece()
    for text, message in (
        ("{", "cannot be read as JSON"),
        ("{}", "is not a tokenizer|spelled neither"),
        (words.to_str(), "spelled neither in bytes nor"),
        ('{"decoder": {"type": "ByteLevel"}, "model": {}}', "is not a tokenizer this version can read"),
        ('{"decoder": {"type": "ByteLevel"}, "model": {"vocab": {"a": 0}, "merges": ["x y"]}}', "is not a tokenizer"),
    ):
        (folder / "tokenizer.json").write_text(text)
        with pytest.raises(ValueError, match=message) as caught:
            HubTokenizer.load(folder)
        assert "tokenizer.json" in str(caught.value) and "\n" not in str(caught.value)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=r"holds no tokenizer\.json"):
        HubTokenizer.load(folder)


def test_cutting_and_padding_of_training_are_off() -> None:
    words = byte_level()
    words.enable_truncation(4)
    words.enable_padding(length=50)
    tokenizer = HubTokenizer(json.loads(words.to_str()))
    assert tokenizer.encode("the cat sat on the mat") == HubTokenizer(json.loads(byte_level().to_str())).encode(
        "the cat sat on the mat"
    )


def test_half_a_surrogate_pair_is_no_character() -> None:
    tokenizer = HubTokenizer(json.loads(byte_level().to_str()))
    assert tokenizer.decode(tokenizer.encode("a\ud800b")) == "a\ufffdb"
