"""Where a question is to be answered from, said in the question itself: ``file:lease.pdf what is the rent?``

- ``file:NAME`` or ``@NAME``: a file or folder by its name, the end or a part of its path, or a pattern (``*.md``)
- ``title:WORDS``: documents with these words in their title
- ``after:2025-01-31``, ``before:2025``: by a document's own date, else the file's; ``after`` includes the day
- ``in:NAME``: a collection (``python -m ingest PATH --collection NAME``)

Each has a Chinese form (文件：标题：晚于：早于：集合：). A value with spaces is quoted. Names of one kind
are alternatives; different kinds, and both dates, must all hold. What does not look exactly like this is left in the
question.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from ingest.fold import fold

KEYS = {
    "file": "file",
    "title": "title",
    "after": "after",
    "before": "before",
    "in": "in",
    "文件": "file",
    "文档": "file",
    "档案": "file",
    "标题": "title",
    "晚于": "after",
    "之后": "after",
    "早于": "before",
    "之前": "before",
    "集合": "in",
}
# Only at the start, after white space or after Chinese punctuation: `"file:x"` in quotation marks and a URL are text.
_EDGE = r"(?:(?<=[\s，。；？！、：（(])|(?<![\s\S]))"
_QUOTED = r"\"[^\"]+\"|'[^']+'|“[^”]+”|「[^」]+」|『[^』]+』|《[^》]+》"
_TERM = re.compile(
    rf"{_EDGE}(?:(?P<key>[^\W\d_]{{2,6}})[:：](?!//)|(?P<at>[@＠]))(?P<value>{_QUOTED}|[^\s，。；？！、@＠\"“「『《]+)"
)
_TAIL = re.compile(r"[.,;:!?)）：]+$")
_LOOSE = re.compile(r"\s+(?=[.,;!?，。；？！、])")
_IDLE = " \t\r\n,;:，；：、"


@dataclass(frozen=True, slots=True)
class Scope:
    """The conditions as written; ``terms`` are (key, value) in their order."""

    terms: tuple[tuple[str, str], ...] = ()
    said: tuple[str, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __str__(self) -> str:
        return " ".join(self.said)

    def values(self, key: str) -> list[str]:
        """What was asked for under one of `KEYS`, each once."""
        return list(dict.fromkeys(value for name, value in self.terms if name == key))


def parse(question: str, names_file: Callable[[str], bool]) -> tuple[str, Scope]:
    """The question without its conditions, and these; any text is a question, so nothing is refused here.

    ``names_file`` decides whether ``@word`` means a file; if it does not, it stays in the question.
    """
    terms: list[tuple[str, str]] = []
    said: list[str] = []

    def take(match: re.Match[str]) -> str:
        key = "file" if match["at"] else KEYS.get(fold(match["key"]), "")
        value, tail = _value(match["value"])
        if not key or not value or (match["at"] and not names_file(value)):
            return match.group()
        terms.append((key, value))
        said.append(match.group()[: len(match.group()) - len(tail)])
        return f" {tail.strip(_IDLE)} "

    rest = _TERM.sub(take, question)
    if not terms:
        return question, Scope()
    rest = _LOOSE.sub("", " ".join(rest.split())).lstrip(_IDLE + ".!?。！？）)").rstrip(_IDLE)
    return rest, Scope(tuple(terms), tuple(said))


def _value(written: str) -> tuple[str, str]:
    """(value, punctuation of the sentence after it); quotation marks protect both."""
    if len(written) > 2 and re.fullmatch(_QUOTED, written):
        return written[1:-1].strip(), ""
    tail = _TAIL.search(written)
    if tail is None or (tail.group().startswith(")") and "(" in written):
        return written, ""
    return written[: tail.start()], tail.group()
