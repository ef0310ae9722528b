from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from gpt.engine import Engine
from gpt.glass.heads import KINDS, MAX_TOKENS, HeadScore, attention, head_scores, pick
from gpt.model import GPT
from gpt.tokenizer import Tokenizer
from gpt.trace import Trace


@pytest.fixture
def engine(make_model: Callable[..., GPT], tokenizer: Tokenizer) -> Engine:
    return Engine(make_model(tokenizer.vocab_size, context=512), tokenizer)


def test_attention_is_that_of_the_forward_pass(engine: Engine) -> None:
    found = attention(engine, "The cat sat")
    ids, trace = engine.prompt("The cat sat"), Trace()
    engine.model(torch.tensor([ids]), trace=trace)  # type: ignore[call-arg]
    assert found.weights.shape == (2, 4, len(ids), len(ids)) and [t.id for t in found.tokens] == ids
    assert np.allclose(found.weights[1, 2], trace.attention[1][0, 2].numpy())
    assert np.array_equal(found.head(2, 3), found.weights[1, 2])
    assert np.allclose(found.weights.sum(-1), 1, atol=1e-5) and not np.triu(found.weights[0, 0], 1).any()
    data = found.as_dict()
    assert data["tokens"][0]["name"] == "<bos>" and data["weights"][1][2][3][0] == pytest.approx(
        found.weights[1, 2, 3, 0], abs=1e-4
    )


def test_attention_refuses_what_is_too_long_or_not_there(engine: Engine) -> None:
    with pytest.raises(ValueError, match=f"shown for at most {MAX_TOKENS}"):
        attention(engine, [30] * 300)
    found = attention(engine, "cat")
    for layer, head in ((0, 1), (1, 0), (3, 1), (1, 5)):
        with pytest.raises(
            ValueError, match=f"there is no head {head} in layer {layer}; layers go from 1 to 2, heads to 4"
        ):
            found.head(layer, head)


def look(weights: Callable[[int, int, torch.Tensor], int]) -> Callable[..., torch.Tensor]:
    """Attention that puts all weight on one earlier token, chosen by a function of (place, length, ids)."""

    def forward(ids: torch.Tensor, trace: Trace) -> torch.Tensor:
        B, T = ids.shape
        a = torch.zeros(B, 4, T, T)
        for b in range(B):
            for t in range(T):
                a[b, :, t, min(t, max(0, weights(t, T, ids[b])))] = 1
        trace.attention.append(a)
        return ids

    return forward


def earlier(t: int, ids: torch.Tensor) -> int:
    """The place of the earlier copy of a token, or its own."""
    before = (ids[:t] == ids[t]).nonzero()
    return int(before[-1]) if len(before) else t


@pytest.mark.parametrize(
    "kind, weights",
    [
        ("previous", lambda t, T, ids: t - 1),
        ("first", lambda t, T, ids: 0),
        ("same", lambda t, T, ids: t),
        ("duplicate", lambda t, T, ids: earlier(t, ids)),
        ("induction", lambda t, T, ids: earlier(t, ids) + 1),
    ],
)
def test_a_head_that_does_one_thing_scores_one(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, kind: str, weights: Callable[[int, int, torch.Tensor], int]
) -> None:
    monkeypatch.setattr(engine.model, "forward", look(weights))
    scores = head_scores(engine, length=24, rows=2)
    best = max(KINDS, key=lambda k: getattr(scores[0], k))
    assert best == kind and getattr(scores[0], kind) > 0.95
    assert all(getattr(scores[0], other) < 0.75 for other in KINDS if other != kind)


def test_scores_are_repeatable_shares_for_every_head(engine: Engine) -> None:
    scores = head_scores(engine, length=16, rows=2)
    assert [(s.layer, s.head) for s in scores] == [(layer, head) for layer in (1, 2) for head in (1, 2, 3, 4)]
    assert all(0 <= getattr(s, kind) <= 1 for s in scores for kind in KINDS)
    assert scores == head_scores(engine, length=16, rows=2) != head_scores(engine, length=16, rows=2, seed=1)


def test_pick_sorts_by_kind() -> None:
    scores = [HeadScore(1, h, 0.1 * h, 0.5, 0, 0, 1 - 0.1 * h) for h in (1, 2, 3)]
    assert [s.head for s in pick(scores, "previous", 2)] == [3, 2]
    assert [s.head for s in pick(scores, "induction")] == [1, 2, 3]
    assert pick(scores, "first", 1) == [scores[0]]
    with pytest.raises(ValueError, match="no kind of head is called 'copy'; give previous"):
        pick(scores, "copy")  # type: ignore[arg-type]
