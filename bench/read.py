"""From question to scored quotation with the bundled GPT: two passes against token-by-token constrained decoding.

Both answer the same questions over the same five passages (about 1,000 prompt tokens in all) in one run; the peer is
``Engine.generate`` with ``SpanConstraint``, reading one passage at a time as a decoder without a tree pass has to.
Prints one JSON line: medians of ``--rounds`` rounds in milliseconds, and peer / ours.

    python bench/read.py [--rounds 7]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from gpt import Engine, Reader  # noqa: E402
from gpt.constrain import SpanConstraint  # noqa: E402
from gpt.grounding import ANSWER_TOKENS, prompt_ids  # noqa: E402

QUESTION = "What does temperature 0 do?"


def passages(engine: Engine, tokens: int = 200, count: int = 5) -> list[str]:
    """``count`` stretches of the manual of about ``tokens`` tokens each."""
    text = "\n\n".join(p.read_text(encoding="utf-8") for p in sorted((ROOT / "docs" / "en").glob("*.md")))
    spans = engine.tokenizer.encode_spans(text).spans
    step = len(spans) // count
    return [text[spans[i * step][0] : spans[i * step + tokens - 1][1]] for i in range(count)]


def token_by_token(engine: Engine, question: str, texts: list[str]) -> int:
    """The peer; returns the number of forward passes."""
    tokenizer, passes = engine.tokenizer, 0
    for text in texts:
        ids = tokenizer.encode(text)
        constraint = SpanConstraint([ids], stop=[tokenizer.end], instead=[tokenizer.none], max_tokens=ANSWER_TOKENS)
        prompt = prompt_ids(tokenizer, tokenizer.encode(question), ids)
        steps = engine.generate(prompt, max_new_tokens=ANSWER_TOKENS, allowed=constraint, lookup=False)
        passes += sum(1 for _ in steps)
    return passes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    reader = Reader.load("bundled")
    engine = reader.engine
    texts = passages(engine)
    ours: list[float] = []
    peer: list[float] = []
    for round_number in range(rounds + 1):  # the first warms caches up and is not counted
        started = time.perf_counter()
        reading = reader.read(QUESTION, texts)
        middle = time.perf_counter()
        passes = token_by_token(engine, QUESTION, texts)
        ended = time.perf_counter()
        if round_number:
            ours.append(1000 * (middle - started))
            peer.append(1000 * (ended - middle))
    result = {
        "bench": "read",
        "prompt_tokens": reading.prompt_tokens,
        "passes": reading.forward_passes,
        "peer_passes": passes,
        "milliseconds": round(statistics.median(ours), 1),
        "peer_milliseconds": round(statistics.median(peer), 1),
        "ratio": round(statistics.median(peer) / statistics.median(ours), 2),
        "rounds": rounds,
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
