"""Tiny material for the encoder's training: a random BERT with its tokenizer, a corpus, sentence pairs, questions."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WIDTH, HIDDEN, LAYERS, POSITIONS = 24, 48, 3, 64
# English words and their Chinese; sentences of all kinds are made from these.
WORDS = {
    "river": "河流", "mountain": "高山", "teacher": "老师", "machine": "机器", "doctor": "医生", "library": "图书馆",
    "music": "音乐", "winter": "冬天", "bridge": "桥梁", "village": "村庄",
}  # fmt: skip


def sentence_pairs() -> list[tuple[str, str]]:
    """(English, Chinese): each word with each other, so that only counting tells which is which."""
    words = list(WORDS.items())
    return [(f"The {a} near a {b}.", f"{p}附近有{q}。") for a, p in words for b, q in words if a != b]


def write_bert(folder: Path) -> Path:
    """A BERT of random weights, as the files of all-MiniLM-L6-v2."""
    torch.manual_seed(0)
    folder.mkdir(parents=True)
    words = [w for w in "the near a who built is an old of and lives in by stands".split() if w not in WORDS]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, *words, ".", "?", *"abcdefghijklmnopqrstuvwxyz"]
    vocabulary = list(dict.fromkeys(vocabulary)) + [f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz"]
    numbers = {word: number for number, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[SEP]", numbers["[SEP]"]), ("[CLS]", numbers["[CLS]"])]
    tokenizer.post_processor = processors.BertProcessing(*ends)
    tokenizer.save(str(folder / "tokenizer.json"))
    state = {
        "embeddings.word_embeddings.weight": torch.randn(len(vocabulary), WIDTH),
        "embeddings.position_embeddings.weight": 0.1 * torch.randn(POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": 0.1 * torch.randn(2, WIDTH),
        **_norm("embeddings.LayerNorm"),
    }
    for layer in range(LAYERS):
        its = f"encoder.layer.{layer}."
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            state |= _linear(its + name, WIDTH, WIDTH)
        state |= _linear(f"{its}intermediate.dense", HIDDEN, WIDTH) | _linear(f"{its}output.dense", WIDTH, HIDDEN)
        state |= _norm(f"{its}attention.output.LayerNorm") | _norm(f"{its}output.LayerNorm")
    save_file(state, str(folder / "model.safetensors"))
    return folder


def _linear(name: str, out: int, into: int) -> dict[str, torch.Tensor]:
    return {f"{name}.weight": 0.4 * torch.randn(out, into), f"{name}.bias": 0.1 * torch.randn(out)}


def _norm(name: str) -> dict[str, torch.Tensor]:
    return {f"{name}.weight": torch.ones(WIDTH), f"{name}.bias": torch.zeros(WIDTH)}


def write_corpus(path: Path) -> Path:
    """A shard: documents in both languages, of which each has its translation."""
    pairs = sentence_pairs()
    lines = []
    for number in range(0, len(pairs), 10):
        part = pairs[number : number + 10]
        english = "# Guide\n\n" + "\n\n".join(
            f"{a} {b}" for a, b in zip([p[0] for p in part], [p[0] for p in part[1:]] + [part[0][0]], strict=True)
        )
        chinese = "# 指南\n\n" + "\n\n".join(
            f"{a}{b}" for a, b in zip([p[1] for p in part], [p[1] for p in part[1:]] + [part[0][1]], strict=True)
        )
        for text, place in ((english, "en"), (chinese, "zh")):
            lines.append({"text": text, "source": "some/guide", "path": f"docs/{place}/{number}.md"})
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    return path


def write_pairs(path: Path) -> Path:
    path.write_text("".join(f"{english}\t{chinese}\tsomebody\n" for english, chinese in sentence_pairs()), "utf-8")
    return path


def write_questions(path: Path, *, chinese: bool) -> Path:
    """A question on each of ten paragraphs, which share most of their words."""
    paragraphs = []
    for english, word in WORDS.items():
        if chinese:
            text, question, answer = f"{word}是由李明在一九二零年建成的，它在城市的北边。", f"谁建成了{word}？", "李明"
        else:
            text = f"The {english} stands in the old village. An old teacher built the {english} near a bridge."
            question, answer = f"Who built the {english}?", "An old teacher"
        answers = [{"text": answer, "answer_start": text.index(answer)}]
        paragraphs.append({"context": text, "qas": [{"id": english, "question": question, "answers": answers}]})
    path.write_text(json.dumps({"data": [{"title": "", "paragraphs": paragraphs}]}, ensure_ascii=False), "utf-8")
    return path
