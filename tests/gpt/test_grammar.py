"""JSON by grammar: whatever the weights say, the text fits the schema; what cannot be promised is refused."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
import torch

from gpt.decoding.grammar import DONE, Text, after, ends, shortest
from gpt.decoding.json_schema import SchemaError, compile_schema
from gpt.decoding.masks import NEVER, GrammarConstraint, Vocabulary
from gpt.engine import Engine
from gpt.model import GPT
from gpt.tokenizer import Tokenizer

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0},
        "mood": {"enum": ["glad", "trüb", "平静", 7, None]},
        "height": {"type": "number"},
        "alive": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 4}, "maxItems": 3},
        "home": {"$ref": "#/$defs/Place"},
        "pair": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}], "minItems": 2, "maxItems": 2},
        "nick": {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]},
        "mark": {"type": ["integer", "null"], "minimum": 3, "maximum": 12},
    },
    "required": ["name", "age"],
    "$defs": {"Place": {"type": "object", "properties": {"city": {"const": "北京"}, "at": {"type": "number"}}}},
}  # fmt: skip


def fits(value: Any) -> None:
    """`value` fits PERSON, by hand: no schema library has a say in this."""
    assert list(value) == list(PERSON["properties"])
    assert isinstance(value["name"], str) and len(value["name"]) <= 12
    assert type(value["age"]) is int and value["age"] >= 0
    assert value["mood"] in ("glad", "trüb", "平静", 7, None)
    assert type(value["height"]) in (int, float) and type(value["alive"]) is bool
    assert len(value["tags"]) <= 3 and all(1 <= len(tag) <= 4 for tag in value["tags"])
    assert value["home"]["city"] == "北京" and type(value["home"]["at"]) in (int, float)
    assert type(value["pair"][0]) is int and type(value["pair"][1]) is bool and len(value["pair"]) == 2
    assert value["nick"] is None or len(value["nick"]) <= 5
    assert value["mark"] is None or 3 <= value["mark"] <= 12


@pytest.fixture(scope="module")
def vocabulary(tokenizer: Tokenizer) -> Vocabulary:
    return Vocabulary(tokenizer, tokenizer.vocab_size)


@pytest.mark.parametrize("temperature", [0.0, 0.7, 2.0])
def test_random_weights_write_valid_json(
    make_model: Any, tokenizer: Tokenizer, vocabulary: Vocabulary, temperature: float
) -> None:
    grammar, seen = compile_schema(PERSON), set()
    for seed in range(4):
        model: GPT = make_model(tokenizer.vocab_size, seed=seed, context=640)
        engine = Engine(model, tokenizer)
        constraint = GrammarConstraint(vocabulary, grammar, 500)
        steps = list(
            engine.generate(
                engine.prompt("x"), max_new_tokens=500, temperature=temperature, seed=seed, allowed=constraint
            )
        )
        text = "".join(step.text for step in steps)
        fits(json.loads(text))
        assert steps[-1].finish == "end" and constraint.done
        seen.add(text)
    assert len(seen) > 1


def test_the_text_is_whole_within_any_budget_that_can_hold_it(vocabulary: Vocabulary, tokenizer: Tokenizer) -> None:
    grammar = compile_schema(PERSON)
    least = shortest(grammar)
    rng = random.Random(3)
    for budget in (least, least + 1, least + 7, least + 60):
        constraint = GrammarConstraint(vocabulary, grammar, budget)
        ids: list[int] = []
        while not constraint.done:
            mask = constraint.allowed()
            assert isinstance(mask, torch.Tensor)
            ids.append(rng.choice(mask.nonzero().flatten().tolist()))
            constraint.step(ids[-1])
        assert len(ids) <= budget
        fits(json.loads(tokenizer.decode(ids)))
    with pytest.raises(ValueError, match="room"):
        GrammarConstraint(vocabulary, grammar, least - 1)


def test_the_quick_mask_of_strings_is_the_walked_one(vocabulary: Vocabulary) -> None:
    for text in (Text(0, 3), Text(2, 2), Text(0, 0), Text(5, 40)):
        walked = np.full(vocabulary.size, NEVER, dtype=np.int32)
        for i in range(len(vocabulary.texts)):
            vocabulary._put(walked, i, text)
        assert (vocabulary.needs(text) == walked).all()


def test_a_token_that_is_not_allowed_is_refused(vocabulary: Vocabulary, tokenizer: Tokenizer) -> None:
    constraint = GrammarConstraint(vocabulary, compile_schema(PERSON), 400)
    with pytest.raises(ValueError, match="not allowed"):
        constraint.step(tokenizer.encode("[")[0])


@pytest.mark.parametrize(
    ("data", "good"),
    [
        (b'abc"', True),
        ("汉\U0001f600é\"".encode(), True),
        (b'a\\n\\""', True),
        (b'a\n"', False),
        (b"\xc0\x80", False),
        (b"\xed\xa0\x80", False),  # half a surrogate pair
        (b"\xf4\x90\x80\x80", False),  # beyond Unicode
        (b"\x80", False),
        (b"\\x", False),
        (b"abcdefg", False),  # longer than allowed
    ],
)
def test_strings_are_utf8_without_control_characters(data: bytes, good: bool) -> None:
    left: Any = Text(0, 6)
    for byte in data:
        left = None if left is None else after(left, byte)
    assert (left == DONE and ends(DONE)) == good


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "object", "properties": {"a": {"type": "string", "pattern": "a+"}}}, "pattern"),
        ({"type": "object", "properties": {"a": {"type": "string", "format": "date"}}}, "format"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "free names"),
        ({"type": "object", "properties": {"a": {}}}, "allows anything"),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}}, "refers to itself"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/B"}}}, "not in the schema"),
        ({"type": "object", "properties": {}, "required": ["a"], "additionalProperties": False}, "requires"),
        ({"type": "object", "properties": {"a": {"type": "integer", "maximum": 3}}}, "bounds"),
        ({"type": "object", "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 10**6}}}, "whole numbers"),
        ({"type": "object", "properties": {"a": {"type": "integer", "multipleOf": 5}}}, "multipleOf"),
        ({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "null"}, "uniqueItems": True}}}, "unique"),
        ({"type": "object", "properties": {"a": {"oneOf": [{"type": "integer"}, {"type": "number"}]}}}, "both fit"),
        ({"type": "object", "properties": {"a": {"enum": []}}}, "no values"),
        ({"type": "object", "properties": {"a": {"type": "color"}}}, "color"),
        ({"type": "object", "properties": {"a": {"type": "string", "minLength": 5, "maxLength": 2}}}, "maxLength"),
    ],
)  # fmt: skip
def test_what_cannot_be_promised_is_refused_by_name(schema: dict[str, Any], said: str) -> None:
    with pytest.raises(SchemaError, match=said) as caught:
        compile_schema(schema)
    assert "\n" not in str(caught.value) and "$" in str(caught.value)


def test_numbers_are_json_numbers() -> None:
    def accepts(schema: dict[str, Any], text: str) -> bool:
        left: Any = compile_schema({"type": "object", "properties": {"a": schema}})
        for byte in f'{{"a": {text}}}'.encode():
            left = None if left is None else after(left, byte)
        return left == DONE

    number, whole = {"type": "number"}, {"type": "integer"}
    assert all(accepts(number, text) for text in ("0", "-0.5", "12", "3.25", "-7"))
    assert not any(accepts(number, text) for text in ("01", "-", "1.", ".5", "+1", "1e5", "1" * 20))
    assert accepts(whole, "-12") and not accepts(whole, "1.5")
    assert not accepts({"type": "integer", "minimum": 0}, "-1")
    assert not accepts({"type": "integer", "exclusiveMinimum": 0}, "0")
    assert accepts({"type": "integer", "minimum": -2, "maximum": 2}, "-2")
    assert not accepts({"type": "integer", "minimum": -2, "maximum": 2}, "3")
