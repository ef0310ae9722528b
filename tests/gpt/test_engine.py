from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpt.attention import prefix_mask
from gpt.config import GPTConfig
from gpt.constrain import SpanConstraint
from gpt.decoding.steps import Step
from gpt.decoding.stream import TextStream
from gpt.engine import Engine
from gpt.model import GPT
from gpt.tokenizer import Tokenizer


@pytest.fixture
def engine(model: GPT, tokenizer: Tokenizer) -> Engine:
    return Engine(model, tokenizer)


class Script:
    """A constraint that dictates every token."""

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids = list(ids)
        self.reset()

    def reset(self) -> None:
        self.at, self.done = 0, False

    def allowed(self) -> list[int]:
        return [self.ids[self.at]]

    def step(self, token: int) -> None:
        self.at += 1
        self.done = self.at == len(self.ids)


def dictate(engine: Engine, ids: Sequence[int], **options: object) -> list[Step]:
    prompt = engine.prompt("x")
    return list(engine.generate(prompt, allowed=Script(ids), max_new_tokens=60, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("prefix", [False, True])
def test_cached_steps_equal_the_full_forward(engine: Engine, prefix: bool) -> None:
    prompt = engine.prompt("The cat sat on the mat. 北京")
    steps = list(engine.generate(prompt, max_new_tokens=20, temperature=1.0, seed=3, prefix=prefix, allowed=None))
    assert len(steps) > 5
    ids = torch.tensor([[*prompt, *(step.id for step in steps)]])
    mask = prefix_mask(torch.tensor([len(prompt)]), ids.shape[1]) if prefix else None
    full = engine.model.logits(ids, mask=mask)[0].log_softmax(-1)
    for position, step in enumerate(steps, len(prompt)):
        assert full[position - 1, step.id].item() == pytest.approx(step.logprob, abs=1e-4)


def test_greedy_takes_the_best_token_of_the_full_forward(engine: Engine) -> None:
    ids = engine.prompt("The dog")
    for step in engine.generate(ids, max_new_tokens=12):
        assert step.id == int(engine.model.logits(torch.tensor([ids]))[0, -1].argmax())
        ids = [*ids, step.id]


def test_a_prefix_lm_reads_its_prompt_both_ways_when_it_ends_with_answer(engine: Engine) -> None:
    t = engine.tokenizer
    plain, asked = engine.prompt("The cat sat"), [*engine.prompt("The cat sat"), t.answer]
    for ids, both in ((plain, False), (asked, True)):
        torch.testing.assert_close(engine.logits(ids), engine.logits(ids, prefix=both))
        assert not torch.allclose(engine.logits(ids), engine.logits(ids, prefix=not both), atol=1e-3)


def test_one_seed_one_answer(engine: Engine) -> None:
    def run(seed: int | None) -> list[int]:
        steps = engine.generate(engine.prompt("The"), max_new_tokens=20, temperature=1.5, seed=seed)
        return [step.id for step in steps]

    assert run(5) == run(5)
    assert len({tuple(run(seed)) for seed in range(4)}) == 4
    assert len({tuple(run(None)) for _ in range(4)}) > 1


def test_two_streams_at_once_do_not_disturb_each_other(engine: Engine) -> None:
    def run(seed: int) -> list[Step]:
        return list(engine.generate(engine.prompt("The"), max_new_tokens=30, temperature=1.0, seed=seed))

    alone = [run(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(4))) == alone


def test_settings_reach_the_sampler(engine: Engine) -> None:
    def run(**options: object) -> list[int]:
        steps = engine.generate(engine.prompt("The"), max_new_tokens=15, **options)  # type: ignore[arg-type]
        return [step.id for step in steps]

    greedy = run()
    assert run(temperature=2.0, top_k=1, seed=1) == greedy
    assert run(temperature=2.0, top_p=1e-6, seed=1) == greedy
    assert run(temperature=2.0, min_p=1.0, seed=1) == greedy
    assert run(temperature=2.0, seed=1) != greedy
    assert len(set(run(repetition_penalty=10.0))) > len(set(greedy))


def test_a_step_names_the_most_probable_tokens_when_asked(engine: Engine) -> None:
    ids = engine.prompt("The dog")
    for step in engine.generate(ids, max_new_tokens=5, temperature=1.0, seed=1, logprobs=3):
        best = engine.logits(ids).log_softmax(-1).topk(3)
        assert [token for token, _ in step.alternatives] == best.indices.tolist()
        assert [logprob for _, logprob in step.alternatives] == pytest.approx(best.values.tolist(), abs=1e-4)
        ids = [*ids, step.id]
    assert next(engine.generate(ids)).alternatives == ()


def test_a_character_split_over_tokens_is_never_shown_broken(engine: Engine) -> None:
    text = "é龘🙂 a"  # none of these characters is in the vocabulary: 2, 3 and 4 byte tokens
    ids = engine.tokenizer.encode(text)
    assert len(ids) == 11
    shown = [step.text for step in dictate(engine, ids)]
    assert shown[:10] == ["", "é", "", "", "龘", "", "", "", "🙂", " "]
    assert "".join(shown) == text


def test_what_is_left_of_a_character_is_shown_at_the_end(engine: Engine) -> None:
    ids = engine.tokenizer.encode("a龘")[:-1]
    assert "".join(step.text for step in dictate(engine, ids)) == "a\ufffd"


def test_special_tokens_have_no_text(engine: Engine) -> None:
    t = engine.tokenizer
    steps = dictate(engine, [*t.encode("a"), t.none, t.end])
    assert "".join(step.text for step in steps) == "a"


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.text(alphabet="ab龘", max_size=14),
    st.lists(st.text(alphabet="ab龘", min_size=1, max_size=4), max_size=3),
    st.lists(st.integers(1, 6), min_size=40, max_size=40),
)
def test_a_stop_string_is_found_however_the_bytes_are_cut(text: str, stop: list[str], cuts: list[int]) -> None:
    """Against the definition: the stop string whose last character comes first ends the text before it."""
    want = text
    for end in range(1, len(text) + 1):
        hits = [end - len(s) for s in stop if text[:end].endswith(s)]
        if hits:
            want = text[: min(hits)]
            break
    stream, data, shown = TextStream(stop), text.encode(), ""
    for size in cuts:
        piece, data = data[:size], data[size:]
        shown += stream.push(piece)
        assert want.startswith(shown)
        assert "\ufffd" not in shown
    shown += stream.push(b"", final=True)
    assert (shown, stream.stopped) == (want, want != text or any(s in text for s in stop))


@settings(derandomize=True, deadline=None)
@given(st.binary(max_size=20), st.integers(1, 4))
def test_bytes_that_are_no_text_decode_as_they_would_whole(data: bytes, size: int) -> None:
    stream = TextStream()
    shown = "".join(stream.push(data[i : i + size]) for i in range(0, len(data), size))
    assert shown + stream.push(b"", final=True) == data.decode("utf-8", "replace")


def test_a_stop_string_across_tokens_ends_the_stream(engine: Engine) -> None:
    ids = engine.tokenizer.encode("one 龘a two 龘b three")
    steps = dictate(engine, ids, stop=["龘b", "never"])
    assert "".join(step.text for step in steps) == "one 龘a two "
    assert steps[-1].finish == "stop" and len(steps) < len(ids)
    assert all(step.finish is None for step in steps[:-1])


def test_text_that_only_began_like_a_stop_string_is_shown_in_the_end(engine: Engine) -> None:
    steps = dictate(engine, engine.tokenizer.encode("one tw"), stop=["two"])
    assert "".join(step.text for step in steps) == "one tw"
    assert steps[-1].finish == "end"


def test_one_stop_string_need_not_be_in_a_list(engine: Engine) -> None:
    steps = dictate(engine, engine.tokenizer.encode("one two"), stop="two")
    assert "".join(step.text for step in steps) == "one "


def test_an_end_token_ends_the_stream(engine: Engine) -> None:
    run = [step.id for step in engine.generate(engine.prompt("The"), max_new_tokens=10)]
    engine.end_ids = frozenset({run[4]})
    steps = list(engine.generate(engine.prompt("The"), max_new_tokens=10))
    assert [step.id for step in steps] == run[: run.index(run[4]) + 1]
    assert steps[-1].finish == "end"
    t = engine.tokenizer
    assert {t.end, t.bos, t.pad} == Engine(engine.model, t).end_ids


def test_cancel_ends_the_stream_before_the_next_token(engine: Engine) -> None:
    cancel = threading.Event()
    steps = engine.generate(engine.prompt("The"), max_new_tokens=30, cancel=cancel)
    assert next(steps) and next(steps)
    cancel.set()
    assert list(steps) == []
    assert list(engine.generate(engine.prompt("The"), cancel=cancel)) == []


def test_length_and_context_end_the_stream(tokenizer: Tokenizer, engine: Engine) -> None:
    engine.end_ids = frozenset()
    steps = list(engine.generate(engine.prompt("The"), max_new_tokens=3))
    assert [step.finish for step in steps] == [None, None, "length"]
    context = engine.model.config.context
    prompt = [tokenizer.bos] * (context - 2)
    steps = list(engine.generate(prompt, max_new_tokens=50))
    assert [step.finish for step in steps] == [None, None, "context"]
    (only,) = engine.generate([tokenizer.bos] * context, max_new_tokens=50)
    assert only.finish == "context"


def test_a_prompt_longer_than_the_context_is_refused_with_both_lengths(engine: Engine) -> None:
    with pytest.raises(ValueError, match=r"65 tokens .* context is 64; shorten the question or give fewer"):
        engine.generate([5] * 65)


@pytest.mark.parametrize(
    "ids, options, message",
    [
        ([], {}, "prompt is empty"),
        ([9999], {}, "no token has the id 9999"),
        ([-1], {}, "no token has the id -1"),
        ([5], {"max_new_tokens": 0}, "max_new_tokens is 0"),
        ([5], {"max_new_tokens": 2.5}, "max_new_tokens is 2.5"),
        ([5], {"temperature": 2.1}, "temperature is 2.1"),
        ([5], {"temperature": float("nan")}, "temperature is nan"),
        ([5], {"top_k": 0}, "top_k is 0"),
        ([5], {"min_p": 1.5}, "min_p is 1.5"),
        ([5], {"repetition_penalty": 0}, "repetition_penalty is 0"),
        ([5], {"logprobs": 321}, "logprobs is 321; give a whole number from 0 to 320"),
        ([5], {"logprobs": True}, "logprobs is True"),
        ([5], {"stop": [""]}, "stop string is empty"),
    ],
)
def test_bad_requests_are_refused_at_once(
    engine: Engine, ids: list[int], options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        engine.generate(ids, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("temperature", [0.0, 1.0, 2.0])
def test_a_constrained_answer_stands_in_the_passages(engine: Engine, temperature: float) -> None:
    t = engine.tokenizer
    texts = ["The cat sat on the mat.", "北京是中国的首都。", "The dog sat on the cat."]
    passages = [t.encode(text) for text in texts]
    constraint = SpanConstraint(passages, stop=[t.end], instead=[t.none], max_tokens=12)
    lengths = set()
    for seed in range(40):
        steps = list(engine.generate(engine.prompt("sat"), allowed=constraint, temperature=temperature, seed=seed))
        assert steps[-1].finish == "end"
        run = [step.id for step in steps if step.id not in (t.end, t.none)]
        assert run == constraint.tokens
        if run:
            passage, start, end = constraint.spans()[0]
            assert passages[passage][start:end] == run
            assert "".join(step.text for step in steps) == t.decode(run)
        lengths.add(len(run))
    assert temperature == 0.0 or len(lengths) > 2


def test_model_and_tokenizer_must_agree(tokenizer: Tokenizer) -> None:
    other = GPT(GPTConfig(vocab_size=300, layers=1, heads=1, kv_heads=1, width=8, hidden=8))
    with pytest.raises(ValueError, match=f"tokenizer has {tokenizer.vocab_size} tokens and the model 300"):
        Engine(other, tokenizer)


def test_a_model_may_have_rows_to_spare(tokenizer: Tokenizer) -> None:
    model = GPT(GPTConfig(vocab_size=400, layers=1, heads=1, kv_heads=1, width=8, hidden=8))
    model.init_weights(torch.Generator().manual_seed(0))
    steps = Engine(model, tokenizer).generate([5], max_new_tokens=3, repetition_penalty=1.1, logprobs=400)
    assert len(next(steps).alternatives) == 400


def test_only_our_own_model_reads_passages(engine: Engine) -> None:
    assert engine.own() == (engine.model, engine.tokenizer)

    class Words:
        vocab_size, end_ids = 320, frozenset({1})

    other = Engine(engine.model, Words())  # type: ignore[arg-type]
    assert other.end_ids == {1} and not other.reads_both_ways([engine.tokenizer.answer])
    with pytest.raises(ValueError, match="not tuned to read passages; it can only continue text"):
        other.own()


def test_bf16_generates_too(folder: object, engine: Engine) -> None:
    half = Engine.load(str(folder), dtype=torch.bfloat16)
    assert half.model.embedding.weight.dtype == torch.bfloat16
    ids = engine.prompt("The cat")
    assert (half.logits(ids) - engine.logits(ids)).abs().max() < 0.3
    assert len(list(half.generate(ids, max_new_tokens=5))) > 0
