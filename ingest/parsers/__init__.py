"""A file's bytes to a ParsedDocument; one module for each family of formats, imported when first needed.

``characters_in`` by family:

* text, Markdown, code, log, HTML: the characters of the decoded file (line breaks as one character);
* CSV, JSON, notebooks: the characters of the readable text that the parser writes, labels included, before cuts;
* PDF, docx: the characters that the parser extracts, before hyphenation, headers and footers are taken away.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from ingest.limits import Budget, LimitReached
from ingest.types import IngestError, ParsedDocument

PARSER_VERSION = 1  # raise it when stored texts would come out differently: files are then read again

_FAMILIES = {
    "text": ".txt .text .rst .adoc .org .tex .srt .vtt",
    "log": ".log .out",
    "markdown": ".md .markdown .mdown .mkd .mdx .qmd",
    "html": ".html .htm .xhtml",
    "pdf": ".pdf",
    "docx": ".docx",
    "notebook": ".ipynb",
    "table": ".csv .tsv",
    "data": ".json .jsonl .ndjson",
    "code": ".py .pyi .js .mjs .cjs .jsx .ts .tsx .c .h .cc .cpp .cxx .hpp .hh .cu .java .kt .scala .swift .cs .go .rs "
    ".rb .php .pl .lua .r .jl .sh .bash .zsh .fish .ps1 .bat .sql .toml .yaml .yml .ini .cfg .conf .properties "
    ".proto .graphql .css .scss .xml .cmake .mk .dockerfile .vue .svelte .hs .ml .ex .exs .erl .clj .dart",
}
_SUFFIXES = {suffix: family for family, listed in _FAMILIES.items() for suffix in listed.split()}
_NAMES = {
    **dict.fromkeys(("readme", "license", "licence", "notice", "authors", "changelog", "changes", "todo"), "text"),
    **dict.fromkeys(("makefile", "dockerfile", "gemfile", "rakefile", "justfile"), "code"),
}
_MODULES = {"log": "text"}

_PACKED = frozenset(("docx",))  # families that unpack something, and so need a budget

_ADVICE = {
    ".doc": "save it as .docx",
    ".rtf": "save it as .docx",
    ".odt": "save it as .docx",
    ".pages": "save it as .docx",
    ".xls": "save it as .csv",
    ".xlsx": "save it as .csv",
    ".ods": "save it as .csv",
    ".ppt": "save it as .pdf",
    ".pptx": "save it as .pdf",
    ".epub": "save it as .html or .pdf",
    ".zip": "unpack it first",
    ".gz": "unpack it first",
    ".tar": "unpack it first",
}


def family(path: Path) -> str | None:
    """The family that reads ``path``, by its suffix or, without one, its name; None when none does."""
    suffix = path.suffix.lower()
    return _SUFFIXES.get(suffix) if suffix else _NAMES.get(path.name.lower())


def is_supported(path: Path) -> bool:
    return family(path) is not None


def advice(path: Path) -> str:
    """What to do about a file that no parser reads, as a clause without a full stop."""
    suffix = path.suffix.lower()
    kind = f"files of type {suffix}" if suffix else "files without a suffix"
    return f"{kind} are not read: {_ADVICE.get(suffix, 'convert it to text, PDF, HTML or .docx')}"


def parse_file(path: Path, data: bytes, budget: Budget | None = None) -> ParsedDocument:
    """Parse ``data``, the bytes of ``path`` (which is not opened).

    Raises IngestError, one sentence that begins with the file's name, for a file that cannot be read or has no text.
    """
    chosen = family(path)
    if chosen is None:
        raise IngestError(f"{path.name}: {advice(path)}.")
    if data.startswith(b"%PDF-"):  # a PDF by another name
        chosen = "pdf"
    module = import_module(f"ingest.parsers.{_MODULES.get(chosen, chosen)}")
    try:
        given = (budget or Budget(packed=len(data)),) if chosen in _PACKED else ()
        document: ParsedDocument = module.parse(path, data, *given)
    except LimitReached as error:
        raise LimitReached(f"{path.name} {error}") from error
    except IngestError as error:
        raise IngestError(f"{path.name} {error}") from error
    except RecursionError as error:
        raise IngestError(f"{path.name} is nested too deeply to be read; flatten or split it.") from error
    if not document.text.strip():
        raise IngestError(f"{path.name} has no text; leave it out, or add some.")
    accounted = len(document.text) + sum(omission.characters for omission in document.omissions)
    if accounted != document.characters_in:
        raise IngestError(
            f"{path.name} was read as {document.characters_in} characters but {accounted} are accounted for; "
            "please report this file."
        )
    return document
