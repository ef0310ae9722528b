"""The reader's spans are slices of the passages, and their scores are the model's own, exactly."""

from __future__ import annotations

import random
import threading

import pytest
import torch

from gpt.config import GPTConfig
from gpt.engine import Engine
from gpt.grounding import MATCH, PAIR, PASSAGE, PLAIN, QUESTION, prompt_ids, prompt_kinds
from gpt.model import GPT
from gpt.reader import Cancelled, Reader, inside_word
from gpt.sampling import SamplingParams
from gpt.tokenizer import Tokenizer

TEXTS = [
    "The lighthouse at Skerry Point was lit in 1871 by the engineer Thomas Arden.",
    "灯塔建于1871年，由工程师托马斯设计。它高三十二米，至今仍在使用。",
    "Naïve café owners — 北京 and Zürich — pay 12,345.67 francs… “quoted” text 😀 ends here.",
]


def make_reader(*, prefix_lm: bool = True, seed: int = 0) -> Reader:
    tokenizer = Tokenizer.train(TEXTS * 4, 420)
    config = GPTConfig(
        vocab_size=tokenizer.vocab_size,
        context=1024,
        layers=2,
        heads=2,
        kv_heads=1,
        width=32,
        hidden=48,
        prefix_lm=prefix_lm,
    )
    model = GPT(config)
    generator = torch.Generator().manual_seed(seed)
    model.init_weights(generator)
    with torch.no_grad():
        for parameter in model.parameters():  # zero-initialised outputs would make every score the same
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.15)
        assert model.kinds is not None
        model.kinds.weight[0] = 0.0  # plain tokens have no vector
    return Reader(Engine(model, tokenizer))


@pytest.mark.parametrize("prefix_lm", [True, False])
def test_scores_equal_a_plain_forward_pass(prefix_lm: bool) -> None:
    reader = make_reader(prefix_lm=prefix_lm)
    reading = reader.read("Who lit the lighthouse?", TEXTS)
    tokenizer, model = reader.tokenizer, reader.model
    assert reading.forward_passes == 2
    for span in reading.spans[:6]:
        encoded = tokenizer.encode_spans(TEXTS[span.passage])
        prompt = prompt_ids(tokenizer, tokenizer.encode("Who lit the lighthouse?"), encoded.ids)
        run = [token for token, _ in span.tokens]
        size = len(prompt) + len(run)
        mask = torch.ones(size, size, dtype=torch.bool).tril()
        if prefix_lm:
            mask[:, : len(prompt)] = True
        kinds = torch.zeros(1, size, dtype=torch.long)
        kinds[0, : len(prompt)] = torch.tensor(prompt_kinds(tokenizer, prompt))
        with torch.inference_mode():
            hidden = model(torch.tensor([[*prompt, *run]]), mask=mask[None, None], kinds=kinds)
            state = hidden[0, len(prompt) - 1]
            first = len(prompt) - 1 - len(encoded.ids)
            scores = model.point(state[None], hidden)[0, first : len(prompt) - 1]
            none = model.unembed(state)[tokenizer.none]
            going = model.unembed(hidden[0, len(prompt) :])[:, [tokenizer.more, tokenizer.end]].log_softmax(-1)
        starts = torch.cat((scores, none[None])).log_softmax(0)
        at = next(i for i, (_, b) in enumerate(encoded.spans) if b > span.start)
        wanted = float(starts[at] + going[:-1, 0].sum() + going[-1, 1])
        assert span.logprob == pytest.approx(wanted, abs=2e-4)
    plain = [float(x) for x in reading.none_logprobs]
    assert all(value < 0 for value in plain)


def test_every_span_is_a_slice_of_its_passage() -> None:
    rng = random.Random(5)
    alphabet = "abc de,. 的灯塔高é😀\n1"
    for seed in range(12):
        reader = make_reader(seed=seed)
        passages = ["".join(rng.choice(alphabet) for _ in range(rng.randint(1, 120))) for _ in range(3)]
        reading = reader.read("".join(rng.choice(alphabet) for _ in range(20)), passages)
        for span in reading.spans:
            text = passages[span.passage]
            assert 0 <= span.start < span.end <= len(text)
            assert text[span.start : span.end].strip() == text[span.start : span.end]
            assert not inside_word(text, span.start) and not inside_word(text, span.end)
            ids = [token for token, _ in span.tokens]
            encoded = reader.tokenizer.encode_spans(text)
            assert any(encoded.ids[i : i + len(ids)] == ids for i in range(len(encoded.ids)))


def test_a_passage_longer_than_the_window_is_read_to_its_end() -> None:
    reader = make_reader()
    text = " ".join(f"word{i}" for i in range(400)) + " the very last lantern"
    windows = reader._windows("lantern?", [text])
    assert len(windows) > 1
    assert windows[0].spans[0][0] == 0
    assert windows[-1].spans[-1][1] == len(text)
    covered = {place for window in windows for span in window.spans for place in range(*span)}
    assert covered == set(range(len(text)))


def test_temperature_draws_by_seed_and_zero_takes_the_best() -> None:
    reader = make_reader()
    reading = reader.read("When?", TEXTS)
    assert reader.choose(reading, SamplingParams()) == reading.spans[0]
    warm = [reader.choose(reading, SamplingParams(temperature=2.0, seed=s)) for s in range(40)]
    assert len({(s.passage, s.start, s.end) for s in warm if s}) > 1
    again = [reader.choose(reading, SamplingParams(temperature=2.0, seed=s)) for s in range(40)]
    assert warm == again


def test_nothing_to_read_and_cancel() -> None:
    reader = make_reader()
    assert reader.read("When?", []).spans == ()
    assert reader.read("When?", [""]).spans == ()
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        reader.read("When?", TEXTS, cancel=cancel)


class SetAfter(threading.Event):
    """An event that is set when it has been looked at so many times."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.left = looks

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_a_reading_is_cancelled_between_any_two_layers() -> None:
    reader = make_reader()
    whole = reader.read("When?", TEXTS)
    looks = 1 + 2 * reader.model.config.layers  # before it begins, and before each layer of both passes
    for after in range(looks):
        with pytest.raises(Cancelled):
            reader.read("When?", TEXTS, cancel=SetAfter(after))
    assert reader.read("When?", TEXTS, cancel=SetAfter(looks)) == whole


def test_many_windows_are_read_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = make_reader()
    many = [text for text in TEXTS for _ in range(5)]
    together = reader.read("When?", many)
    monkeypatch.setattr("gpt.reader.ROWS", 2)
    apart = reader.read("When?", many)
    assert [(s.passage, s.start, s.end) for s in apart.spans] == [(s.passage, s.start, s.end) for s in together.spans]
    assert [s.logprob for s in apart.spans] == pytest.approx([s.logprob for s in together.spans], abs=1e-3)


def test_kinds_mark_what_question_and_passage_share() -> None:
    tokenizer = make_reader().tokenizer
    prompt = prompt_ids(tokenizer, tokenizer.encode("灯塔 高"), tokenizer.encode("这座灯塔，很高。"))
    kinds = prompt_kinds(tokenizer, prompt)
    assert len(kinds) == len(prompt)
    at = prompt.index(tokenizer.passage)
    assert kinds[:2] == [PLAIN, PLAIN]
    assert set(kinds[2:at]) == {QUESTION}
    seen: dict[str, int] = {}
    for place, kind in zip(prompt[at + 1 : -1], kinds[at + 1 : -1], strict=True):
        seen[tokenizer.name(place)] = kind
    assert seen["灯"] == seen["塔"] == PAIR
    assert seen["高"] == MATCH
    assert seen["，"] == PASSAGE
