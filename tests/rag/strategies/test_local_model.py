"""Every strategy with a tiny random model of Llama's shape, run here: what it writes is noise, what is promised holds."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from rag import Cancelled, build_chain
from rag.chain import AnswerChain
from rag.strategies import STRATEGIES
from rag.strategies.names import NAMES
from tests.rag.test_rag_chain import SHELF
from tests.rag.test_rag_families import RAIN, save


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> AnswerChain:
    made = build_chain(retriever=SHELF, model=save(tmp_path_factory.mktemp("llama"), "llama", context=4096))
    made.stages.model.chat.max_tokens = 12  # type: ignore[union-attr]
    return made


@pytest.mark.parametrize("name", NAMES)
def test_quote_mode_can_only_quote(llama: AnswerChain, name: str) -> None:
    asked = {"question": RAIN, "strategy": name, "seed": 3, "temperature": 0.9}
    answer = llama.invoke(asked)
    assert answer.strategy == name and not answer.refused and answer.citations
    assert all(SHELF.texts[c.doc_id][c.start : c.end] == c.quote for c in answer.citations)
    assert 1 <= answer.calls <= int(re.findall(r"\d+", STRATEGIES[name].calls())[-1])
    again = llama.invoke(asked)
    assert again.model_dump(exclude={"timings", "plan"}) == answer.model_dump(exclude={"timings", "plan"})


@pytest.mark.parametrize("name", NAMES)
def test_composed_noise_is_marked_or_refused(llama: AnswerChain, name: str) -> None:
    answer = llama.invoke({"question": RAIN, "strategy": name, "mode": "compose", "temperature": 1.0, "seed": 5})
    assert answer.refused or answer.warnings
    assert all(SHELF.texts[c.doc_id][c.start : c.end] == c.quote for c in answer.citations)


def test_a_small_context_leaves_out_the_reasoning_rather_than_fail(tmp_path: Path) -> None:
    chain = build_chain(retriever=SHELF, model=save(tmp_path, "llama", context=1024))
    chain.stages.model.chat.max_tokens = 300  # type: ignore[union-attr]
    answer = chain.invoke({"question": RAIN, "strategy": "chain-of-thought", "temperature": 1.0})
    assert answer.citations and not answer.refused


def test_a_cancel_stops_between_two_tokens(llama: AnswerChain) -> None:
    event = threading.Event()
    event.set()
    with pytest.raises(Cancelled):
        llama.invoke({"question": RAIN, "strategy": "tree-of-thoughts", "cancel": event})
