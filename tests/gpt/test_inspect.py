from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from itertools import pairwise

import pytest
import torch

from gpt.engine import Engine
from gpt.glass.embeddings import directions, embedding_map, embeddings, neighbours, resolve
from gpt.glass.inspect import label, logit_lens, next_token, tokens
from gpt.model import GPT
from gpt.tokenizer import Tokenizer

MIXED = "The cat, 北京 龘 🙂!"


@pytest.fixture
def engine(model: GPT, tokenizer: Tokenizer) -> Engine:
    return Engine(model, tokenizer)


@pytest.fixture
def plain(make_model: Callable[..., GPT], tokenizer: Tokenizer) -> Engine:
    """A causal decoder of another family: learned positions, layer norms, a matrix of its own to unembed."""
    sizes = {"kinds": 0, "prefix_lm": False, "qk_norm": False, "embedding_norm": False, "norm": "layer", "tied": False}
    return Engine(make_model(tokenizer.vocab_size, positions="learned", mlp="gelu", **sizes), tokenizer)


def test_tokens_cover_the_text_and_know_their_places(engine: Engine) -> None:
    found = tokens(engine.tokenizer, MIXED)
    assert [t.id for t in found] == engine.prompt(MIXED)
    assert (found[0].name, found[0].start, found[0].bytes) == ("<bos>", None, "")
    assert bytes.fromhex("".join(t.bytes for t in found)) == MIXED.encode()
    for token in found[1:]:
        assert token.start is not None and token.text == MIXED[token.start : token.end]
        assert token.part is not None or token.text.encode() == bytes.fromhex(token.bytes)
    pieces = [t.piece for t in found[1:]]
    assert pieces[0] == 0 and all(b - a in (0, 1) for a, b in pairwise(pieces))


def test_a_character_spread_over_tokens_is_told_in_parts(engine: Engine) -> None:
    shown = [t for t in tokens(engine.tokenizer, MIXED) if t.text == "龘"]
    assert [t.part for t in shown] == [(n, len(shown)) for n in range(1, len(shown) + 1)] and len(shown) > 1
    assert b"".join(bytes.fromhex(t.bytes) for t in shown) == "龘".encode()
    assert all(t.name == f"⟨{t.bytes.upper()}⟩" for t in shown)
    assert {t.part for t in tokens(engine.tokenizer, "cat")} == {None}


def test_the_same_character_twice_is_not_one_character_in_parts(engine: Engine) -> None:
    shown = [t for t in tokens(engine.tokenizer, "龘龘") if t.part]
    assert len({t.start for t in shown}) == 2 and max(t.part[1] for t in shown if t.part) == len(shown) // 2


def test_next_token_is_the_softmax_at_every_temperature(engine: Engine) -> None:
    found = next_token(engine, "The cat", (0.0, 0.5, 1.0, 2.0), top=7)
    logits = engine.logits(engine.prompt("The cat"))
    assert [c.id for c in found.next] == logits.topk(7).indices.tolist() and len(found.next) == 7
    assert found.next[0].probabilities[0] == 1.0 and found.entropy[0] == 0.0
    for column, temperature in enumerate((0.5, 1.0, 2.0), 1):
        p = (logits / temperature).softmax(-1)
        assert [c.probabilities[column] for c in found.next] == pytest.approx([float(p[c.id]) for c in found.next])
        assert found.entropy[column] == pytest.approx(float(-(p * p.log2()).sum()), rel=1e-4)
    assert list(found.entropy) == sorted(found.entropy)
    assert next_token(engine, engine.prompt("The cat"), (1.0,), top=1).next[0].id == found.next[0].id


@pytest.mark.parametrize("which", ["engine", "plain"])
def test_the_last_row_of_the_lens_is_the_model_itself(which: str, request: pytest.FixtureRequest) -> None:
    engine: Engine = request.getfixturevalue(which)
    found = logit_lens(engine, "The cat sat", top=3)
    model = engine.model
    assert isinstance(model, GPT) and len(found.layers) == model.config.layers + 1
    ids = torch.tensor([engine.prompt("The cat sat")])
    p = model.logits(ids)[0].softmax(-1)
    for t, cell in enumerate(found.layers[-1]):
        best = p[t].topk(3)
        assert list(cell.ids) == best.indices.tolist()
        assert list(cell.probabilities) == pytest.approx(best.values.tolist(), rel=1e-4)
        assert cell.final == pytest.approx(cell.probabilities[0])
        assert cell.names == tuple(label(engine.tokenizer, i) for i in cell.ids)
    first = model.unembed(model.final_norm(model.embedding_norm(model.embedding(ids))))[0]
    if model.positions is None:
        assert [c.ids[0] for c in found.layers[0]] == first.argmax(-1).tolist()
    assert [c.ids for c in found.layers[0]] != [c.ids for c in found.layers[-1]]


def test_neighbours_are_the_nearest_by_cosine(engine: Engine) -> None:
    at = resolve(engine, "cat") if len(engine.tokenizer.encode(" cat")) == 1 else engine.tokenizer.encode("a")[0]
    found = neighbours(engine, at, 5)
    table = engine.model.embedding.weight.float()  # type: ignore[union-attr]
    table = table - table.mean(0)
    cosines = torch.nn.functional.cosine_similarity(table, table[at][None])
    ordinary = [i for i in cosines.argsort(descending=True).tolist() if engine.tokenizer.token_bytes(i) and i != at]
    assert list(found.ids) == ordinary[:5] and found.given == (at,)
    assert list(found.cosines) == pytest.approx([float(cosines[i]) for i in ordinary[:5]], abs=1e-5)
    raw = neighbours(engine, at, 5, centred=False)
    assert raw.cosines != found.cosines and not raw.centred


def test_directions_find_what_was_built_in(engine: Engine) -> None:
    a, b, c, d = (engine.tokenizer.encode(x)[0] for x in "abcd")
    weight = engine.model.embedding.weight  # type: ignore[union-attr]
    with torch.no_grad():
        rows = torch.nn.functional.normalize(weight - weight.mean(0), dim=1)
        weight[d] = weight.mean(0) + 3 * (rows[a] - rows[b] + rows[c])
    assert directions(engine, a, b, c, 3).ids[0] == d
    assert not set(directions(engine, a, b, c, 50).ids) & {a, b, c}


def test_a_map_keeps_the_two_largest_directions(engine: Engine) -> None:
    ids = [engine.tokenizer.encode(x)[0] for x in "abcdefgh"]
    found = embedding_map(engine, ids)
    rows = embeddings(engine)[ids]
    rows = rows - rows.mean(0)
    points = torch.tensor(found.points)
    _, spread, _ = torch.pca_lowrank(rows, q=8, center=False, niter=20)
    shares = (spread**2 / rows.square().sum()).tolist()
    assert list(found.explained) == pytest.approx(shares[:2], rel=1e-3)
    assert points.square().sum(0).tolist() == pytest.approx((spread[:2] ** 2).tolist(), rel=1e-3)
    assert found.explained[0] >= found.explained[1]


def test_records_go_through_json(engine: Engine) -> None:
    for record in (
        next_token(engine, "北京"),
        logit_lens(engine, "北京"),
        neighbours(engine, 30, 2),
        tokens(engine.tokenizer, "北")[1],
    ):
        assert json.loads(json.dumps(asdict(record)))


def test_a_word_is_found_with_its_space(engine: Engine) -> None:
    spaced = engine.tokenizer.encode(" cat")
    alone = engine.tokenizer.encode("a")
    assert len(alone) == 1 and resolve(engine, "#") == engine.tokenizer.encode("#")[0]
    if len(spaced) == 1:
        assert resolve(engine, "cat") == spaced[0]
    assert resolve(engine, 7) == 7


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda e: resolve(e, "cat dog"), "'cat dog' is .* tokens \\('.*'\\); give a text that is one token"),
        (lambda e: resolve(e, ""), "'' is 0 tokens"),
        (lambda e: resolve(e, 10**6), "no token has the id 1000000"),
        (lambda e: neighbours(e, 30, 0), "0 tokens cannot be listed"),
        (lambda e: next_token(e, "a", top=-1), "-1 tokens cannot be listed"),
        (lambda e: next_token(e, "a", (3.0,)), "temperature is 3.0"),
        (lambda e: embedding_map(e, [5, 5, 6]), "at least 3 different tokens, and 2"),
        (lambda e: logit_lens(e, []), "no token to look at"),
        (lambda e: logit_lens(e, "a" * 500), "the model's context is 64"),
    ],
)
def test_bad_input_gets_one_sentence(engine: Engine, call: Callable[[Engine], object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call(engine)
    assert "\n" not in str(caught.value)


def test_a_model_of_another_library_is_not_opened(tokenizer: Tokenizer, model: GPT) -> None:
    class Other:
        """A decoder that is no GPT of ours."""

        config, device, compute_dtype = model.config, model.device, model.compute_dtype
        new_cache, unembed = model.new_cache, model.unembed

        def __call__(self, ids: torch.Tensor, **options: object) -> torch.Tensor:
            return model(ids)

    engine = Engine(Other(), tokenizer)
    assert next_token(engine, "The cat").next  # needs no layers
    with pytest.raises(ValueError, match="another library, which does not show its layers"):
        logit_lens(engine, "The cat")
