"""Turns of a conversation through a model's own chat template (Jinja), so that no turn can speak as the template.

A template writes markers such as <|im_start|> beside the turns' text, and afterwards nobody could tell its markers from
the same words in a document. So words of a turn that spell a marker, or could complete one at an edge, are put away
before the template sees them and come back after its own markers have been given their private names
(:class:`gpt.hub.tokenizer.HubTokenizer`). Turns without such words reach the template as they are.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def longest_first(words: Collection[str]) -> re.Pattern[str]:
    """A pattern of any of the words, the longest that fits; of nothing when there are none."""
    return re.compile("|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)) or r"(?!)")


class PutAway:
    """Words taken out of texts and put back later, each under a name that no text can contain by design."""

    def __init__(self, words: Collection[str]) -> None:
        self._whole = longest_first(words)
        self._beginnings = {word[:cut] for word in words for cut in range(1, len(word))}
        self._endings = {word[cut:] for word in words for cut in range(1, len(word))}
        self._longest = max(map(len, words), default=0)

    def take(self, text: str, held: list[str], key: str) -> str:
        """``text`` without the words, and without the parts at its two edges that could become one with what the
        template writes there; those are appended to ``held``."""

        def away(words: str) -> str:
            held.append(words)
            return f"\ue000{key}.{len(held) - 1}\ue001"

        text = self._whole.sub(lambda match: away(match[0]), text)
        body = text.strip()  # templates trim
        before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
        for size in range(min(self._longest, len(body)), 0, -1):
            if body[-size:] in self._beginnings:
                body = body[:-size] + away(body[-size:])
                break
        for size in range(min(self._longest, len(body)), 0, -1):
            if body[:size] in self._endings:
                body = away(body[:size]) + body[size:]
                break
        return before + body + (after if body else "")

    @staticmethod
    def give_back(text: str, held: Sequence[str], key: str) -> str:
        return re.sub(rf"\ue000{key}\.(\d+)\ue001", lambda match: held[int(match[1])], text)


class ChatTemplate:
    """A template with its ``variables`` (bos_token, ...), the private ``names`` of the markers, and those of the
    markers that an assistant's own turn may use: a template that drops thoughts looks for them."""

    def __init__(
        self, source: str, variables: Mapping[str, str], names: Mapping[str, str], own: Collection[str]
    ) -> None:
        self._source, self._variables, self._names = source, variables, names
        self._markers = longest_first(names)
        self._guards = {True: PutAway([name for name in names if name not in own]), False: PutAway(names)}

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The conversation as one text up to where the answer begins, markers under their private names.

        A template without a system role gets that turn's text before the first question. ValueError when the template
        refuses the turns or is damaged.
        """
        from jinja2 import TemplateError

        turns = [{"role": message["role"], "content": message["content"]} for message in messages]
        try:
            return self._render(turns)
        except (TemplateError, TypeError, ValueError, KeyError) as error:
            refusal = f"the model's chat template refuses these turns ({' '.join(str(error).split())})"
        if len(turns) < 2 or (turns[0]["role"], turns[1]["role"]) != ("system", "user"):
            raise ValueError(refusal)
        merged = {"role": "user", "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}
        try:
            return self._render([merged, *turns[2:]])
        except (TemplateError, TypeError, ValueError, KeyError):
            raise ValueError(refusal) from None

    def _render(self, turns: Sequence[Mapping[str, str]]) -> str:
        held: list[str] = []
        key = str(secrets.randbits(64))
        safe = [
            {name: self._guards[turn["role"] == "assistant"].take(value, held, key) for name, value in turn.items()}
            for turn in turns
        ]
        template = _environment().from_string(self._source)
        text = template.render(
            messages=safe,
            tools=None,
            documents=None,
            add_generation_prompt=True,
            enable_thinking=False,  # Qwen3 would spend hundreds of tokens before the first of the answer
            **self._variables,
        )
        return PutAway.give_back(self._markers.sub(lambda match: self._names[match[0]], text), held, key)


@cache
def _environment() -> Environment:
    """Jinja as templates expect it, with what transformers gives them; sandboxed, for a template is foreign code."""
    import jinja2
    from jinja2.ext import Extension, loopcontrols
    from jinja2.nodes import Node, Scope
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """{% generation %} marks what a model wrote, for training; the text inside is rendered as it is."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Parser) -> Node | list[Node]:
            line = next(parser.stream).lineno
            return Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True)).set_lineno(line)

    def tojson(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **options)

    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = tojson
    helpers: dict[str, Callable[[str], Any]] = {
        "raise_exception": raise_exception,
        "strftime_now": lambda form: datetime.now().strftime(form),
    }
    environment.globals.update(helpers)
    return environment
