"""Training speed of the bundled shape: against the matrix products a CPU can do, and against transformers' Trainer.

Each round times, one after the other: a bf16 product of two 2048 x 2048 matrices; our trainer's whole step (drawing
rows, forward, backward, Muon and AdamW) on 32 rows of 256 tokens of the manual; the same on reading rows; and a
LlamaForCausalLM of the same sizes (RoPE, RMSNorm, SwiGLU, tied embedding) trained by transformers' Trainer in bf16
with its default optimiser (fused AdamW) on the same rows, 32 a step in ``--peer-passes`` passes. Its model lacks our
QK-norm and Muon, which cost us time and it none.

FLOPs are counted as 6 for each matrix weight a token goes through (the unembedding where the loss uses it, and the
copy head's key for reading rows) plus 12 x layers x width for each key that a token sees; nothing is counted for
norms, softmax, padding, the embedding's rows or the optimisers. One JSON line: medians of ``--rounds`` rounds.

    python bench/train.py [--threads 1] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from gpt.config import GPTConfig  # noqa: E402
from gpt.model import GPT  # noqa: E402
from gpt.tokenizer import Tokenizer  # noqa: E402
from gpt.training.arguments import parser  # noqa: E402
from gpt.training.corpus import Prose, language_of  # noqa: E402
from gpt.training.examples import Mixture, Row  # noqa: E402
from gpt.training.trainer import Trainer  # noqa: E402

ROWS, STEPS = 32, 2
SQUARE = 2048


def matmul_rate(clock: Callable[[], float]) -> float:
    """FLOP/s of the large product, best of three."""
    a, b = torch.randn(2, SQUARE, SQUARE).bfloat16().unbind()
    times = []
    for _ in range(4):  # the first warms up
        started = clock()
        a @ b
        times.append(clock() - started)
    return 2 * SQUARE**3 / min(times[1:])


def row_flops(config: GPTConfig, row: Row) -> float:
    """FLOPs of forward and backward of one row, counted as the module's docstring says."""
    tokens = len(row.ids) if row.prompt else len(row.ids) - 1
    blocks = config.layers * config.width * (4 * config.width + 3 * config.hidden)
    head = config.width * (config.width if row.prompt else config.vocab_size)
    seen = row.prompt * row.prompt + sum(range(row.prompt + 1, tokens + 1))  # a prompt is seen whole by each of it
    return 6 * (blocks + head) * tokens + 12 * config.layers * config.width * seen


class Ours:
    """Our trainer on rows of one kind."""

    def __init__(self, kind: str, documents: list[Prose], tokenizer: Tokenizer, threads: int, out: Path) -> None:
        options = ["--tokenizer", "-", "--out", str(out), "--rows", str(ROWS), "--steps", "1000000"]
        args = parser().parse_args(["train", *options, "--threads", str(threads), "--device", "cpu"])
        model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size))
        model.init_weights(torch.Generator().manual_seed(1))
        weights = {"prose": 0.0, "cloze": 0.0, kind: 1.0}
        self.mixture = Mixture(tokenizer, documents, [], weights=weights, unanswerable=0.25, seed=1)
        self.trainer = Trainer(args, model, tokenizer, self.mixture)

    def round(self, clock: Callable[[], float]) -> tuple[float, float]:
        """Tokens/s and FLOP/s over ``STEPS`` steps."""
        self.trainer.step()
        first = self.trainer.progress.step
        started = clock()
        for _ in range(STEPS):
            self.trainer.step()
        seconds = clock() - started
        rows = [row for step in range(first, first + STEPS) for row in self.mixture.batch(step, ROWS)]
        tokens = sum(len(row.ids) for row in rows)
        return tokens / seconds, sum(row_flops(self.trainer.model.config, row) for row in rows) / seconds


def peer(
    config: GPTConfig, rows: list[list[int]], passes: int, out: Path, clock: Callable[[], float]
) -> Callable[[], float]:
    """A function that trains for some steps with transformers' Trainer and gives tokens/s."""
    import transformers
    from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback, TrainingArguments

    transformers.logging.set_verbosity_error()
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.width,
            intermediate_size=config.hidden,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.kv_heads,
            max_position_embeddings=config.context,
            tie_word_embeddings=True,
        )
    )
    data = [{"input_ids": ids, "labels": ids} for ids in rows]
    tokens = sum(map(len, rows[:ROWS])) * STEPS

    class Ends(TrainerCallback):
        times: list[float]

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.times = []

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.times.append(clock())

    ends = Ends()
    options = TrainingArguments(
        output_dir=str(out),
        use_cpu=True,
        bf16=True,
        per_device_train_batch_size=ROWS // passes,
        gradient_accumulation_steps=passes,
        max_steps=1 + STEPS,
        learning_rate=3e-4,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )

    def train() -> float:
        transformers.Trainer(model=model, args=options, train_dataset=data, callbacks=[ends]).train()
        return tokens / (ends.times[-1] - ends.times[0])  # the first step warms up

    return train


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--peer-passes", type=int, default=1, help="passes the Trainer splits 32 rows into")
    arguments.add_argument(
        "--cpu-time", action="store_true", help="count this process's CPU seconds (one thread, on a busy machine)"
    )
    args = arguments.parse_args()
    clock = time.process_time if args.cpu_time else time.perf_counter
    torch.set_num_threads(args.threads)
    tokenizer = Tokenizer.load(ROOT / "gpt" / "weights" / "bundled")
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").rglob("*.md"))]
    documents = [Prose(text, language_of(text)) for text in texts]
    products, ours, flops, reading, reading_flops, theirs = ([] for _ in range(6))
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng():
        prose = Ours("prose", documents, tokenizer, args.threads, Path(folder) / "prose")
        cloze = Ours("cloze", documents, tokenizer, args.threads, Path(folder) / "cloze")
        rows = [row.ids for step in range(4) for row in prose.mixture.batch(step, ROWS)]
        train_peer = peer(prose.trainer.model.config, rows, args.peer_passes, Path(folder) / "peer", clock)
        with prose.trainer.rows, cloze.trainer.rows:
            for _ in range(args.rounds):
                products.append(matmul_rate(clock))
                for runner, speeds, rates in ((prose, ours, flops), (cloze, reading, reading_flops)):
                    speed, rate = runner.round(clock)
                    speeds.append(speed)
                    rates.append(rate)
                theirs.append(train_peer())
    median = statistics.median
    result = {
        "threads": args.threads,
        "clock": "cpu" if args.cpu_time else "wall",
        "rounds": args.rounds,
        "matmul_gflops": round(median(products) / 1e9),
        "prose_tokens_per_second": round(median(ours)),
        "prose_share_of_matmul": round(median(f / p for f, p in zip(flops, products, strict=True)), 3),
        "reading_tokens_per_second": round(median(reading)),
        "reading_share_of_matmul": round(median(f / p for f, p in zip(reading_flops, products, strict=True)), 3),
        "transformers_tokens_per_second": round(median(theirs)),
        "times_transformers": round(median(o / t for o, t in zip(ours, theirs, strict=True)), 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
