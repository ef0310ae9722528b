"""Are quotations verbatim? Random questions over random passages, through every way of this project to quote.

Passages mix English, Chinese, other scripts, emoji, combining marks, line ends of every kind, zero-width characters,
names of special tokens and characters that take several tokens. A decode is one quotation chosen: the reader's best, a
draw among its spans at some temperature, a run generated token by token under ``SpanConstraint``, the best of
``gpt.decoding.spans.Quoter``, or an answer of the chain. Every span of a reading is checked, not the best alone.

A quotation holds when ``passage[start:end]`` says what its tokens say, byte for byte, but for white space at its ends
and the rest of a character that a token cuts; the chain's hold when the stored text has the very words at their place.
Prints one JSON line; the exit code is 1 unless every quotation holds, and the line names the seeds that fail.

    python bench/verbatim.py [--decodes 100000] [--bundled 0.05] [--chain 300] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from gpt.config import GPTConfig  # noqa: E402
from gpt.constrain import SpanConstraint  # noqa: E402
from gpt.decoding.spans import Quoter  # noqa: E402
from gpt.engine import Engine  # noqa: E402
from gpt.grounding import ANSWER_TOKENS, PASSAGE_TOKENS, prompt_ids  # noqa: E402
from gpt.interfaces import TextTokenizer  # noqa: E402
from gpt.model import GPT  # noqa: E402
from gpt.reader import Reader  # noqa: E402
from gpt.sampling import SamplingParams  # noqa: E402
from gpt.tokenizer import Tokenizer  # noqa: E402

PIECES: dict[str, Sequence[str]] = {
    "english": "The lighthouse of Skerry was built in 1871 by Thomas Arden, it's 32.5 m tall; isn't it? (yes)".split(),
    "chinese": "灯塔 建于 1871年 由 工程师 托马斯· 设计 。 它 高 三十二米 ， 至今 仍在 使用 “引文” 龍 門".split(),
    "mixed": "GPT模型 用Python写 3月5日 A股 Zürich市 «Ωμέγα» привет שלום مرحبا こんにちは 안녕 ไทย हिन्दी".split(),
    "emoji": "😀 👩‍👩‍👧‍👦 🇨🇳 👍🏽 ❤️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣ ☕︎ 🧑🏿‍🚀".split(),
    "combining": ["e\u0301", "n\u0303o", "Z\u0351\u036b\u0343", "क्षि", "ا\u064e\u0651", "g\u0308", "\u0301"],
    "ends": ["\r\n", "\n", "\r", "\n\n", "\t", "  ", "\u00a0", "\u3000", "\u2028", "\x0b", "\x85", " \r\n "],
    "zero": ["\u200b", "\u200d", "\u200c", "\ufeff", "\u2060", "\u00ad", "\u202e", "a\u200bb", "汉\u200b字"],
    "rare": ["𠮷", "龘", "𝔘𝔫𝔦", "𐌰", "\ue000", "\x00", "\x1b", "\uffff", "\U0010ffff", "ﬁ", "㍿", "ǆ", "ꙮ"],
    "names": ["<answer>", "<end>", "<none>", "<|endoftext|>", "[1]", "{x}", "</s>", "\\n", "<pad>", "Ġ"],
}  # fmt: skip
TEMPERATURES = (0.0, 0.3, 0.7, 1.0, 1.5, 2.0)
PLAIN = {"kinds": 0, "prefix_lm": False}


def random_text(rng: random.Random, most: int) -> str:
    """Up to ``most`` pieces of one kind to four, with spaces between them or not."""
    kinds = rng.sample(sorted(PIECES), rng.randint(1, 4))
    joint = rng.choice(["", " ", " ", "\n"])
    return joint.join(rng.choice(PIECES[rng.choice(kinds)]) for _ in range(rng.randint(1, most)))


def tiny_engine(seed: int, **shape: object) -> Engine:
    """A random model whose tokenizer knows so few merges that most characters take several tokens."""
    tokenizer = Tokenizer.train([" ".join(PIECES["english"]), "".join(PIECES["chinese"])] * 4, 360)
    sizes = {"context": 2048, "layers": 1, "heads": 2, "kv_heads": 1, "width": 32, "hidden": 32, **shape}
    model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, **sizes))  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=parameter.shape[1] ** -0.5 if parameter.dim() > 1 else 1.0, generator=generator)
    return Engine(model.requires_grad_(False), tokenizer)


def holds(tokenizer: TextTokenizer, passage: str, start: int, end: int, tokens: Sequence[int]) -> bool:
    """Whether the run says what its tokens say."""
    if not 0 <= start < end <= len(passage):
        return False
    raw = b"".join(tokenizer.token_bytes(token) for token in tokens).decode("utf-8", "surrogateescape").strip()
    said, quote = raw.encode("utf-8", "surrogateescape"), passage[start:end]
    if said == quote.strip().encode():
        return True
    if not any("\udc80" <= c <= "\udcff" for c in raw[:3] + raw[-3:]):  # no character is cut
        return False
    whole = quote.encode()
    before = whole.find(said)
    # What the quotation has beyond its tokens: less than a character at each end, white space aside.
    ends = whole[:before], whole[before + len(said) :]
    return before >= 0 and not any(end.decode("utf-8", "ignore").strip() for end in ends)


@dataclass
class Tally:
    """How many decodes there were by mode, how many quotations were checked, and which seeds went wrong."""

    decodes: Counter[str] = field(default_factory=Counter)
    checked: int = 0
    right: int = 0
    wrong: list[str] = field(default_factory=list)

    def check(self, right: bool, where: str) -> None:
        self.checked += 1
        self.right += right
        if not right:
            self.wrong.append(where)

    @property
    def total(self) -> int:
        return sum(self.decodes.values())


class Fuzz:
    """One model: ``reader`` where it reads as ours do, and ``quoter`` as any family does."""

    def __init__(self, name: str, reader: Reader, plain: Engine, tally: Tally) -> None:
        self.name, self.reader, self.quoter, self.tally = name, reader, Quoter(plain), tally

    def round(self, seed: str) -> None:
        """About 16 decodes over up to four passages, a few of them longer than what is read at once."""
        rng, where = random.Random(seed), f"{self.name} {seed}"
        passages = [random_text(rng, 24 if rng.random() < 0.97 else 200) for _ in range(rng.randint(1, 4))]
        question = rng.choice([random_text(rng, 8), passages[0][: rng.randint(1, 30)]])
        self._read(rng, question, passages, where)
        self._generate(rng, question, rng.sample(passages, min(2, len(passages))), where)
        self._quote(rng, question, rng.sample(passages, min(3, len(passages))), where)

    def _read(self, rng: random.Random, question: str, passages: list[str], where: str) -> None:
        reading = self.reader.read(question, passages)
        self.tally.decodes["read"] += bool(reading.spans)
        for span in reading.spans:
            tokens = [token for token, _ in span.tokens]
            right = holds(self.reader.tokenizer, passages[span.passage], span.start, span.end, tokens)
            self.tally.check(right, f"read {where}")
        known = set(reading.spans)
        for temperature in TEMPERATURES * 2:
            params = SamplingParams(
                temperature=temperature, top_p=rng.choice([None, 0.5, 0.95]), seed=rng.randrange(10**6)
            )
            chosen = self.reader.choose(reading, params)
            if chosen is not None:
                self.tally.decodes["choose"] += 1
                self.tally.check(chosen in known, f"choose {where}")

    def _generate(self, rng: random.Random, question: str, passages: list[str], where: str) -> None:
        engine, tokenizer = self.reader.engine, self.reader.tokenizer
        encoded = [tokenizer.encode_spans(passage) for passage in passages]
        asked = prompt_ids(tokenizer, tokenizer.encode(question), encoded[0].ids[:PASSAGE_TOKENS])
        for _ in range(2):
            constraint = SpanConstraint(
                [e.ids for e in encoded], stop=[tokenizer.end], instead=[tokenizer.none], max_tokens=ANSWER_TOKENS
            )
            options = {"temperature": rng.choice(TEMPERATURES), "top_p": rng.choice([None, 0.9]), "seed": 1}
            options |= {"top_k": rng.choice([None, 20]), "lookup": rng.random() < 0.5}
            said = [s.id for s in engine.generate(asked, allowed=constraint, max_new_tokens=ANSWER_TOKENS, **options)]
            if not constraint.tokens:
                continue
            self.tally.decodes["generate"] += 1
            # What was said is the constraint's run, an end aside, and the run stands wherever the constraint says.
            self.tally.check(said[: len(constraint.tokens)] == constraint.tokens, f"generate {where}")
            for number, first, last in constraint.spans()[:20]:
                spans = encoded[number].spans
                start, end = spans[first][0], spans[last - 1][1]
                blank = not passages[number][start:end].strip()  # white space alone is a run too
                right = blank or holds(tokenizer, passages[number], start, end, constraint.tokens)
                self.tally.check(right, f"generate {where}")

    def _quote(self, rng: random.Random, question: str, passages: list[str], where: str) -> None:
        engine = self.quoter.engine
        prompt = engine.prompt("\n".join([*passages, question, "Answer:"]))
        if len(prompt) > engine.model.config.context - 64:
            return
        quotations = self.quoter.read(prompt, passages)
        self.tally.decodes["quoter"] += bool(quotations.spans)
        for span in quotations.spans:
            tokens = [token for token, _ in span.tokens]
            right = holds(engine.tokenizer, passages[span.passage], span.start, span.end, tokens)
            self.tally.check(right, f"quoter {where}")


def fuzz(decodes: int, seed: int, bundled: float, tally: Tally) -> Iterator[int]:
    """Rounds until there are so many decodes, a share ``bundled`` of the rounds with the bundled model."""
    tiny = [
        Fuzz(f"tiny {n}", Reader(tiny_engine(n, prefix_lm=n == 0)), tiny_engine(n + 2, **PLAIN), tally)
        for n in range(2)
    ]
    own = Fuzz("bundled", Reader.load("bundled"), Engine.load("bundled"), tally) if bundled else None
    number = 0
    while tally.total < decodes:
        turn = own if own and random.Random(f"{seed}/{number}").random() < bundled else tiny[number % 2]
        turn.round(f"{seed}:{number}")
        number += 1
        yield number


def fuzz_chain(questions: int, seed: int, tally: Tally) -> None:
    """The whole chain in quote mode over a store of random files, at temperatures 0 to 2."""
    from ingest.pipeline import ingest
    from rag.chain import build_chain

    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="openbook-verbatim-") as scratch:
        files = Path(scratch) / "files"
        files.mkdir()
        texts = [" ".join(random_text(rng, 40) for _ in range(rng.randint(1, 12))) for _ in range(120)]
        for n, text in enumerate(texts):
            (files / f"{n}.txt").write_text(text, encoding="utf-8", newline="")
        ingest([files], Path(scratch) / "store")
        chain = build_chain(Path(scratch) / "store", "bundled")
        try:
            store = chain.retriever.searcher.store  # type: ignore[attr-defined]
            for number in range(questions):
                words = "".join(c for c in rng.choice(texts)[: rng.randint(5, 60)] if c.isprintable())
                answer = chain.invoke(
                    {"question": f"{words}?", "temperature": rng.choice(TEMPERATURES), "top_p": 0.9, "seed": number}
                )
                tally.decodes["chain"] += bool(answer.citations)
                for cited in answer.citations:
                    right = store.text(cited.doc_id)[cited.start : cited.end] == cited.quote
                    tally.check(right, f"chain {seed}:{number}")
        finally:
            chain.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--decodes", type=int, default=100_000)
    parser.add_argument("--bundled", type=float, default=0.05, help="share of the rounds with the bundled model")
    parser.add_argument("--chain", type=int, default=300, help="questions to the whole chain")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    tally, began = Tally(), time.perf_counter()
    if args.chain:
        fuzz_chain(args.chain, args.seed, tally)
    rounds = 0
    for rounds in fuzz(args.decodes, args.seed, args.bundled, tally):
        if rounds % 500 == 0:
            print(f"{tally.total:,} decodes, {tally.right:,} of {tally.checked:,} hold", file=sys.stderr, flush=True)
    result = {
        "bench": "verbatim",
        "verbatim_rate": tally.right / max(1, tally.checked),
        "decodes": tally.total,
        "by_mode": dict(tally.decodes),
        "quotations_checked": tally.checked,
        "wrong": sorted(set(tally.wrong))[:10],
        "rounds": rounds,
        "seed": args.seed,
        "seconds": round(time.perf_counter() - began, 1),
    }
    print(json.dumps(result))
    return int(tally.right != tally.checked)


if __name__ == "__main__":
    sys.exit(main())
