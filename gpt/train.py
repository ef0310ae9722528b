"""Training: ``python -m gpt train`` from random weights, ``python -m gpt tune`` from a trained folder.

Every position of every row is predicted at once (teacher forcing), the loss is the cross-entropy of the right next
token, and backpropagation gives each weight its share. The same command runs on a CPU in bf16 and on CUDA. A run can
be killed at any moment: it goes on from its last checkpoint and draws the same rows as if nothing had happened.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F

from gpt.checkpoint import Progress, find_checkpoint, load_checkpoint, load_weights, save_checkpoint, save_model
from gpt.config import GPTConfig
from gpt.corpus import Prose, QuestionSet, read_prose, read_questions
from gpt.examples import Mixture, micro_batches
from gpt.losses import Counts, backward, make_scorer
from gpt.model import GPT
from gpt.optim import make_optimizers
from gpt.prefetch import Prefetch
from gpt.tokenizer import Tokenizer

MIXTURES = {
    "train": {"prose": 0.1, "cloze": 0.55, "questions": 0.35},
    "tune": {"prose": 0.0, "cloze": 0.15, "questions": 0.85},
}


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m gpt", description=__doc__.split("\n")[0])
    sub = p.add_subparsers(dest="stage", required=True)
    t = sub.add_parser("tokenizer", help="learn a byte-level BPE vocabulary")
    t.add_argument("--prose", nargs="*", type=Path, default=[])
    t.add_argument("--questions", nargs="*", type=Path, default=[])
    t.add_argument("--every", type=int, default=12, help="use every n-th document of the shards")
    t.add_argument("--vocab-size", type=int, default=8192)
    t.add_argument("--out", type=Path, required=True)
    for stage, text in (("train", "pre-train from random weights"), ("tune", "tune trained weights for reading")):
        s = sub.add_parser(stage, help=text)
        s.add_argument("--prose", nargs="*", type=Path, default=[], help="JSON-lines shards, plain or .zst")
        s.add_argument("--questions", nargs="*", type=Path, default=[], help="SQuAD-style training sets")
        s.add_argument("--heldout", nargs="*", type=Path, default=[], help="prose shards for bits per byte")
        s.add_argument("--every", type=int, default=1, help="use every n-th document of the prose shards")
        s.add_argument("--out", type=Path, required=True, help="run folder: checkpoint, log, finished model")
        s.add_argument("--minutes", type=float, default=60.0, help="training time; the schedule follows it")
        s.add_argument("--steps", type=int, default=None, help="train so many steps instead of --minutes")
        s.add_argument("--rows", type=int, default=32, help="rows a step")
        s.add_argument("--micro-tokens", type=int, default=2048, help="padded positions in one pass")
        s.add_argument("--matrix-lr", type=float, default=0.02 if stage == "train" else 0.006)
        s.add_argument("--embedding-lr", type=float, default=0.004 if stage == "train" else 0.001)
        s.add_argument("--weight-decay", type=float, default=0.1)
        s.add_argument("--warm-down", type=float, default=0.5, help="last share of the run over which the rate falls")
        s.add_argument("--unanswerable", type=float, default=0.25, help="share of questions put to a wrong passage")
        s.add_argument("--seed", type=int, default=1)
        s.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
        s.add_argument("--threads", type=int, default=None)
        s.add_argument("--checkpoint-seconds", type=float, default=180.0)
        s.add_argument("--compile", action="store_true", help="torch.compile the model; needs a C++ compiler")
        s.add_argument("--no-prefetch", dest="prefetch", action="store_false", help="make rows in the same process")
        s.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out where there is one")
        if stage == "train":
            s.add_argument("--tokenizer", type=Path, required=True, help="folder with tokenizer.json")
            s.add_argument("--layers", type=int, default=6)
            s.add_argument("--heads", type=int, default=5)
            s.add_argument("--kv-heads", type=int, default=None)
            s.add_argument("--width", type=int, default=320)
            s.add_argument("--hidden", type=int, default=864)
            s.add_argument("--context", type=int, default=1024)
        else:
            s.add_argument("--model", type=Path, required=True, help="folder of the trained model")
    return p


class Trainer:
    """One run: model, optimisers, rows, schedule, checkpoints and a JSON-lines log in ``args.out``."""

    def __init__(self, args: argparse.Namespace, model: GPT, tokenizer: Tokenizer, mixture: Mixture) -> None:
        self.args, self.tokenizer = args, tokenizer
        self.model = model.to(args.device)
        self.model.compute_dtype = torch.bfloat16
        self.scorer = make_scorer(self.model, compiled=args.compile)
        self.rows = Prefetch(lambda step: mixture.batch(step, args.rows), background=args.prefetch)
        self.optimizers = make_optimizers(
            model, matrix_lr=args.matrix_lr, embedding_lr=args.embedding_lr, weight_decay=args.weight_decay
        )
        self.progress = Progress()
        args.out.mkdir(parents=True, exist_ok=True)
        self.checkpoint = args.out / "checkpoint"

    def done_share(self) -> float:
        """How much of the run is over, 0 to 1, by steps where they are given and otherwise by time."""
        if self.args.steps is not None:
            return min(1.0, self.progress.step / max(1, self.args.steps))
        return min(1.0, self.progress.seconds / max(1e-9, 60 * self.args.minutes))

    def rate(self) -> float:
        """Share of the peak learning rate: short warm-up, constant, then linear to 2 % over the last part."""
        warm = min(1.0, (self.progress.step + 1) / 40)
        left = (1 - self.done_share()) / max(1e-9, self.args.warm_down)
        return warm * max(0.02, min(1.0, left))

    def step(self) -> dict[str, float]:
        """One update; returns the mean loss of prose, of where answers start and of where they stop."""
        rows = self.rows(self.progress.step)
        counts = Counts.of(rows)
        sums = {"prose": 0.0, "start": 0.0, "stop": 0.0}
        for batch in micro_batches(rows, self.tokenizer.pad, self.args.micro_tokens, self.args.device):
            for kind, value in backward(self.scorer, self.tokenizer, batch, counts).items():
                sums[kind] += value
        if not all(math.isfinite(value) for value in sums.values()):
            raise FloatingPointError(
                f"the loss is not finite at step {self.progress.step}; the last checkpoint is intact: "
                "resume with a lower --matrix-lr"
            )
        rate = self.rate()
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
        self.scorer.refresh()
        self.progress.step += 1
        self.progress.tokens += sum(len(row.ids) for row in rows)
        return {kind: value for kind, value in sums.items() if getattr(counts, kind)}

    def run(self, heldout: Sequence[Prose]) -> None:
        """Train to the end, checkpointing every ``--checkpoint-seconds``; then write the finished model."""
        started, saved, first = time.monotonic(), time.monotonic(), self.progress.tokens
        before = self.progress.seconds
        means: dict[str, float] = {}
        with (self.args.out / "log.jsonl").open("a", encoding="utf-8") as log:
            while self.done_share() < 1:
                for kind, value in self.step().items():
                    means[kind] = value if kind not in means else 0.97 * means[kind] + 0.03 * value
                now = time.monotonic()
                self.progress.seconds = before + now - started
                if self.progress.step % 20 == 0:
                    speed = (self.progress.tokens - first) / (now - started)
                    entry = {"step": self.progress.step, "seconds": round(self.progress.seconds, 1)}
                    entry |= {"tokens": self.progress.tokens, "tokens_per_second": round(speed)}
                    entry |= {"rate": round(self.rate(), 4), **{k: round(v, 4) for k, v in means.items()}}
                    print(json.dumps(entry), file=log, flush=True)
                    share = self.done_share()
                    left = (self.progress.seconds / share - self.progress.seconds) / 60 if share else float("nan")
                    print(f"\r{entry}  {left:.0f} min left ", end="", file=sys.stderr, flush=True)
                if now - saved > self.args.checkpoint_seconds:
                    self.save()
                    saved = time.monotonic()
            self.save()
            scores = bits_per_byte(self.model, self.tokenizer, heldout)
            print(json.dumps({"step": self.progress.step, "bits_per_byte": scores}), file=log, flush=True)
        print(f"\nbits per byte {scores}", file=sys.stderr)
        save_model(self.model, self.tokenizer, self.args.out / "model")

    def save(self) -> None:
        save_checkpoint(self.checkpoint, self.model, self.tokenizer, self.optimizers, self.progress)


@torch.no_grad()
def bits_per_byte(
    model: GPT, tokenizer: Tokenizer, documents: Sequence[Prose], characters: int = 60_000
) -> dict[str, float]:
    """Causal cross-entropy of held-out text in bits per UTF-8 byte, by language: comparable across vocabularies."""
    device = model.embedding.weight.device
    scores = {}
    for language in ("en", "zh"):
        nats = used = 0.0
        taken = 0
        for document in documents:
            if document.language != language or taken >= characters:
                continue
            text = document.text[:2000]
            ids = torch.tensor([[tokenizer.bos, *tokenizer.encode(text)][: model.config.context]], device=device)
            logits = model.logits(ids[:, :-1])
            nats += float(F.cross_entropy(logits[0], ids[0, 1:], reduction="sum"))
            used += sum(len(tokenizer.token_bytes(int(token))) for token in ids[0, 1:])
            taken += len(text)
        if used:
            scores[language] = round(nats / math.log(2) / used, 4)
    return scores


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
    if args.stage == "tune":
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
    model = GPT(config)
    model.init_weights(torch.Generator().manual_seed(args.seed))
    return model, tokenizer


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        if args.stage == "tokenizer":
            learn_tokenizer(args)
            return 0
        if args.threads:
            torch.set_num_threads(args.threads)
        model, tokenizer = prepare(args)
        prose = read_prose(args.prose, args.every)
        questions: list[QuestionSet] = [read_questions(path) for path in args.questions]
        weights = dict(MIXTURES[args.stage])
        if not questions:
            weights["questions"] = 0.0
        if not prose:
            weights["prose"] = weights["cloze"] = 0.0
        if not any(weights.values()):
            raise ValueError("there is nothing to train on; give --prose shards or --questions files, or both")
        mixture = Mixture(
            tokenizer, prose, questions, weights=weights, unanswerable=args.unanswerable, seed=args.seed
        )
        trainer = Trainer(args, model, tokenizer, mixture)
        found = find_checkpoint(trainer.checkpoint)
        if found and args.resume:
            trainer.progress = load_checkpoint(found, trainer.model, trainer.optimizers)
            trainer.scorer.refresh()
        elif found:
            raise ValueError(f"{args.out} already holds a run; give --resume to go on with it, or another --out")
        with trainer.rows:
            trainer.run(read_prose(args.heldout))
    except (ValueError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; go on from the last checkpoint with --resume", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
