"""A JSON schema as an outline that people read: a line for each field, its type, range and meaning."""

from __future__ import annotations

import json
from typing import Any

Schemas = dict[str, dict[str, Any]]
_DEEP = 4  # levels of fields within fields; beyond, the name of the type is told
_BOUNDS = {
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "maximum": "to {}",
    "exclusiveMaximum": "below {}",
    "minLength": "{} characters or more",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
}


def outline(schema: dict[str, Any], schemas: Schemas, depth: int = 0, given: bool = False) -> list[str]:
    """The lines of an object's fields; those of its parts are indented under them. ``given``: by the server, so that
    none of them is optional."""
    found = named(schema, schemas)
    wanted = set(found.get("required", []))
    lines = []
    for name, field in found.get("properties", {}).items():
        more = [f"{kind(field, schemas)}{'' if name in wanted or depth or given else ', optional'}"]
        more += [text.format(field_bound) for key, text in _BOUNDS.items() if (field_bound := _bound(field, key))]
        if field.get("default") is not None:
            more.append(f"default {json.dumps(field['default'], ensure_ascii=False)}")
        meaning = f" ({field['description']})" if "description" in field else ""
        lines.append(f"{'  ' * depth}{name}: {', '.join(more)}{meaning}")
        if depth < _DEEP:
            for part in _parts(field):
                lines += outline(part, schemas, depth + 1, given)
    return lines


def named(schema: dict[str, Any], schemas: Schemas) -> dict[str, Any]:
    """The schema itself, or the one it names."""
    reference = schema.get("$ref", "")
    return schemas[reference.rpartition("/")[2]] if reference else schema


def kind(schema: dict[str, Any], schemas: Schemas) -> str:
    """The type in words."""
    if "$ref" in schema:
        found = named(schema, schemas)
        return "object" if "properties" in found else kind(found, schemas)
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(kind(each, schemas) for each in schema["anyOf"] if each.get("type") != "null")
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}), schemas)}"
    return str(schema.get("type", "any"))


def _parts(field: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects that a field may hold."""
    if "$ref" in field:
        return [field]
    inner = [*field.get("anyOf", []), *([field["items"]] if isinstance(field.get("items"), dict) else [])]
    return [part for each in inner for part in _parts(each)]


def _bound(field: dict[str, Any], key: str) -> str:
    for each in (field, *field.get("anyOf", [])):
        if key in each:
            return "2⁶³" if each[key] == 2**63 else f"{each[key]:,.15g}"
    return ""
