"""Source code and configuration: the decoded file as it is, cut into sections at top-level definitions.

Names are found by one regular expression for each family of languages, which is cheap and never fails on broken
code; comments and decorators that stand right above a definition go with it.
"""

from __future__ import annotations

import re
from pathlib import Path

from ingest.decode import decode_text
from ingest.parsers.draft import finish
from ingest.types import ParsedDocument, Section

_PYTHON = r"^(?:async\s+)?(?:def|class)\s+(\w+)"
_SCRIPT = (
    r"^(?:export\s+)?(?:default\s+)?(?:declare\s+)?(?:abstract\s+)?(?:async\s+)?"
    r"(?:function\*?|class|interface|enum|namespace|type)\s+([\w$]+)"
    r"|^(?:export\s+)?(?:const|let|var)\s+([\w$]+)[^=\n]*=\s*(?:async\s*)?(?:function|\(|\w+\s*=>)"
)
_C = (
    r"^(?:typedef\s+|template\s*<[^\n]*>\s*)*(?:struct|class|union|enum(?:\s+class)?|namespace)\s+(\w+)[^;\n]*$"
    r"|^#define\s+(\w+)\("
    r"|^(?!return|else|typedef|using)[A-Za-z_][\w \t*&:<>,~]{0,120}?\b([\w:~]{1,120})[ \t]*\([^;\n]*$"
)
_JAVA = (
    r"^[ ]{0,4}(?:(?:public|protected|private|internal|static|final|abstract|sealed|open|data|override|async)\s+)*"
    r"(?:class|interface|enum|record|struct|object|trait|protocol|extension|fun|func|namespace)\s+(\w+)"
)
_GO = r"^func\s+(?:\([^)\n]*\)\s*)?(\w+)|^type\s+(\w+)"
_RUST = (
    r"^(?:pub(?:\([^)\n]*\))?\s+)?(?:async\s+|unsafe\s+|const\s+|extern\s+\"C\"\s+)*"
    r"(?:fn|struct|enum|trait|mod|union|macro_rules!)\s+(\w+)|^(?:unsafe\s+)?(impl\b[^{\n]*)"
)
_RUBY = r"^\s{0,2}(?:def|class|module|defmodule|defp?)\s+([\w.:?!]+)"
_SHELL = r"^(?:function\s+)?([\w-]+)\s*\(\)|^function\s+([\w-]+)"
_SQL = (
    r"^create\s+(?:or\s+replace\s+)?(?:temp(?:orary)?\s+|unique\s+|materialized\s+)*"
    r"(?:table|view|index|function|procedure|trigger|type)\s+(?:if\s+not\s+exists\s+)?([\w.\"`]+)"
)
_TABLES = r"^\[+([^\]\n]+)\]+"
_KEYS = r"^([\w.-]+)[ \t]*:[ \t]*$"

_BY_SUFFIX = {
    **dict.fromkeys((".py", ".pyi"), _PYTHON),
    **dict.fromkeys((".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".vue", ".svelte"), _SCRIPT),
    **dict.fromkeys((".c", ".h", ".cc", ".cpp", ".cxx", ".hpp", ".hh", ".cu"), _C),
    **dict.fromkeys((".java", ".kt", ".scala", ".swift", ".cs", ".dart", ".php"), _JAVA),
    ".go": _GO,
    ".rs": _RUST,
    **dict.fromkeys((".rb", ".ex", ".exs"), _RUBY),
    **dict.fromkeys((".sh", ".bash", ".zsh", ".fish"), _SHELL),
    ".sql": _SQL,
    **dict.fromkeys((".toml", ".ini", ".cfg", ".conf"), _TABLES),
    **dict.fromkeys((".yaml", ".yml"), _KEYS),
}
_PATTERNS = {
    pattern: re.compile(pattern, re.M | (re.I if pattern is _SQL else 0)) for pattern in set(_BY_SUFFIX.values())
}
_LEADING = re.compile(r"[ \t]*(?:@|#(?!\s*(?:define|include|if|endif))|//|/\*|\*|--|\"\"\")")


def parse(path: Path, data: bytes) -> ParsedDocument:
    text, encoding = decode_text(data)
    pattern = _BY_SUFFIX.get(path.suffix.lower())
    sections: list[Section] = []
    edge = 0
    name = ""
    for match in _PATTERNS[pattern].finditer(text) if pattern else ():
        begins = _with_comments(text, match.start(), edge)
        if text[edge:begins].strip():
            sections.append(Section(edge, begins, (name,) if name else ()))
        found = next((group for group in match.groups() if group), "")
        name, edge = " ".join(found.split()), begins
    sections.append(Section(edge, len(text), (name,) if name else ()))
    return finish(text, path.name, "code", sections, len(text), encoding=encoding)


def _with_comments(text: str, position: int, edge: int) -> int:
    """The start of the comment and decorator lines that stand right above ``position``, not before ``edge``."""
    while position > edge:
        above = text.rfind("\n", 0, position - 1) + 1
        if above < edge or above >= position or not _LEADING.match(text, above, position):
            break
        position = above
    return position
