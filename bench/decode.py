"""Tokens a second on a CPU: ``Engine.generate`` against transformers' ``generate``, greedy, on the GPT-2 124M shape.

Both get the same random weights; nothing is downloaded. So that the right answer is known and a copy can be real, the
unembedding is a matrix of its own whose row s(t) is the embedding of t, for a random permutation s: the model follows
every token t with s(t), whatever its random blocks add. Its products per token are GPT-2's. Every contender must
write the same 64 tokens, or the program ends with an error.

- free: 16 or 512 random prompt tokens. Nothing in the text repeats; ours runs without lookup.
- quote: 512 tokens in which the 64 of the answer stand, after the two that also end the prompt, as a question repeats
  words of a passage. Ours runs with lookup, as by default; transformers plain and with ``prompt_lookup_num_tokens``.

Every round has new prompts, the same for all, and goes through all contenders; medians of the rounds, prompt reading
included. Every contender has the number of threads that a probe found best for it. Prints one JSON line.

    python bench/decode.py [--rounds 5] [--threads N]
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from gpt.engine import Engine  # noqa: E402
from gpt.glass.presets import GPT2  # noqa: E402
from gpt.kernels.packed import pack  # noqa: E402
from gpt.kernels.threads import candidates, physical_cores  # noqa: E402
from gpt.model import GPT  # noqa: E402

NEW = 64
VOCABULARY = 50_257
SHAPE = replace(
    GPT2, layers=12, width=768, heads=12, kv_heads=12, hidden=3072, vocab_size=VOCABULARY, context=1024, tied=False
)
Generate = Callable[[list[int], int], list[int]]


class Ids:
    """A tokenizer for a model whose tokens stand for no text."""

    vocab_size, end_ids = VOCABULARY, frozenset[int]()

    def token_bytes(self, token: int) -> bytes:
        return b""


@dataclass
class Contender:
    """One way to generate; ``seconds`` by case, one entry a round."""

    name: str
    generate: Generate
    cases: Sequence[str]
    megabytes: int
    threads: int = 1
    seconds: dict[str, list[float]] = field(default_factory=dict)


def theirs(successor: torch.Tensor) -> GPT2LMHeadModel:
    """transformers' GPT-2 at 124M with random weights that writes s(t) after t."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(tie_word_embeddings=False)).eval().requires_grad_(False)
    table = model.transformer.wte.weight
    table.normal_()
    head = torch.empty_like(table)
    head[successor] = table
    model.lm_head.weight = torch.nn.Parameter(head, requires_grad=False)
    return model


def ours(model: GPT2LMHeadModel, weights: str) -> GPT:
    """The same weights in our decoder, packed as ``weights``."""
    gpt = GPT(SHAPE).requires_grad_(False).eval()
    state = model.state_dict()
    named = {"embedding.": "transformer.wte.", "positions.": "transformer.wpe.", "final_norm.": "transformer.ln_f."}
    wanted = {"unembedding.weight": state["lm_head.weight"]}
    for mine, its in named.items():
        wanted |= {mine + part: state[its + part] for part in ("weight", "bias") if its + part in state}
    for layer in range(SHAPE.layers):
        mine, its = f"blocks.{layer}.", f"transformer.h.{layer}."
        for part in ("weight", "bias"):  # GPT-2 keeps its matrices turned
            columns = state[f"{its}attn.c_attn.{part}"].chunk(3, dim=-1)
            for name, column in zip(("query", "key", "value"), columns, strict=True):
                wanted[f"{mine}attention.{name}.{part}"] = column.t()
            for name, other in (
                ("attention.output", "attn.c_proj"), ("mlp.up", "mlp.c_fc"), ("mlp.down", "mlp.c_proj")
            ):  # fmt: skip
                wanted[f"{mine}{name}.{part}"] = state[f"{its}{other}.{part}"].t()
            wanted[f"{mine}attention_norm.{part}"] = state[f"{its}ln_1.{part}"]
            wanted[f"{mine}mlp_norm.{part}"] = state[f"{its}ln_2.{part}"]
    gpt.load_state_dict(wanted)
    if weights != "fp32":
        gpt.to(torch.bfloat16)
        gpt.compute_dtype = torch.bfloat16
    return pack(gpt, weights)


def engine_generate(model: GPT, *, lookup: bool) -> Generate:
    engine = Engine(model, Ids())  # type: ignore[arg-type]

    def generate(ids: list[int], tokens: int) -> list[int]:
        return [step.id for step in engine.generate(ids, max_new_tokens=tokens, lookup=lookup)]

    return generate


def their_generate(model: GPT2LMHeadModel, **options: Any) -> Generate:
    def generate(ids: list[int], tokens: int) -> list[int]:
        prompt = torch.tensor([ids])
        with torch.inference_mode():
            out = model.generate(
                prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=tokens, do_sample=False, use_cache=True,
                pad_token_id=0, eos_token_id=None, **options,
            )  # fmt: skip
        return [int(token) for token in out[0, len(ids) :]]

    return generate


def follow(successor: list[int], token: int, count: int) -> list[int]:
    out = []
    for _ in range(count):
        token = successor[token]
        out.append(token)
    return out


def prompts(successor: list[int], rng: random.Random) -> dict[str, list[int]]:
    """One prompt for each case."""
    free = [rng.randrange(VOCABULARY) for _ in range(512)]
    passage = follow(successor, rng.randrange(VOCABULARY), NEW + 2)
    at = rng.randrange(100, 300)
    quote = [*free[:at], *passage, *free[at : 512 - NEW - 4], *passage[:2]]
    return {"free 16": free[:16], "free 512": free, "quote 512": quote}


def best_threads(generate: Generate, prompt: list[int]) -> int:
    """The number of threads that writes twelve tokens soonest, of three tries."""
    taken: dict[int, float] = {}
    for _ in range(3):
        for count in candidates(physical_cores()):
            torch.set_num_threads(count)
            started = time.perf_counter()
            generate(prompt, 12)
            taken[count] = min(taken.get(count, 1e9), time.perf_counter() - started)
    return min(taken, key=lambda count: taken[count])


def resident() -> int:
    """Megabytes of this process in memory, what the allocator keeps for later not counted where it can be told to."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() >> 20


def contenders(successor: torch.Tensor) -> list[Contender]:
    everything, free = ("free 16", "free 512", "quote 512"), ("free 16", "free 512")
    found: list[Contender] = []
    start = resident()
    source = theirs(successor)
    size = resident() - start
    found.append(Contender("transformers fp32", their_generate(source), everything, size))
    start = resident()
    half = theirs(successor).to(torch.bfloat16)
    size = resident() - start
    found.append(Contender("transformers bf16", their_generate(half), everything, size))
    looked = their_generate(half, prompt_lookup_num_tokens=10)
    found.append(Contender("transformers bf16 lookup", looked, ("quote 512",), size))
    for weights in ("fp32", "bf16", "int8", "int4"):
        start = resident()
        model = ours(source, weights)
        size = resident() - start
        found.append(Contender(f"ours {weights}", engine_generate(model, lookup=False), free, size))
        found.append(Contender(f"ours {weights} lookup", engine_generate(model, lookup=True), ("quote 512",), size))
    return found


def measure(found: list[Contender], successor: list[int], rounds: int) -> None:
    for number in range(rounds + 1):  # the first warms up and is not counted
        for case, prompt in prompts(successor, random.Random(number)).items():
            wanted = follow(successor, prompt[-1], NEW)
            for one in found:
                if case not in one.cases:
                    continue
                torch.set_num_threads(one.threads)
                started = time.perf_counter()
                got = one.generate(prompt, NEW)
                seconds = time.perf_counter() - started
                if got != wanted:
                    sys.exit(f"{one.name} did not write the expected tokens in {case}")
                if number:
                    one.seconds.setdefault(case, []).append(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="for all, instead of the best found for each")
    args = parser.parse_args()
    successor = torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(0))
    found = contenders(successor)
    probe = prompts(successor.tolist(), random.Random(-1))["free 16"]
    for one in found:
        one.threads = args.threads or best_threads(one.generate, probe)
    measure(found, successor.tolist(), args.rounds)
    medians = {one.name: {case: statistics.median(s) for case, s in one.seconds.items()} for one in found}
    peer = medians["transformers bf16"]
    result: dict[str, Any] = {
        "bench": "decode",
        "shape": "GPT-2 124M, unembedding of its own",
        "new_tokens": NEW,
        "rounds": args.rounds,
        "tokens_per_second": {name: {c: round(NEW / s, 1) for c, s in by.items()} for name, by in medians.items()},
        "milliseconds": {name: {c: round(1000 * s, 1) for c, s in by.items()} for name, by in medians.items()},
        "times_transformers_bf16": {
            name: {c: round(peer[c] / s, 2) for c, s in by.items()} for name, by in medians.items()
        },
        "threads": {one.name: one.threads for one in found},
        "megabytes": {one.name: one.megabytes for one in found},
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }
    faster = result["times_transformers_bf16"]
    result["meets"] = {
        "int4 free >= 3": min(faster["ours int4"].values()) >= 3,
        "bf16 free >= 1.4": min(faster["ours bf16"].values()) >= 1.4,
        "quote >= 6": faster["ours int4 lookup"]["quote 512"] >= 6,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
