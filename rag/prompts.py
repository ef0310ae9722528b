"""Prompt templates: the plain files in ``prompts/``, a folder of the user's own, or texts given with one question.

A template that begins a conversation (the system prompt) is taken as it stands, braces included. One that holds a turn
of the user names its variables in braces, and `check` refuses any other name before a model sees it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from string import Formatter
from typing import Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate, HumanMessagePromptTemplate, MessagesPlaceholder

from rag.types import RagError, Source

Kind = Literal["compose", "copy", "quote", "rewrite", "propose", "judge", "split", "join", "map"]

#: What a model writes, on the instruction of the templates, when the passages do not answer.
NO_ANSWER = ("NOT IN THE DOCUMENTS", "文档中没有答案")
QUESTION_MARKS = ("Question: ", "问题：")  # how the question's line begins in the templates
LANGUAGES = ("en", "zh")
LONGEST = 20_000  # characters of a template: above any prompt, below what would fill a context many times over

# Each kind of template with the variables of its turn; () is a text that is taken as it stands.
KINDS: dict[str, tuple[str, ...]] = {
    "quote": (),
    "compose": (),
    "copy": (),
    "human": ("passages", "question"),
    "rewrite": (),
    "think": (),
    "examples_quote": (),
    "examples_compose": (),
    "propose": (),
    "judge": (),
    "weigh": ("passages", "question", "candidates"),
    "split": (),
    "map": (),
    "join": (),
    "notes": ("notes", "question"),
}
_VARIABLES = frozenset(name for names in KINDS.values() for name in names)
# The turn of the user that follows a system prompt, where it is not ``human``.
_TURNS = {"rewrite": None, "split": None, "judge": "weigh", "join": "notes"}
_ANSWER = re.compile(r"^(?:Answer: |答案：)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Template:
    """A template as an editor shows it; ``standard`` is the text of the package, ``variables`` those it must name."""

    name: str
    kind: str
    language: str
    text: str
    standard: str
    variables: tuple[str, ...]

    @property
    def edited(self) -> bool:
        return self.text != self.standard


def names() -> list[str]:
    """All names that `check` takes, such as ``quote_en``."""
    return [f"{kind}_{language}" for kind in KINDS for language in LANGUAGES]


def templates(overrides: Mapping[str, str] | None = None) -> list[Template]:
    """Every template, those of ``overrides`` in place of the package's."""
    found = []
    for name in names():
        kind, _, language = name.rpartition("_")
        found.append(Template(name, kind, language, text(name, overrides), standard(name), KINDS[kind]))
    return found


@lru_cache(maxsize=64)
def standard(name: str) -> str:
    """A template file of the package without the line break at its end."""
    return (resources.files("rag") / "prompts" / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")


def text(name: str, overrides: Mapping[str, str] | None = None) -> str:
    """The template to use."""
    return overrides[name] if overrides and name in overrides else standard(name)


def check(overrides: object) -> dict[str, str]:
    """Templates by name, as they may be used; RagError with one sentence for the first that may not."""
    if overrides is None:
        return {}
    if not isinstance(overrides, Mapping):
        raise RagError("prompts must be templates by name, both of them text.")
    return {name: _checked(name, given) for name, given in overrides.items()}


def load_folder(folder: Path) -> dict[str, str]:
    """The templates in ``folder``: files called as in ``prompts/``, such as ``quote_en.txt``; RagError for others."""
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix == ".txt")
        return {path.stem: _checked(path.stem, path.read_text(encoding="utf-8-sig").rstrip("\n")) for path in files}
    except OSError as error:
        raise RagError(
            f"The folder of prompts {folder} cannot be read ({error.strerror}): mend OPENBOOK_PROMPTS or openbook.toml."
        ) from None
    except UnicodeDecodeError:
        raise RagError(f"A prompt in {folder} is not UTF-8 text: save it as UTF-8.") from None


def _checked(name: object, given: object) -> str:
    if not isinstance(name, str) or name not in names():
        raise RagError(f"There is no prompt {name!r}: give one of {', '.join(names())}.")
    if not isinstance(given, str) or not given.strip():
        raise RagError(f"The prompt {name} is empty: leave it out to use the one of the package.")
    if len(given) > LONGEST:
        raise RagError(f"The prompt {name} has {len(given):,} characters, but at most {LONGEST:,} are taken.")
    kind = name.rpartition("_")[0]
    if kind.startswith("examples_"):
        examples_of(name, given)
    elif KINDS[kind]:
        _check_variables(name, given, KINDS[kind])
    elif foreign := sorted(v for v in _VARIABLES if f"{{{v}}}" in given):
        raise RagError(f"The prompt {name} is taken as it stands and fills in no {{{foreign[0]}}}: take it out.")
    return given


def _check_variables(name: str, given: str, wanted: tuple[str, ...]) -> None:
    shown = ", ".join(f"{{{variable}}}" for variable in wanted)
    try:
        fields = [(f, spec, how) for _, f, spec, how in Formatter().parse(given) if f is not None]
    except ValueError as error:
        raise RagError(
            f"The prompt {name} has a brace without its fellow ({error}): write {{{{ and }}}} for braces as text."
        ) from None
    for found, spec, how in fields:
        if found not in wanted or spec or how:
            raise RagError(f"The prompt {name} knows no variable {{{found}}}: it fills in {shown}.")
    for variable in wanted:
        if variable not in {found for found, _, _ in fields}:
            raise RagError(f"The prompt {name} leaves out {{{variable}}}: it must hold {shown}.")


def examples_of(name: str, given: str) -> list[BaseMessage]:
    """The turns of examples: blocks between lines of ``---``, each a question and, after "Answer: ", its answer."""
    turns: list[BaseMessage] = []
    for block in re.split(r"^-{3,}\s*$", given, flags=re.MULTILINE):
        if not block.strip():
            continue
        found = list(_ANSWER.finditer(block))
        if not found:
            raise RagError(
                f'The prompt {name} has an example without a line that begins with "Answer: " or "答案：": add it.'
            )
        asked, answer = block[: found[-1].start()].strip(), block[found[-1].end() :].strip()
        if not asked or not answer:
            raise RagError(f"The prompt {name} has an example without a question or without an answer: add it.")
        turns += [HumanMessage(asked), AIMessage(answer)]
    return turns


def template(
    kind: Kind,
    language: str,
    overrides: Mapping[str, str] | None = None,
    *,
    think: bool = False,
    examples: bool = False,
) -> ChatPromptTemplate:
    """Variables: ``question``; ``passages``, ``candidates``, ``notes`` as `KINDS` has them; ``history`` (optional).

    ``think``: the instruction to reason first is added; ``examples``: solved examples come before the question.
    """
    turn = _TURNS.get(kind, "human")
    human = "{question}" if turn is None else text(f"{turn}_{language}", overrides)
    system = text(f"{kind}_{language}", overrides)
    if think:
        system = f"{system}\n\n{text(f'think_{language}', overrides)}"
    solved: list[BaseMessage] = []
    if examples:
        name = f"examples_{'compose' if kind == 'compose' else 'quote'}_{language}"
        solved = examples_of(name, text(name, overrides))
    return ChatPromptTemplate.from_messages(
        [
            SystemMessage(system),
            *solved,
            MessagesPlaceholder("history", optional=True),
            HumanMessagePromptTemplate.from_template(human),
        ]
    )


def number(sources: Sequence[Source]) -> str:
    """The passages as the model sees them: number, title and headings, text."""
    parts = []
    for source in sources:
        header = " > ".join(x for x in (source.title, *source.headings) if x)
        parts.append(f"[{source.n}] {header}\n{source.text}" if header else f"[{source.n}] {source.text}")
    return "\n\n".join(parts)
