"""One training run: steps, checkpoints, held-out scores, and the finished model.

Every position of every row is predicted at once (teacher forcing), the loss is the cross-entropy of the right next
token, and backpropagation gives each weight its share. A run can be killed at any moment: it goes on from its last
checkpoint and draws the same rows as if nothing had happened.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gpt.model import GPT
from gpt.tokenizer import Tokenizer
from gpt.training.average import Average
from gpt.training.checkpoint import Progress, find_checkpoint, load_checkpoint, save_checkpoint, save_model
from gpt.training.examples import Mixture, Row, micro_batches
from gpt.training.heldout import Heldout, objective
from gpt.training.losses import Counts, Learner, Supervised, make_scorer
from gpt.training.optim import make_optimizers
from gpt.training.prefetch import Prefetch
from gpt.training.processes import Processes
from gpt.training.report import Report
from gpt.training.reward import Rewarded
from gpt.training.schedule import Schedule

KINDS_OF_LOSS = ("prose", "start", "stop", "reward")


@contextmanager
def without_denormals() -> Iterator[None]:
    """Numbers next to zero count as zero meanwhile: a CPU takes many times as long for a product of them, and
    gradients of probabilities are full of them."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


class Trainer:
    """Model, optimisers, rows and schedule of a run in ``args.out`` (``arguments.py`` says what args hold)."""

    def __init__(
        self,
        args: argparse.Namespace,
        model: GPT,
        tokenizer: Tokenizer,
        mixture: Mixture,
        processes: Processes | None = None,
    ) -> None:
        self.args, self.tokenizer, self.processes = args, tokenizer, processes or Processes()
        self.rows = Prefetch(lambda step: mixture.batch(step, args.rows * args.accumulate), background=args.prefetch)
        self.model = model.to(args.device).train()
        self.model.compute_dtype = torch.bfloat16 if args.dtype == "bf16" else torch.float32
        self.optimizers = make_optimizers(
            model, matrix_lr=args.matrix_lr, embedding_lr=args.embedding_lr, weight_decay=args.weight_decay
        )
        self.schedule = Schedule(args.minutes, args.steps, args.warm_down)
        self.progress = Progress()
        self.checkpoint = args.out / "checkpoint"
        if self.processes.writes:
            args.out.mkdir(parents=True, exist_ok=True)
        found = find_checkpoint(self.checkpoint)
        if found and not args.resume:
            raise ValueError(f"{args.out} already holds a run; give --resume to go on with it, or another --out")
        if found:
            self.progress = load_checkpoint(found, self.model, self.optimizers)
        self.average = Average(self.model, args.ema) if args.ema else None
        if found and self.average is not None:
            self.average.load(found)
        self.scorer = make_scorer(self.model, compiled=args.compile)
        self.learner: Learner = Supervised(self.scorer, tokenizer)
        if args.stage == "reward":
            self.learner = Rewarded(self.scorer, tokenizer, starts=args.starts, supervised=args.supervised)

    def step(self) -> dict[str, float]:
        """One update; returns the mean losses over the rows of all processes, by kind."""
        started, done = time.monotonic(), self.schedule.done(self.progress)
        rows = self.rows(self.progress.step)
        counts = Counts.of(rows)
        sums = dict.fromkeys(KINDS_OF_LOSS, 0.0)
        for batch in micro_batches(self.share(rows), self.tokenizer.pad, self.args.micro_tokens, self.args.device):
            for kind, value in self.learner.backward(batch, counts).items():
                sums[kind] += value
        self.processes.add_gradients(self.model)
        total = self.processes.add(list(sums.values()), self.model.device)
        if not all(math.isfinite(value) for value in total):
            raise FloatingPointError(
                f"the loss is not finite at step {self.progress.step}; the last checkpoint is intact: "
                "resume with a lower --matrix-lr"
            )
        rate = self.schedule.rate(self.progress)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
        self.scorer.refresh()
        # All processes go by the first one's clock, so that they agree on the rate and on when the run is over.
        seconds = time.monotonic() - started if self.processes.writes else 0.0
        self.progress.seconds += self.processes.add([seconds], self.model.device)[0]
        self.progress.step += 1
        self.progress.tokens += sum(len(row.ids) for row in rows)
        if self.average is not None:
            self.average.update(self.model, self.schedule.done(self.progress) - done)
        return {k: v for k, v in zip(sums, total, strict=True) if k in self.learner.kinds and counts.has(k)}

    def share(self, rows: list[Row]) -> list[Row]:
        """This process's part of a step's rows: every n-th by length, so that all have about the same to do."""
        return sorted(rows, key=lambda row: len(row.ids))[self.processes.rank :: self.processes.count]

    def run(self, heldout: Heldout) -> None:
        """Train to the end, checkpointing every ``--checkpoint-seconds``; then write the finished model."""
        saved = time.monotonic()
        report = Report(self.args.out, self.schedule, self.progress, writes=self.processes.writes)
        with without_denormals(), report, self.rows:
            while self.schedule.done(self.progress) < 1:
                report.take(self.step())
                if self.progress.step % self.args.log_every == 0:
                    report.line()
                if self.args.eval_every and self.progress.step % self.args.eval_every == 0:
                    self.evaluate(report, heldout)
                if time.monotonic() - saved > self.args.checkpoint_seconds:
                    self.save()
                    report.draw()
                    saved = time.monotonic()
            self.save()
            self.finish(report, heldout)
            report.draw()

    def evaluate(self, report: Report, heldout: Heldout) -> dict[str, dict[str, float]]:
        """Held-out scores of the weights as they are, logged; none in the processes that only compute."""
        if not (self.processes.writes and heldout):
            return {}
        scores = heldout.scores(self.model, self.tokenizer)
        report.write({"step": self.progress.step, "tokens": self.progress.tokens, "scores": scores})
        report.say(f"held out at step {self.progress.step}: {scores}")
        return scores

    def finish(self, report: Report, heldout: Heldout) -> None:
        """Write the model: the last weights or their average, by ``--keep``."""
        if not self.processes.writes:
            return
        last = self.evaluate(report, heldout)
        if self.average is None or self.args.keep == "last":
            save_model(self.model, self.tokenizer, self.args.out / "model")
            return
        with self.average.applied(self.model):
            averaged = self.evaluate(report, heldout)
            keep = self.args.keep == "average" or not last or objective(averaged) <= objective(last)
            if keep:
                save_model(self.model, self.tokenizer, self.args.out / "model")
        if not keep:
            save_model(self.model, self.tokenizer, self.args.out / "model")
        kept = "average" if keep else "last"
        report.write({"step": self.progress.step, "kept": kept})
        report.say(f"kept: the {kept} weights")

    def save(self) -> None:
        if self.processes.writes:
            save_checkpoint(
                self.checkpoint, self.model, self.tokenizer, self.optimizers, self.progress, self.average
            )
