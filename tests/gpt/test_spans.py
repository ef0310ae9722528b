"""Quotations by models of any family: verbatim always, and scored by the model itself."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gpt.constrain import SpanConstraint
from gpt.decoding import spans
from gpt.decoding.spans import Quoter, score
from gpt.engine import Engine
from gpt.hub.tokenizer import HubTokenizer
from gpt.interfaces import TextTokenizer
from gpt.model import GPT
from gpt.reader import Cancelled, inside_word
from gpt.tokenizer import Tokenizer
from tests.gpt.hub_models import CHATML, byte_level, llama2, save_tokenizer

LLAMA = {"kinds": 0, "prefix_lm": False, "embedding_norm": False, "norm_gain": True, "qk_norm": False, "tied": False}
GPT2 = {**LLAMA, "norm": "layer", "mlp": "gelu", "positions": "learned", "attention_bias": True, "mlp_bias": True}
PASSAGES = [
    "The quick brown fox jumps over the lazy dog. The cat sat on the mat.",
    "北京是中国的首都。 “Naïve” café 龘🙂, 12,345.67 francs…",
    "The cat sat on the dog.\nIt sat.",
]


@pytest.fixture(params=["ours", "byte-level", "SentencePiece"])
def any_tokenizer(request: pytest.FixtureRequest, tokenizer: Tokenizer, tmp_path: Path) -> TextTokenizer:
    if request.param == "ours":
        return tokenizer
    words = byte_level() if request.param == "byte-level" else llama2()
    save_tokenizer(tmp_path, words, eos_token="</s>" if request.param == "SentencePiece" else "<|im_end|>")
    return HubTokenizer.load(tmp_path, words.get_vocab_size() + 5)


@pytest.fixture
def make_engine(make_model: Callable[..., GPT]) -> Callable[..., Engine]:
    def make(tokenizer: TextTokenizer, *, seed: int = 0, **sizes: object) -> Engine:
        rows = tokenizer.vocab_size + (0 if isinstance(tokenizer, Tokenizer) else 5)
        return Engine(make_model(rows, seed=seed, **{"context": 512, "layers": 1, **LLAMA, **sizes}), tokenizer, block=16)

    return make


def ask(tokenizer: TextTokenizer, passages: list[str]) -> list[int]:
    return tokenizer.prompt("\n".join(["Read.", *passages, "Who sat?", "Answer:"]))


def plain_score(engine: Engine, prompt: list[int], run: list[int], stops: set[int]) -> list[float]:
    """The log-probability of every token of the run after the prompt, and of stopping: one forward pass, no cache."""
    with torch.inference_mode():
        rows = engine.model.unembed(engine.model(torch.tensor([[*prompt, *run]]))).log_softmax(-1)[0, len(prompt) - 1 :]
    return [*(float(rows[i, t]) for i, t in enumerate(run)), float(rows[-1, sorted(stops)].logsumexp(-1))]


@pytest.mark.parametrize("sizes", [LLAMA, GPT2], ids=["Llama", "GPT-2"])
@pytest.mark.parametrize("nodes", [spans.NODES, 64], ids=["two passes", "three passes"])
def test_scores_are_the_models_own(
    sizes: dict[str, object],
    nodes: int,
    any_tokenizer: TextTokenizer,
    make_engine: Callable[..., Engine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spans, "NODES", nodes)
    engine = make_engine(any_tokenizer, **sizes)
    quoter, prompt = Quoter(engine), ask(any_tokenizer, PASSAGES[:2])
    found = quoter.read(prompt, PASSAGES[:2], starts=2)
    assert found.spans and found.prompt_tokens == len(prompt)
    for span in [*found.spans[:6], *found.spans[-6:]]:
        run = [token for token, _ in span.tokens]
        want = plain_score(engine, prompt, run, quoter.stops)
        assert [p for _, p in span.tokens] == pytest.approx(want[:-1], abs=2e-4)
        assert span.logprob == pytest.approx(sum(want), abs=1e-3)
    assert [score(s) for s in found.spans] == sorted((score(s) for s in found.spans), reverse=True)


def test_fuzz_every_quotation_is_a_slice_of_its_passage_and_its_tokens_stand_in_the_prompt(
    any_tokenizer: TextTokenizer, make_engine: Callable[..., Engine]
) -> None:
    rng, pieces = random.Random(7), [*"The cat sat naïve 北京 龘🙂 12.5 “a” . , on it \t ".split(" "), "\n", "  "]
    number = 0
    for seed in range(12):
        quoter = Quoter(make_engine(any_tokenizer, seed=seed))
        passages = [" ".join(rng.choices(pieces, k=rng.randrange(1, 20))) for _ in range(rng.randrange(1, 5))]
        prompt = ask(any_tokenizer, passages)
        found = quoter.read(prompt, passages, starts=rng.randrange(1, 9))
        assert found.forward_passes <= 3
        number += len(found.spans)
        for span in found.spans:
            text = passages[span.passage]
            quote = text[span.start : span.end]
            assert quote and quote == quote.strip()
            assert not inside_word(text, span.start) and not inside_word(text, span.end)
            run = [token for token, _ in span.tokens]
            assert b"".join(map(any_tokenizer.token_bytes, run)).decode().strip() == quote
            assert any(prompt[i : i + len(run)] == run for i in range(len(prompt)))
    assert number > 300


def test_at_most_three_passes_whatever_the_prompt(
    tokenizer: Tokenizer, make_engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(tokenizer, context=1024)
    passes = 0
    inner = engine.model.forward  # type: ignore[attr-defined]

    def forward(*args: object, **options: object) -> torch.Tensor:
        nonlocal passes
        passes += 1
        return inner(*args, **options)

    monkeypatch.setattr(engine.model, "forward", forward)
    for passages, most in ((PASSAGES[:1], 3), ([" ".join(PASSAGES)] * 4, 3), (["cat"], 2)):
        passes = 0
        found = Quoter(engine).read(ask(tokenizer, passages), passages)
        assert passes == found.forward_passes <= most


def test_the_best_of_all_spans_is_found_when_all_starts_are_followed(
    tokenizer: Tokenizer, make_engine: Callable[..., Engine]
) -> None:
    passages = ["The cat sat on", "it sat."]
    engine = make_engine(tokenizer)
    quoter, prompt = Quoter(engine), ask(tokenizer, passages)
    found = quoter.read(prompt, passages, starts=50)
    best = (-1e9, "")
    for text in passages:
        encoded = tokenizer.encode_spans("\n" + text)  # as it stands in the prompt
        ids = encoded.ids[1:]
        for a in range(len(ids)):
            for b in range(a + 1, len(ids) + 1):
                begin, end = encoded.spans[1 + a][0] - 1, encoded.spans[b][1] - 1
                quote = text[begin:end].strip()
                if quote and not inside_word(text, end) and not inside_word(text, text.index(quote, begin)):
                    logprob = sum(plain_score(engine, prompt, ids[a:b], quoter.stops))
                    best = max(best, (logprob / ((6 + b - a) / 6) ** 0.6, quote))
    span = found.spans[0]
    assert (passages[span.passage][span.start : span.end], score(span)) == (best[1], pytest.approx(best[0], abs=1e-3))


def test_the_same_text_is_cited_where_it_stands_first(tokenizer: Tokenizer, make_engine: Callable[..., Engine]) -> None:
    found = Quoter(make_engine(tokenizer)).read(ask(tokenizer, ["sat.", "sat."]), ["sat.", "sat."])
    first, second = found.spans[:2]
    assert (first.passage, second.passage) == (0, 1) and first.logprob == second.logprob


def test_a_quotation_stops_at_a_line_end(tokenizer: Tokenizer, make_engine: Callable[..., Engine]) -> None:
    found = Quoter(make_engine(tokenizer)).read(ask(tokenizer, PASSAGES[2:]), PASSAGES[2:], starts=50)
    quotes = {PASSAGES[2][s.start : s.end] for s in found.spans}
    assert "The cat sat on the dog." in quotes and "It sat." in quotes
    assert not any("\n" in quote for quote in quotes)


def test_a_chat_template_may_make_the_prompt(tmp_path: Path, make_engine: Callable[..., Engine]) -> None:
    words = byte_level()
    save_tokenizer(tmp_path, words, eos_token="<|im_end|>", chat_template=CHATML)
    tokenizer = HubTokenizer.load(tmp_path, words.get_vocab_size() + 5)
    prompt = tokenizer.chat([{"role": "user", "content": f"Context: {PASSAGES[0]}\n\nWho sat?"}])
    assert prompt is not None
    found = Quoter(make_engine(tokenizer)).read(prompt, PASSAGES[:1], starts=50)
    quotes = {PASSAGES[0][s.start : s.end] for s in found.spans}
    assert any(quote.startswith("The") for quote in quotes)  # its token, " The", began before the passage


def test_a_model_without_masks_gives_the_same_scores(any_tokenizer: TextTokenizer, make_engine: Callable[..., Engine]) -> None:
    engine, prompt = make_engine(any_tokenizer), ask(any_tokenizer, PASSAGES)
    want = {(s.passage, s.start, s.end): s.logprob for s in Quoter(engine).read(prompt, PASSAGES).spans}
    engine.model.forward_only = True  # type: ignore[attr-defined]
    found = Quoter(engine).read(prompt, PASSAGES, starts=3)
    assert found.forward_passes == 4
    shared = [s for s in found.spans if (s.passage, s.start, s.end) in want]
    assert shared
    for span in shared:
        assert span.logprob == pytest.approx(want[span.passage, span.start, span.end], abs=1e-3)


def test_a_kept_beginning_gives_the_same_quotations(tokenizer: Tokenizer, make_engine: Callable[..., Engine]) -> None:
    engine, prompt = make_engine(tokenizer), ask(tokenizer, PASSAGES)
    before = Quoter(engine).read(prompt, PASSAGES)
    assert list(engine.generate(prompt, max_new_tokens=1)) and engine.prefixes.nbytes
    after = Quoter(engine).read(prompt, PASSAGES)
    assert [(s.passage, s.start, s.end) for s in after.spans] == [(s.passage, s.start, s.end) for s in before.spans]
    assert [s.logprob for s in after.spans] == pytest.approx([s.logprob for s in before.spans], abs=1e-3)


def test_generation_under_a_constraint_is_verbatim_with_any_tokenizer(
    any_tokenizer: TextTokenizer, make_engine: Callable[..., Engine]
) -> None:
    engine, prompt = make_engine(any_tokenizer), ask(any_tokenizer, PASSAGES)
    passages = [any_tokenizer.encode("\n" + text)[1:] for text in PASSAGES]
    for seed in range(20):
        constraint = SpanConstraint(passages, stop=engine.end_ids, max_tokens=20)
        options = {"allowed": constraint, "temperature": seed % 3 / 2, "seed": seed}
        steps = list(engine.generate(prompt, **options))  # type: ignore[arg-type]
        assert [s.id for s in steps] == [s.id for s in engine.generate(prompt, lookup=False, **options)]  # type: ignore[arg-type]
        run = [step.id for step in steps if step.id not in engine.end_ids]
        passage, start, end = constraint.spans()[0]
        assert run == passages[passage][start:end]


def test_what_cannot_be_quoted_is_said(tokenizer: Tokenizer, make_engine: Callable[..., Engine]) -> None:
    engine = make_engine(tokenizer)
    quoter, prompt = Quoter(engine), ask(tokenizer, PASSAGES)
    with pytest.raises(ValueError, match="passage 1 does not stand in the prompt"):
        quoter.read(prompt, [PASSAGES[0], "the Cat"])
    with pytest.raises(ValueError, match="fills the context; shorten it"):
        quoter.read([30] * 512, [])
    with pytest.raises(ValueError, match="prompt is empty"):
        quoter.read([], [])
    assert quoter.read(prompt, []).spans == () and quoter.read(prompt, ["", " "]).spans == ()
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        quoter.read(prompt, PASSAGES, cancel=cancel)
    engine.end_ids = frozenset()
    with pytest.raises(ValueError, match="nothing ends an answer"):
        Quoter(engine, stop=())
