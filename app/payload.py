"""What the page's script sends with a click, read with distrust: a missing or wrong value is None."""

from __future__ import annotations

import json
from typing import Any

MAX_SENT = 1_000_000  # characters: all prompts at their longest
MAX_NUMBER = 2**53  # what a script can send without loss


def number(data: Any, key: str) -> int | None:
    """A whole number from 0 on."""
    value = data.get(key) if isinstance(data, dict) else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 17:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < MAX_NUMBER else None


def numbers(data: Any, key: str, most: int = 50) -> list[int]:
    """The whole numbers in a list, at most ``most``."""
    values = data.get(key) if isinstance(data, dict) else None
    found = [number({key: value}, key) for value in values[:most]] if isinstance(values, list) else []
    return [value for value in found if value is not None]


def text(data: Any, key: str, most: int) -> str:
    """A text of at most ``most`` characters on one line, without the spaces around it; "" when there is none."""
    value = data.get(key) if isinstance(data, dict) else None
    return " ".join(value[:most].split()) if isinstance(value, str) else ""


def texts(data: Any, key: str, known: tuple[str, ...]) -> list[str]:
    """Those of the ``known`` words that were sent, each once, in their own order."""
    values = data.get(key) if isinstance(data, dict) else None
    return [word for word in known if isinstance(values, list) and word in values]


class Refused(Exception):
    """Why what the page sent is not done; ``key`` and ``values`` name the sentence."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(key)
        self.key, self.values = key, values


def sent(data: Any) -> dict[str, Any]:
    """The settings, scope and prompts that the page sends with a question, as JSON; {} for anything else."""
    if not isinstance(data, str) or len(data) > MAX_SENT:
        return {}
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
