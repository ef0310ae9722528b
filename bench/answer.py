"""From question to complete cited answer with the bundled GPT: the whole chain over a store of the manual, k = 5.

Searching, reading five passages, choosing, verifying: all that `python -m rag ask` does once it is loaded. The
questions are those headings of the manual that ask something and whose passages come nearest to 1,000 tokens of
prompts; each is asked once a round. Prints one JSON line: p50 and p95 over all answers in milliseconds, medians of the
stages, and of the prompt tokens.

    python bench/answer.py [--rounds 3] [--questions 40] [--tokens 1000] [--threads 2] [--model bundled]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from gpt.load import BUNDLED  # noqa: E402
from gpt.tokenizer import Tokenizer  # noqa: E402
from ingest.pipeline import ingest  # noqa: E402
from rag.chain import AnswerChain, build_chain  # noqa: E402

ASKING = re.compile(r"^## ((?:How|What|Which|Why|Where|When)\b.+)$", re.MULTILINE)


def questions() -> list[str]:
    """Headings of the English manual that are questions."""
    pages = sorted((ROOT / "docs" / "en").glob("*.md"))
    return [f"{heading}?" for page in pages for heading in ASKING.findall(page.read_text(encoding="utf-8"))]


def prompt_tokens(chain: AnswerChain, question: str, tokenizer: Tokenizer) -> int:
    """What the reader reads for a question: the tokens of its passages, and for each the question and four specials."""
    found = chain.retriever.invoke(question)
    asked = len(tokenizer.encode(question)) + 4
    return sum(len(tokenizer.encode(document.page_content)) + asked for document in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--tokens", type=int, default=1000, help="questions whose prompts come nearest to this size")
    args = parser.parse_args()
    os.environ["OPENBOOK_THREADS"] = str(args.threads)  # instead of the probe when the model is loaded
    with tempfile.TemporaryDirectory(prefix="openbook-answer-") as scratch:
        ingest([ROOT / "docs" / "en"], Path(scratch) / "store")
        chain = build_chain(Path(scratch) / "store", args.model, k=5)
        tokenizer = Tokenizer.load(BUNDLED)
        sizes = {question: prompt_tokens(chain, question, tokenizer) for question in questions()}
        asked = sorted(sizes, key=lambda question: abs(sizes[question] - args.tokens))[: args.questions]
        for question in asked[:5]:  # not counted
            chain.invoke(question)
        taken: list[float] = []
        stages: dict[str, list[float]] = {}
        for _ in range(args.rounds):
            for question in asked:
                began = time.perf_counter()
                answer = chain.invoke(question)
                taken.append(1000 * (time.perf_counter() - began))
                for stage, seconds in answer.timings.items():
                    stages.setdefault(stage, []).append(1000 * seconds)
        chain.close()
    cuts = statistics.quantiles(taken, n=20, method="inclusive")
    result = {
        "bench": "answer",
        "p50_milliseconds": round(statistics.median(taken), 1),
        "p95_milliseconds": round(cuts[-1], 1),
        "prompt_tokens": round(statistics.median(sizes[question] for question in asked)),
        "stages": {stage: round(statistics.median(values), 1) for stage, values in stages.items()},
        "k": 5,
        "questions": len(asked),
        "rounds": args.rounds,
        "model": args.model,
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
