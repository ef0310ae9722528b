"""The command line of training: every setting with its default and its meaning."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from gpt.training.examples import KINDS_OF_ROWS, PROSE_TOKENS
from gpt.training.overlap import CHARACTERS, WORDS

# Shares of the rows of each stage, where --mix does not say otherwise.
MIXTURES = {
    "train": {"prose": 0.1, "cloze": 0.55, "questions": 0.35},
    "tune": {"prose": 0.0, "cloze": 0.15, "questions": 0.85},
    "reward": {"prose": 0.0, "cloze": 0.0, "questions": 1.0},
}
STAGES = {
    "train": "pre-train from random weights",
    "tune": "tune trained weights for reading",
    "reward": "tune further by the reward of the answers given",
}


def parse_source(text: str) -> tuple[str, int]:
    """A name, or a name and a number."""
    name, _, every = text.partition(":")
    if not name or (every and not (every.isdigit() and int(every))):
        raise argparse.ArgumentTypeError(f"{text!r} is no source; write a name, or a name, a colon and a number")
    return name, int(every or 1)


def parse_mix(text: str) -> dict[str, float]:
    """``prose=0.1,cloze=0.3,questions=0.6`` as shares by kind of row."""
    shares: dict[str, float] = {}
    for part in text.split(","):
        kind, _, share = part.partition("=")
        try:
            shares[kind.strip()] = float(share)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{part!r} is not KIND=SHARE; write e.g. prose=0.1,cloze=0.9") from None
    if unknown := sorted(set(shares) - set(KINDS_OF_ROWS)):
        raise argparse.ArgumentTypeError(f"there is no kind {unknown[0]!r}; kinds are {', '.join(KINDS_OF_ROWS)}")
    return shares


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m gpt", description="Train a GPT: tokenizer, train, tune, reward, mean.")
    sub = p.add_subparsers(dest="stage", required=True)
    t = sub.add_parser("tokenizer", help="learn a byte-level BPE vocabulary")
    t.add_argument("--prose", nargs="*", type=Path, default=[])
    t.add_argument("--questions", nargs="*", type=Path, default=[])
    t.add_argument("--every", type=int, default=12, help="use every n-th document of the shards")
    t.add_argument("--vocab-size", type=int, default=8192)
    t.add_argument("--out", type=Path, required=True)
    for stage, text in STAGES.items():
        s = sub.add_parser(stage, help=text)
        _data(s)
        _course(s, stage)
        _machine(s)
        if stage == "train":
            _shape(s)
        else:
            s.add_argument("--model", type=Path, required=True, help="folder of the trained model")
        if stage == "reward":
            s.add_argument("--supervised", type=float, default=0.1, help="weight of the usual loss beside the reward")
            s.add_argument("--starts", type=int, default=8, help="starts of answers that are weighed for each question")
    m = sub.add_parser("mean", help="the mean of models tuned from the same weights")
    m.add_argument("--models", nargs="+", type=Path, required=True, metavar="FOLDER")
    m.add_argument("--out", type=Path, required=True, help="folder of the mean")
    o = sub.add_parser("overlap", help="what training files share with evaluation files")
    o.add_argument("--train", nargs="+", type=Path, required=True, metavar="FILE", help="shards or question sets")
    o.add_argument("--evaluation", nargs="+", type=Path, required=True, metavar="FILE", help="shards or question sets")
    o.add_argument("--words", type=int, default=WORDS, help="words of a shared run (default: %(default)s)")
    o.add_argument("--han", type=int, default=CHARACTERS, help="characters of one in Chinese (default: %(default)s)")
    o.add_argument("--json", action="store_true", help="one JSON object instead of the lines")
    return p


def _data(s: argparse.ArgumentParser) -> None:
    s.add_argument("--prose", nargs="*", type=Path, default=[], help="JSON-lines shards, plain or .zst")
    s.add_argument("--questions", nargs="*", type=Path, default=[], help="SQuAD-style training sets")
    s.add_argument("--every", type=int, default=1, help="use every n-th document of the prose shards")
    s.add_argument(
        "--sources",
        nargs="*",
        type=parse_source,
        default=[],
        metavar="NAME[:N]",
        help="only documents whose source contains one of the names, every N-th of them",
    )
    s.add_argument("--mix", type=parse_mix, metavar="KIND=SHARE,…", help="shares of rows, e.g. prose=0.1,cloze=0.9")
    s.add_argument("--row-tokens", type=int, default=PROSE_TOKENS, help="tokens in a row of prose")
    s.add_argument("--unanswerable", type=float, default=0.25, help="share of questions put to a wrong passage")
    s.add_argument("--short", type=float, default=0.75, help="share of passages cut to the answer's sentence and a few")
    s.add_argument("--paragraphs", type=float, default=0.0, help="share of clozes over the questions' own paragraphs")
    s.add_argument("--changed", type=float, default=0.0, help="share of questions with other names and numbers")
    s.add_argument("--holes", type=float, default=0.0, help="share of the tokens of questions and passages to hide")
    s.add_argument("--heldout", nargs="*", type=Path, default=[], help="prose shards for bits per byte")
    s.add_argument("--heldout-questions", nargs="*", type=Path, default=[], help="question sets for the reading loss")
    s.add_argument("--without", nargs="*", type=Path, default=[], help="leave out what shares 13 words with these")
    s.add_argument("--eval-every", type=int, default=0, metavar="N", help="score held-out text every N steps")


def _course(s: argparse.ArgumentParser, stage: str) -> None:
    s.add_argument("--out", type=Path, required=True, help="run folder: checkpoint, log, plot, finished model")
    s.add_argument("--minutes", type=float, default=60.0, help="training time; the schedule follows it")
    s.add_argument("--steps", type=int, default=None, help="train so many steps instead of --minutes")
    s.add_argument("--rows", type=int, default=32, help="rows in a batch")
    s.add_argument("--accumulate", type=int, default=1, help="batches whose gradients are added up for one step")
    s.add_argument("--micro-tokens", type=int, default=2048, help="padded positions in one pass; changes no result")
    s.add_argument("--matrix-lr", type=float, default={"train": 0.02, "tune": 0.006, "reward": 0.001}[stage])
    s.add_argument("--embedding-lr", type=float, default={"train": 0.004, "tune": 0.001, "reward": 0.0001}[stage])
    s.add_argument("--weight-decay", type=float, default=0.1)
    s.add_argument("--warm-down", type=float, default=0.5, help="last share of the run over which the rate falls")
    s.add_argument(
        "--ema",
        type=float,
        metavar="HALF-LIFE",
        help="average the weights over time; half-life in steps, or below 1 as a share of the run",
    )
    s.add_argument(
        "--keep",
        choices=("best", "last", "average"),
        default="best",
        help="what --ema saves as the model: the better on held-out text (the average where there is none), or one",
    )
    s.add_argument("--seed", type=int, default=1)
    s.add_argument("--checkpoint-seconds", type=float, default=180.0)
    s.add_argument("--log-every", type=int, default=20, metavar="N", help="steps between lines of the log")
    s.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out where there is one")


def _machine(s: argparse.ArgumentParser) -> None:
    s.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    s.add_argument("--dtype", choices=("bf16", "fp32"), default="bf16", help="type of the products; weights are fp32")
    s.add_argument("--threads", type=int, default=None)
    s.add_argument("--compile", action="store_true", help="torch.compile the model; needs a C++ compiler")
    s.add_argument("--no-prefetch", dest="prefetch", action="store_false", help="make rows in the same process")


def _shape(s: argparse.ArgumentParser) -> None:
    s.add_argument("--tokenizer", type=Path, required=True, help="folder with tokenizer.json")
    s.add_argument("--plain", action="store_true", help="a plain GPT for text, without the parts that read and quote")
    s.add_argument("--layers", type=int, default=6)
    s.add_argument("--heads", type=int, default=5)
    s.add_argument("--kv-heads", type=int, default=None)
    s.add_argument("--width", type=int, default=320)
    s.add_argument("--hidden", type=int, default=864)
    s.add_argument("--context", type=int, default=1024)
