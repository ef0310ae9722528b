"""From question to complete cited answer with the bundled GPT: the whole chain over a store of the manual, k = 5.

Searching, reading five passages, choosing, verifying: all that `python -m rag ask` does once it is loaded. The
questions are the headings of the manual that ask something, each asked once a round; the passages of a question come
to about 1,000 tokens of prompts. Prints one JSON line: p50 and p95 over all answers in milliseconds, medians of the
stages, and of the prompt tokens.

    python bench/answer.py [--rounds 3] [--questions 40] [--threads 2] [--model bundled]
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

from gpt.reader import Reader  # noqa: E402
from ingest.pipeline import ingest  # noqa: E402
from rag.chain import AnswerChain, build_chain  # noqa: E402
from rag.reading import GPTReader  # noqa: E402
from rag.types import Answer  # noqa: E402

ASKING = re.compile(r"^## ((?:How|What|Which|Why|Where|When)\b.+)$", re.MULTILINE)


def questions(count: int) -> list[str]:
    """Headings of the English manual that are questions, evenly spread over its pages."""
    found = [
        heading
        for page in sorted((ROOT / "docs" / "en").glob("*.md"))
        for heading in ASKING.findall(page.read_text(encoding="utf-8"))
    ]
    return [f"{found[i * len(found) // count]}?" for i in range(min(count, len(found)))]


def prompt_tokens(chain: AnswerChain, answer: Answer) -> int:
    """The tokens that the reader read for an answer; 0 for a model that is no reader of ours."""
    reader = chain.model.reader
    if not isinstance(reader, GPTReader) or not isinstance(reader.reader, Reader):
        return 0
    return reader.reader.read(answer.rewritten, [source.text for source in answer.sources]).prompt_tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", default="bundled")
    args = parser.parse_args()
    os.environ["OPENBOOK_THREADS"] = str(args.threads)  # instead of the probe when the model is loaded
    with tempfile.TemporaryDirectory(prefix="openbook-answer-") as scratch:
        ingest([ROOT / "docs" / "en"], Path(scratch) / "store")
        chain = build_chain(Path(scratch) / "store", args.model, k=5)
        asked = questions(args.questions)
        tokens = [prompt_tokens(chain, chain.invoke(question)) for question in asked]  # warms up, not counted
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
        "prompt_tokens": round(statistics.median(tokens)),
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
