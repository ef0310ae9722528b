"""What training and reading share: the prompt and the kinds of its tokens.

The prompt   <bos><question> q <passage> p <answer>   puts the question first, so that the decoder knows what to look
for while it reads. Every token has a kind, and the model adds a learned vector for it:

    0  special tokens, answers and plain text      3  a passage token that the question has too
    1  the question                                4  ... together with its neighbour: a pair the question has too
    2  a passage token that the question lacks

A small decoder needs millions of examples to grow heads that find equal tokens (750 steps of nothing but copying did
not do it); reading comprehension before pre-training gave the match as an input (DrQA, Chen et al. 2017), and so do we.

An answer is then  start, more, more, …, end:  the copy head points at the passage token where it begins (or the model
says <none>), and after every token copied from there it says <more> or <end>. Nothing else can be said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from gpt.tokenizer import Tokenizer

QUESTION_TOKENS = 64
PASSAGE_TOKENS = 288  # a 254-word-piece chunk is at most about 280 of our tokens
ANSWER_TOKENS = 48
PLAIN, QUESTION, PASSAGE, MATCH, PAIR = range(5)


def prompt_ids(tokenizer: Tokenizer, question: Sequence[int], passage: Sequence[int]) -> list[int]:
    """The prompt of the reader; the same in training and in use. A long question keeps its end."""
    return [
        tokenizer.bos,
        tokenizer.question,
        *question[-QUESTION_TOKENS:],
        tokenizer.passage,
        *passage,
        tokenizer.answer,
    ]


def prompt_kinds(tokenizer: Tokenizer, prompt: Sequence[int]) -> list[int]:
    """The kind of every token of a prompt; case and a leading space make no difference to a match."""
    at = prompt.index(tokenizer.passage)
    folded = tokenizer.folded[np.asarray(prompt)]
    question, passage = folded[2:at], folded[at + 1 : -1]
    match = np.isin(passage, question) & (passage >= 0)
    asked = set(zip(question[:-1].tolist(), question[1:].tolist(), strict=True))
    pairs = np.zeros(len(passage), dtype=bool)
    for i, pair in enumerate(zip(passage[:-1].tolist(), passage[1:].tolist(), strict=True)):
        if pair in asked and match[i] and match[i + 1]:
            pairs[i] = pairs[i + 1] = True
    kinds = np.where(pairs, PAIR, np.where(match, MATCH, PASSAGE))
    return [PLAIN, PLAIN, *[QUESTION] * (at - 2), PLAIN, *kinds.tolist(), PLAIN]


class Reads(Protocol):
    """A model, or something that trains one: what the start of an answer is scored with."""

    def unembed(self, states: Tensor, only: Sequence[int]) -> Tensor: ...

    def point(self, states: Tensor, hidden: Tensor) -> Tensor: ...


def start_logprobs(model: Reads, tokenizer: Tokenizer, hidden: Tensor, prefixes: Tensor, kinds: Tensor) -> Tensor:
    """Log-probabilities (B, T + 1), fp32, that the answer starts at each place of the prompt; the last is <none>.

    ``hidden`` (B, T, C) are the states of rows whose prompts have ``prefixes`` (B,) tokens; places that are no passage
    tokens have probability 0.
    """
    states = hidden[torch.arange(len(prefixes), device=hidden.device), prefixes - 1]  # (B, C), at <answer>
    scores = model.point(states, hidden).masked_fill(kinds < PASSAGE, float("-inf"))
    none = model.unembed(states, [tokenizer.none])
    return torch.cat((scores, none), dim=1).log_softmax(dim=-1)
