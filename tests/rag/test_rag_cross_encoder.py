"""A cross-encoder of the user's own as reranker: a tiny one, made here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from rag import build_chain
from rag.cross_encoder import CrossEncoder
from rag.search import Searcher
from rag.types import RagError

WORDS = "[PAD] [UNK] [CLS] [SEP] tower lighthouse bees 42 metres high how is the".split()


def write(folder: Path, outputs: int = 1) -> Path:
    """Random weights, so its order is its own."""
    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    torch.manual_seed(5)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        num_labels=outputs, initializer_range=1.0,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_it_orders_the_best_passages(store: Path, tmp_path: Path) -> None:
    searcher = Searcher.open(store)
    question = "How high is the tower?"
    plain = searcher.search(question, 5)
    cross = searcher.cross_encoder = CrossEncoder(write(tmp_path / "cross"))
    found = searcher.search(question, 5)
    again = searcher.search(question, 5)
    searcher.close()
    shown = {hit.chunk.id: hit.fused.interaction for hit in found.hits}
    chunk = found.hits[0].chunk
    told = cross.scores(question, [f"{chunk.header}\n{chunk.text}"])[0]
    assert told is not None and shown[chunk.id] == pytest.approx(told, abs=1e-5) and 0 < told < 1
    assert shown != {hit.chunk.id: hit.fused.interaction for hit in plain.hits}
    assert [hit.chunk.id for hit in again.hits] == [hit.chunk.id for hit in found.hits]


def test_the_chain_takes_it_by_its_folder(store: Path, tmp_path: Path) -> None:
    chain = build_chain(store, "none", reranker=write(tmp_path / "cross"))
    answer = chain.invoke("How high is the tower?")
    chain.close()
    assert answer.sources and all(source.interaction is not None for source in answer.sources)


def test_a_folder_that_is_none_is_told_in_one_sentence(store: Path, tmp_path: Path) -> None:
    with pytest.raises(RagError, match=r"no cross-encoder in .*nowhere: name a folder"):
        build_chain(store, "none", reranker=tmp_path / "nowhere")
    pickled = write(tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(RagError, match=r"no \.safetensors"):
        CrossEncoder(pickled)
    with pytest.raises(RagError, match="one is needed"):
        CrossEncoder(write(tmp_path / "classes", outputs=3)).scores("How?", ["the tower"])
