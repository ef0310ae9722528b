"""Training: ``python -m gpt train`` from random weights, ``tune`` and then ``reward`` from a trained folder.

The same commands run on a CPU in bf16, on CUDA, and in several processes (``torchrun -m gpt train …``).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace

import torch

from gpt.config import GPTConfig
from gpt.model import GPT
from gpt.tokenizer import Tokenizer
from gpt.training.arguments import MIXTURES, parser
from gpt.training.checkpoint import load_weights
from gpt.training.corpus import read_prose, read_questions, stream_prose
from gpt.training.examples import Mixture
from gpt.training.heldout import Heldout
from gpt.training.overlap import Without, compare, table
from gpt.training.processes import Processes
from gpt.training.soup import mean_of
from gpt.training.trainer import Trainer


def learn_tokenizer(args: argparse.Namespace) -> None:
    """Half the bytes Chinese: question sets are repeated since their encyclopedic characters are rare in the shards."""
    texts = [document.text[:20_000] for document in read_prose(args.prose, args.every)]
    for path in args.questions:
        questions = read_questions(path)
        repeats = 6 if questions.language == "zh" else 3
        texts += [p for p in questions.paragraphs for _ in range(repeats)]
        texts += [q.text for q in questions.questions for _ in range(repeats)]
    args.out.mkdir(parents=True, exist_ok=True)
    Tokenizer.train(texts, args.vocab_size).save(args.out)


def prepare(args: argparse.Namespace) -> tuple[GPT, Tokenizer]:
    """The model to train and its tokenizer: random weights of the shape asked for, or those of ``--model``."""
    if args.stage != "train":
        config, tokenizer = GPTConfig.load(args.model), Tokenizer.load(args.model)
        model = GPT(config)
        load_weights(model, args.model)
        return model, tokenizer
    tokenizer = Tokenizer.load(args.tokenizer)
    config = GPTConfig(
        vocab_size=tokenizer.vocab_size,
        context=args.context,
        layers=args.layers,
        heads=args.heads,
        kv_heads=args.kv_heads or args.heads,
        width=args.width,
        hidden=args.hidden,
    )
    if args.plain:
        config = replace(config, kinds=0, prefix_lm=False)
    model = GPT(config)
    model.init_weights(torch.Generator().manual_seed(args.seed))
    return model, tokenizer


def mixture_of(args: argparse.Namespace, model: GPT, tokenizer: Tokenizer) -> Mixture:
    """The rows that ``--prose``, ``--questions`` and ``--mix`` ask for; ValueError when there are none."""
    without = Without(args.without) if args.without else None
    stream = stream_prose(args.prose, args.every, sources=dict(args.sources))
    prose = list(without.prose(stream) if without else stream)
    questions = [read_questions(path) for path in args.questions]
    if without:
        questions = [kept for found in questions if (kept := without.questions(found)).questions]
        print(without, file=sys.stderr, flush=True)
    weights = args.mix or ({"prose": 1.0} if not model.config.kinds else dict(MIXTURES[args.stage]))
    if not args.mix:
        for kind, there in (("prose", prose), ("cloze", prose), ("questions", questions)):
            weights[kind] = weights.get(kind, 0.0) if there else 0.0
    if not args.mix and not any(weights.values()):
        raise ValueError("there is nothing to train on; give --prose shards or --questions files, or both")
    if not model.config.kinds and (weights.get("cloze") or weights.get("questions")):
        raise ValueError("a plain model has no parts to read and quote with; train it on prose alone")
    if weights.get("prose") and args.row_tokens > model.config.context:
        raise ValueError(f"rows of {args.row_tokens} tokens do not fit a context of {model.config.context}")
    return Mixture(
        tokenizer,
        prose,
        questions,
        weights=weights,
        unanswerable=args.unanswerable,
        short=args.short,
        paragraphs=args.paragraphs,
        changed=args.changed,
        holes=args.holes,
        seed=args.seed,
        row_tokens=args.row_tokens,
        cache=args.out,
    )


def overlap(args: argparse.Namespace) -> None:
    """What the files share, on standard output; how far it is, on the other."""

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    found = compare(args.train, args.evaluation, words=args.words, characters=args.han, say=say)
    print(json.dumps(found, ensure_ascii=False) if args.json else table(found))


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    processes = Processes()
    try:
        if args.stage == "tokenizer":
            learn_tokenizer(args)
            return 0
        if args.stage == "mean":
            mean_of(args.models, args.out)
            return 0
        if args.stage == "overlap":
            overlap(args)
            return 0
        if args.threads:
            torch.set_num_threads(args.threads)
        processes, args.device = Processes.join(args.device)
        model, tokenizer = prepare(args)
        trainer = Trainer(args, model, tokenizer, mixture_of(args, model, tokenizer), processes)
        questions = [read_questions(path) for path in args.heldout_questions]
        trainer.run(Heldout(read_prose(args.heldout), questions, rewards=args.stage == "reward"))
    except (ValueError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; go on from the last checkpoint with --resume", file=sys.stderr)
        return 130
    finally:
        processes.leave()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
