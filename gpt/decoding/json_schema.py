"""A JSON schema as a grammar: the texts that fit it, written in one way.

Properties come in the schema's order, every one of them, with ``", "`` and ``": "`` between; numbers without exponents.
That is less than the schema allows and never more, so whatever follows the grammar is valid. What cannot be promised
(patterns, recursion, free maps, bounds other than small ranges) is refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gpt.decoding.grammar import DONE, Grammar, Literal, Number, Repeat, Text, either, then

CHARACTERS = 200  # of a string without maxLength
ITEMS = 8  # of an array without maxItems
DIGITS, DECIMALS = 12, 6  # of numbers
RANGE = 1000  # whole numbers between two bounds that are listed one by one
DEPTH = 24

_NOTES = frozenset(
    "title description default examples example $schema $id $comment deprecated readOnly writeOnly name strict $defs "
    "definitions discriminator".split()
)
_KNOWN = {
    "object": {"type", "properties", "required", "additionalProperties"},
    "array": {"type", "items", "prefixItems", "minItems", "maxItems"},
    "string": {"type", "minLength", "maxLength"},
    "integer": {"type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "number": {"type", "minimum", "exclusiveMinimum"},
    "boolean": {"type"},
    "null": {"type"},
}


class SchemaError(ValueError):
    """What of a schema cannot be promised, and where."""


def compile_schema(schema: Mapping[str, Any]) -> Grammar:
    """The grammar of a schema of an object; SchemaError names the place of what is not supported."""
    if not isinstance(schema, Mapping):
        raise SchemaError(f"a JSON schema is an object, not a {type(schema).__name__}")
    made = _Compiler(schema).compile(schema, "$", ())
    if made is None:
        raise SchemaError("the schema allows nothing")
    return made


class _Compiler:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root

    def compile(self, schema: Any, at: str, seen: tuple[str, ...]) -> Grammar:
        if schema is True or schema == {}:
            raise SchemaError(f"{at} allows anything: give it a type")
        if not isinstance(schema, Mapping):
            raise SchemaError(f"{at} is no schema")
        if len(seen) > DEPTH or at.count(".") > DEPTH:
            raise SchemaError(f"{at} is nested more than {DEPTH} deep")
        if "$ref" in schema:
            return self._reference(schema, at, seen)
        for name in ("anyOf", "oneOf", "allOf"):
            if name in schema:
                return self._combined(name, schema, at, seen)
        if "const" in schema or "enum" in schema:
            return self._constants(schema, at)
        kinds = schema.get("type", "object" if "properties" in schema else None)
        if isinstance(kinds, list):
            made = either(*(self.compile(_only(schema, str(kind)), at, seen) for kind in kinds))
            if made is None:
                raise SchemaError(f"{at} has no type")
            return made
        if kinds not in _KNOWN:
            raise SchemaError(f"{at} has the type {kinds!r}; one of {', '.join(_KNOWN)} can be written")
        unknown = set(schema) - _NOTES - _KNOWN[kinds]
        if unknown:
            raise SchemaError(f"{at} has {', '.join(sorted(map(repr, unknown)))}, which cannot be promised for {kinds}")
        return self._typed(kinds, schema, at, seen)

    def _typed(self, kind: str, schema: Mapping[str, Any], at: str, seen: tuple[str, ...]) -> Grammar:
        if kind == "object":
            return self._object(schema, at, seen)
        if kind == "array":
            return self._array(schema, at, seen)
        if kind == "string":
            least = _count(schema, "minLength", 0, at)
            return then(Literal(b'"'), Text(least, _count(schema, "maxLength", max(CHARACTERS, least), at, least)))
        if kind == "boolean":
            return _one_of([True, False])
        return Literal(b"null") if kind == "null" else _number(kind, schema, at)

    def _reference(self, schema: Mapping[str, Any], at: str, seen: tuple[str, ...]) -> Grammar:
        name = str(schema["$ref"])
        if name in seen:
            raise SchemaError(f"{at} refers to itself by {name}, so nothing bounds its depth")
        found: Any = self.root
        for part in filter(None, name.removeprefix("#").split("/")):
            key = part.replace("~1", "/").replace("~0", "~")
            if not name.startswith("#") or not isinstance(found, Mapping) or key not in found:
                raise SchemaError(f"{at} refers to {name}, which is not in the schema")
            found = found[key]
        return self.compile(found, at, (*seen, name))

    def _combined(self, name: str, schema: Mapping[str, Any], at: str, seen: tuple[str, ...]) -> Grammar:
        options, rest = schema[name], set(schema) - _NOTES - {name}
        if rest or not isinstance(options, Sequence) or not options:
            raise SchemaError(f"{at} has {name} with {', '.join(sorted(rest)) or 'nothing in it'}: write it out")
        if name == "allOf" and len(options) > 1:
            raise SchemaError(f"{at} has allOf with several parts: write them as one")
        if name == "oneOf" and not self._disjoint(options):
            raise SchemaError(f"{at} has oneOf whose parts may both fit: use anyOf")
        made = either(*(self.compile(option, f"{at}.{name}[{i}]", seen) for i, option in enumerate(options)))
        assert made is not None
        return made

    def _disjoint(self, options: Sequence[Any]) -> bool:
        """Whether no value fits two: other types, or other constants under one required name."""
        plain = [self._resolved(option) for option in options]
        kinds = [option.get("type") for option in plain]
        if all(isinstance(kind, str) for kind in kinds) and len(set(kinds)) == len(kinds):
            return not {"integer", "number"} <= set(kinds)
        names = set.intersection(*(set(option.get("required", ())) for option in plain))
        for name in names:
            values = [json.dumps(option.get("properties", {}).get(name, {}).get("const")) for option in plain]
            if "null" not in values and len(set(values)) == len(values):
                return True
        return False

    def _resolved(self, option: Any) -> Mapping[str, Any]:
        found: Any = option
        for part in str(option.get("$ref", "#")).removeprefix("#").strip("/").split("/") if "$ref" in option else ():
            found = (self.root if found is option else found).get(part, {})
        return found if isinstance(found, Mapping) else {}

    def _constants(self, schema: Mapping[str, Any], at: str) -> Grammar:
        given = [schema["const"]] if "const" in schema else list(schema["enum"])
        unknown = set(schema) - _NOTES - {"const", "enum", "type"}
        if unknown or not given:
            raise SchemaError(f"{at} lists no values, or has {', '.join(sorted(unknown)) or 'nothing'} beside them")
        kinds = schema.get("type")
        fitting = [value for value in given if kinds is None or _is(value, kinds)]
        if "const" in schema and "enum" in schema:
            fitting = [value for value in fitting if value in schema["enum"]]
        if not fitting:
            raise SchemaError(f"{at} lists no value of its type {kinds!r}")
        return _one_of(fitting)

    def _object(self, schema: Mapping[str, Any], at: str, seen: tuple[str, ...]) -> Grammar:
        fields = schema.get("properties", {})
        missing = [name for name in schema.get("required", ()) if name not in fields]
        if missing:
            raise SchemaError(f"{at} requires {missing[0]!r} without saying what it is")
        if not fields and schema.get("additionalProperties", True) not in (False, None):
            raise SchemaError(f"{at} names no properties: an object with free names cannot be promised")
        parts: list[Grammar] = [Literal(b"{")]
        for i, (name, inner) in enumerate(fields.items()):
            head = ", " if i else ""
            parts.append(Literal(f"{head}{json.dumps(name, ensure_ascii=False)}: ".encode()))
            parts.append(self.compile(inner, f"{at}.{name}", seen))
        return then(*parts, Literal(b"}"))

    def _array(self, schema: Mapping[str, Any], at: str, seen: tuple[str, ...]) -> Grammar:
        if "prefixItems" in schema:
            items = [self.compile(item, f"{at}[{i}]", seen) for i, item in enumerate(schema["prefixItems"])]
            if not schema.get("minItems", 0) <= len(items) <= schema.get("maxItems", len(items)):
                raise SchemaError(f"{at} has another number of items than its prefixItems")
            joined = [part for item in items for part in (Literal(b", "), item)][1:]
            return then(Literal(b"["), *joined, Literal(b"]"))
        if "items" not in schema:
            raise SchemaError(f"{at} does not say what its items are")
        least = _count(schema, "minItems", 0, at)
        most = _count(schema, "maxItems", max(ITEMS, least), at, least)
        item = self.compile(schema["items"], f"{at}[]", seen)
        inside = Repeat(item, b", ", least, most) if most else DONE
        return then(Literal(b"["), inside, Literal(b"]"))


def _only(schema: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The schema for one of its types, without what is said of the others."""
    others = set().union(*_KNOWN.values()) - _KNOWN.get(kind, set())
    return {**{name: value for name, value in schema.items() if name not in others}, "type": kind}


def _one_of(values: Sequence[Any]) -> Grammar:
    made = either(*(Literal(json.dumps(value, ensure_ascii=False).encode()) for value in values))
    assert made is not None
    return made


def _is(value: Any, kinds: Any) -> bool:
    names = {
        bool: {"boolean"}, str: {"string"}, int: {"integer", "number"}, float: {"number"},
        type(None): {"null"}, dict: {"object"}, list: {"array"},
    }  # fmt: skip
    return bool(names.get(type(value), set()) & set([kinds] if isinstance(kinds, str) else kinds))


def _count(schema: Mapping[str, Any], name: str, default: int, at: str, least: int = 0) -> int:
    value = schema.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SchemaError(f"{at} has {name} {value!r}; give a whole number of at least {least}")
    return value


def _number(kind: str, schema: Mapping[str, Any], at: str) -> Grammar:
    """Between two bounds near each other every whole number; without bounds anything, or what is not below 0."""
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    decimals = DECIMALS if kind == "number" else 0
    if kind == "integer":
        low = above + 1 if isinstance(above, int) else low
        high = below - 1 if isinstance(below, int) else high
        if isinstance(low, int | float) and isinstance(high, int | float):
            listed = range(-int(-low // 1), int(high // 1) + 1)
            if 0 < len(listed) <= RANGE:
                return _one_of(listed)
            raise SchemaError(f"{at} has {len(listed):,} whole numbers between its bounds; 1 to {RANGE} can be listed")
        above = None
    upper = high is not None or below is not None
    if upper or low not in (None, 0, 1) or above not in (None, 0) or (low == 1 and decimals):
        raise SchemaError(f"{at} has bounds that cannot be promised: give minimum 0, or both of whole numbers")
    if above == 0 and decimals:
        # Above zero, a number whose whole part is at least 1 is the simple case of it.
        return Number(DIGITS, decimals, signed=False, positive=True)
    return Number(DIGITS, decimals, signed=low is None and above is None, positive=low == 1)
