"""The strategies with a scripted model: what each asks, how often, what it keeps for the trace, and when it stops."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest

from rag import Answer, Cancelled, RagError, build_chain
from rag.strategies import STRATEGIES
from rag.strategies.names import NAMES
from tests.rag.strategies.scripted import Scripted
from tests.rag.test_rag_chain import SHELF

RAIN = "How many days a year does it rain in Bergen?"
RIGHT, WRONG, NONE = '"239 days a year" [1]', '"on the coast" [1]', "NOT IN THE DOCUMENTS"
COMPOSED = "It rains 239 days a year in Bergen [1]."


def ask(script: list[str], strategy: str, **more: Any) -> tuple[Answer, Scripted]:
    model = Scripted(script=script)
    asked = {"question": RAIN, "strategy": strategy, **more}
    return build_chain(retriever=SHELF, model=model).invoke(asked), model


def kinds(answer: Answer) -> list[str]:
    assert answer.trace is not None
    return [step.kind for step in answer.trace.steps]


def test_every_strategy_has_a_name_and_a_cost() -> None:
    assert tuple(STRATEGIES) == NAMES
    for name, strategy in STRATEGIES.items():
        assert strategy.name == name and re.search(r"\d", strategy.calls())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["quote", "compose"])
def test_every_strategy_answers_within_its_cost_and_the_same_for_a_seed(name: str, mode: str) -> None:
    script = [RIGHT if mode == "quote" else COMPOSED]
    answer, model = ask(script, name, mode=mode, seed=4)
    assert answer.strategy == name and not answer.refused and "239" in answer.answer
    assert answer.calls == len(model.asked) <= int(re.findall(r"\d+", STRATEGIES[name].calls())[-1])
    again, other = ask(script, name, mode=mode, seed=4)
    assert again.model_dump(exclude={"timings", "plan"}) == answer.model_dump(exclude={"timings", "plan"})
    assert other.options == model.options and other.asked == model.asked


@pytest.mark.parametrize("name", NAMES)
def test_a_cancel_is_heard_at_the_next_call(name: str) -> None:
    event = threading.Event()
    model = Scripted(script=["1. one\n2. two"], on_call=lambda n: event.set())
    chain = build_chain(retriever=SHELF, model=model, mode="compose")
    with pytest.raises(Cancelled):
        chain.invoke({"question": RAIN, "strategy": name, "cancel": event})
    assert len(model.asked) == 1


def test_an_unknown_strategy_is_one_sentence() -> None:
    with pytest.raises(RagError, match=r"strategy is 'magic'.*self-consistency"):
        ask([RIGHT], "magic")


def test_a_model_that_only_quotes_is_asked_directly() -> None:
    chain = build_chain(retriever=SHELF, model="none")
    answer = chain.invoke({"question": RAIN, "strategy": "tree-of-thoughts"})
    assert answer.strategy == "direct" and answer.calls == 0 and "239" in answer.answer
    assert any("tree-of-thoughts" in warning for warning in answer.warnings)


def test_examples_are_shown_and_can_be_replaced() -> None:
    _, model = ask([RIGHT], "few-shot")
    assert "harbour of Vell" in model.asked[0] and model.asked[0].index("Vell") < model.asked[0].index("239 days")
    mine = {"examples_quote_en": "Question: Why?\nAnswer: \"because\" [1]"}
    _, model = ask([RIGHT], "few-shot", prompts=mine)
    assert "because" in model.asked[0] and "Vell" not in model.asked[0]
    _, model = ask([RIGHT], "direct")
    assert "Vell" not in model.asked[0]


@pytest.mark.parametrize("mode", ["quote", "compose"])
def test_reasoning_is_hidden_and_kept_in_the_trace(mode: str) -> None:
    said = f"<think>Passage 1 speaks of rain.</think>\n{RIGHT if mode == 'quote' else COMPOSED}"
    chain = build_chain(retriever=SHELF, model=Scripted(script=[said]), mode=mode)  # type: ignore[arg-type]
    events = list(chain.stream({"question": RAIN, "strategy": "chain-of-thought"}))
    answer = events[-1]["answer"]
    assert "speaks" not in "".join(event.get("text", "") for event in events) + answer.answer
    assert answer.trace.steps[0].text == "Passage 1 speaks of rain." and "239" in answer.answer and answer.calls == 1


def test_thinking_without_an_answer_asks_once_more() -> None:
    answer, model = ask(["<think>So much to think", RIGHT], "chain-of-thought")
    assert len(model.asked) == 2 and "239" in answer.answer and any("asked once more" in w for w in answer.warnings)


def test_thinking_is_hidden_in_a_direct_answer_too() -> None:
    answer, _ = ask([f"<think>hm</think>{COMPOSED}"], "direct", mode="compose")
    assert "hm" not in answer.answer and "239" in answer.answer


def test_the_majority_wins_and_each_sample_has_its_own_seed() -> None:
    answer, model = ask([WRONG, RIGHT, WRONG, RIGHT, '"239  Days a Year" [1]'], "self-consistency", seed=9)
    assert "239 days" in answer.answer and answer.calls == 5
    seeds = [options["seed"] for options in model.options]
    assert len(set(seeds)) == 5 and all(options["temperature"] == 0.7 for options in model.options)
    assert kinds(answer) == ["sample"] * 5 + ["vote"] and "0.60" in answer.trace.steps[-1].text  # type: ignore[union-attr]
    assert "5" in answer.plan[0]
    refusing, _ = ask([NONE, RIGHT, NONE, NONE, WRONG], "self-consistency")
    assert refusing.refused


def test_the_tree_follows_the_best_line_of_thought() -> None:
    script = [
        "1. Passage 2 speaks of cats\n2. Passage 1 counts the rain [1]\n3. Passage 1 names the coast",
        "1: 2\n2: 8\n3: 1",
        "1. it says 239 days",
        "1. nothing about days",
        "1: 7\n2: 3",
        RIGHT,
    ]
    answer, model = ask(script, "tree-of-thoughts")
    assert answer.calls == 6 and "239 days" in answer.answer
    assert "Passage 1 counts the rain [1]\nit says 239 days" in model.asked[-1]
    assert "cats" not in model.asked[2].split("Question:")[-1]
    assert kinds(answer) == ["proposals", "scores", "proposals", "proposals", "scores"]


def test_the_tree_keeps_to_its_budget_and_stops_when_sure() -> None:
    from rag.strategies.tree import TreeOfThoughts

    for budget in (1, 2, 4):
        STRATEGIES["tree-of-thoughts"] = TreeOfThoughts(budget)
        try:
            answer, model = ask(["1. a\n2. b\n3. c"], "tree-of-thoughts")
        finally:
            STRATEGIES["tree-of-thoughts"] = TreeOfThoughts()
        assert answer.calls == len(model.asked) <= budget
    answer, _ = ask(["1. Passage 1 says it", "1: 10", RIGHT], "tree-of-thoughts")
    assert answer.calls == 3


def test_parts_are_answered_over_their_own_passages(store: Path) -> None:
    first, second = "When was the lighthouse of Skarholm built?", "What does a ticket to the tower cost?"
    model = Scripted(script=[f"1. {first}\n2. {second}", '"built in 1874" [1]', NONE])
    chain = build_chain(store, model)
    answer = chain.invoke({"question": "When was the lighthouse built, and its ticket?", "strategy": "decompose"})
    assert answer.calls == 3 and not answer.refused and "1874" in answer.answer
    assert answer.plan[:2] == [f"1. {first}", f"2. {second}"] and f"{second}\nNot in your documents." in answer.answer
    assert [s.n for s in answer.sources] == list(range(1, len(answer.sources) + 1))
    chain.close()


def test_composed_parts_are_joined_with_one_numbering(store: Path) -> None:
    first, second = "When was the lighthouse of Skarholm built?", "How many eggs does a queen bee lay a day?"

    def script(model: Scripted) -> list[str]:
        return [f"{first}\n{second}", "It was built in 1874 [1].", "A queen lays up to 2,000 eggs a day [1]."]

    model = Scripted(script=["x"])
    model.script = [*script(model), "It was built in 1874 [1]. A queen lays up to 2,000 eggs a day [2]."]
    chain = build_chain(store, model, mode="compose")
    answer = chain.invoke({"question": f"{first} {second}", "strategy": "decompose"})
    assert answer.calls == 4 and "It was built in 1874" in model.asked[-1]
    text_of = chain.retriever.searcher.store.text  # type: ignore[attr-defined]
    assert all(text_of(c.doc_id)[c.start : c.end] == c.quote for c in answer.citations)
    assert "1874" in answer.answer and {s.chunk_id for s in answer.sources if s.cited}
    chain.close()


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("When was the lighthouse of Skarholm built and how many eggs does a queen bee lay a day?", ["1874", "2,000"]),
        ("龙井茶产于哪里？长城在哪一年被列为世界遗产？", ["杭州", "1987"]),
    ],
)
def test_a_model_that_only_quotes_quotes_for_each_part(store: Path, question: str, wanted: list[str]) -> None:
    chain = build_chain(store, "none", strategy="decompose")
    answer = chain.invoke(question)
    assert answer.strategy == "decompose" and answer.calls == 0 and len(answer.plan) == 2
    assert all(word in answer.answer for word in wanted)
    text_of = chain.retriever.searcher.store.text  # type: ignore[attr-defined]
    assert answer.citations and all(text_of(c.doc_id)[c.start : c.end] == c.quote for c in answer.citations)
    half = chain.invoke("When was the lighthouse of Skarholm built and who is the president of Patagonia?")
    assert "1874" in half.answer and "Not in your documents." in half.answer and not half.refused
    none = chain.invoke("Who is the president of Patagonia and what does a turbojet over Mars cost?")
    assert none.refused and none.answer == "Not in your documents."
    chain.close()


def test_votes_of_a_model_that_only_quotes_cost_no_call(store: Path) -> None:
    chain = build_chain(store, "none", strategy="self-consistency", temperature=1.2)
    answers = {chain.invoke({"question": "How tall is the lighthouse?", "seed": seed}).citations[0].quote for seed in range(6)}
    single = build_chain(store, "none", temperature=1.2)
    drawn = {single.invoke({"question": "How tall is the lighthouse?", "seed": seed}).citations[0].quote for seed in range(6)}
    assert len(answers) <= len(drawn) and any("42 metres" in quote for quote in answers)
    assert chain.invoke("How tall is the lighthouse?").calls == 0
    single.close()
    chain.close()
